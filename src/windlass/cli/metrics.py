"""`windlass metrics`."""

from __future__ import annotations

import sqlite3
import sys
import time
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import click
import msgspec

from windlass.cli.document import print_json
from windlass.cli.home import home_options
from windlass.cli.listing import moment, print_listing
from windlass.cli.recorded import LENGTH, follow_option, nothing_recorded, repeat, since_option, started, system_option
from windlass.dispatch.metrics import Distribution, Series, minute_of
from windlass.engines.embedded.metric_store import MetricStore
from windlass.engines.embedded.queue import all_stats
from windlass.engines.embedded.recorder import metrics_path
from windlass.errors import EngineUnavailable
from windlass.ports.clock import iso
from windlass.ports.queue import QueueStats

__all__ = ["metrics"]

_HOUR = 3600.0
_FOLLOW_SECONDS = 2.0
_MOST_STEPS = 100_000
_COLUMNS = ["METRIC", "OF", "COUNT", "SUM", "PER MIN", "AVG", "P50", "P99", "MAX"]
_QUEUES = ["SYSTEM", "QUEUE", "WAITING", "IN FLIGHT", "DELAYED", "DEAD", "OLDEST (s)"]

Row = tuple[Series, float, float, Distribution]


@click.command(
    epilog="""\b
Examples:
  windlass metrics                                     all, of the last hour
  windlass metrics request_seconds --system shop
  windlass metrics requests --since 1d --step 1h
  windlass metrics messages_handled --since 5m --follow"""
)
@click.argument("name", required=False)
@system_option
@since_option
@click.option("--step", type=LENGTH, metavar="LENGTH", help="A row for each 1m, 5m, 1h; else one for all.")
@follow_option
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document; with --follow, one a line.")
@home_options
def metrics(
    name: str | None,
    system: str | None,
    since: float | None,
    step: float | None,
    follow: bool,
    as_json: bool,
    home: Path,
    namespace: str,
) -> None:
    """Show what was counted and measured.

    All metrics, with how queues are now, or those of NAME. Times are in seconds. Percentiles are right to within a
    twentieth.
    """
    path = started(home, namespace)
    file = metrics_path(path)
    if not file.is_file():
        raise nothing_recorded(path, "metrics")
    if step is not None and (step < 60 or step % 60):
        raise click.UsageError("--step takes whole minutes: that is how metrics are kept")
    ago = None if since is None else time.time() - since
    store = MetricStore(file, read_only=True)
    labels = {} if system is None else {"system": system}

    def rows() -> list[Row]:
        now = time.time()
        first = minute_of(now - (_HOUR if ago is None else ago))
        minutes = max(1, minute_of(now) + 1 - first)
        width = minutes if step is None else int(step // 60)
        if minutes // width > _MOST_STEPS:
            raise click.UsageError("that is too many rows: give a larger --step or a later --since")
        if step is not None:  # steps begin at the full hour, or whatever the step is
            minutes += first % width
            first -= first % width
        listed = store.listing(name, labels, first, minutes, width)
        return [
            (series, (first + number * width) * 60.0, min(now, (first + (number + 1) * width) * 60.0), found)
            for series, steps in sorted(listed.items())
            for number, found in enumerate(steps)
            if found is not None
        ]

    def show() -> None:
        if follow and not as_json and sys.stdout.isatty():
            click.clear()
        queues = _queues(path / "state.sqlite", system) if name is None else {}
        found = rows()
        if as_json:
            document = {"metrics": _documents(found), "queues": _queue_documents(queues)}
            if follow:
                click.echo(msgspec.json.encode(document).decode())
            else:
                print_json(document)
            return
        if not found and name is not None and name not in (known := store.names()):
            click.echo(f"nothing was measured of that name; there are {', '.join(known) or 'none'}")
            return
        _show(found, step is not None)
        if queues:
            click.echo()
            print_listing(_QUEUES, [[*key, *_queue_row(stats)] for key, stats in sorted(queues.items())], empty="")

    try:
        show()
        if follow:
            repeat(show, _FOLLOW_SECONDS)
    finally:
        store.close()


def _show(found: Sequence[Row], steps: bool) -> None:
    columns = ["TIME", *_COLUMNS] if steps else _COLUMNS
    shown = []
    for (name, labels), start, end, distribution in found:
        of = " ".join(f"{label}={value}" for label, value in sorted(labels, key=_order))
        numbers = [
            distribution.total,
            distribution.total / max(end - start, 60.0) * 60,
            distribution.average,
            distribution.percentile(50),
            distribution.percentile(99),
            distribution.greatest,
        ]
        cells = [name, of, distribution.count, *map(_short, numbers)]
        shown.append([moment(start), *cells] if steps else cells)
    print_listing(columns, shown, empty="nothing was measured in that time")


def _order(label: tuple[str, str]) -> tuple[bool, str]:
    """The system first: it is what all have."""
    return (label[0] != "system", label[0])


def _short(number: float) -> float | int:
    """Four digits that count."""
    rounded = float(f"{number:.4g}")
    return int(rounded) if rounded.is_integer() and abs(rounded) < 1e15 else rounded


def _documents(found: Sequence[Row]) -> list[dict[str, Any]]:
    return [
        {
            "name": name,
            "labels": dict(labels),
            "from": iso(start),
            "to": iso(end),
            "count": distribution.count,
            "sum": distribution.total,
            "average": distribution.average,
            "min": distribution.least,
            "p50": distribution.percentile(50),
            "p99": distribution.percentile(99),
            "max": distribution.greatest,
        }
        for (name, labels), start, end, distribution in found
    ]


def _queues(state: Path, system: str | None) -> dict[tuple[str, str], QueueStats]:
    """How queues are now, by system and name. A server may run on the state: it is only looked at."""
    if not state.is_file():
        return {}
    try:
        with closing(sqlite3.connect(f"{state.absolute().as_uri()}?mode=rw", uri=True, timeout=10.0)) as db:
            found = all_stats(db, time.time())
    except sqlite3.Error as error:
        raise EngineUnavailable(f"{state} cannot be read now: {error}") from error
    return {key: stats for key, stats in found.items() if system is None or key[0] == system}


def _queue_row(stats: QueueStats) -> list[object]:
    return [stats.waiting, stats.in_flight, stats.delayed, stats.dead, round(stats.oldest_age)]


def _queue_documents(queues: dict[tuple[str, str], QueueStats]) -> list[dict[str, Any]]:
    return [
        {"system": system, "queue": queue, **msgspec.to_builtins(stats)}
        for (system, queue), stats in sorted(queues.items())
    ]
