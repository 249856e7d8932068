"""`windlass alarms`."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, get_args

import click
import msgspec

from windlass.cli.declared import find_system, found_systems
from windlass.cli.document import print_json
from windlass.cli.home import home_options
from windlass.cli.listing import harmless, moment, print_listing
from windlass.cli.recorded import follow_option, repeat
from windlass.cli.state import open_state
from windlass.engines.embedded.alarm import AlarmBook
from windlass.errors import NotFound
from windlass.graph.load import load
from windlass.model.system import System
from windlass.ports.alarm import AlarmChange, AlarmRule, AlarmState, AlarmStatus, said
from windlass.ports.clock import iso

__all__ = ["alarms"]

_POLL_SECONDS = 1.0
_MOST_AT_ONCE = 10_000
_ORDER = {"ALARM": 0, "INSUFFICIENT_DATA": 1, "OK": 2}


@click.command(
    epilog="""\b
Examples:
  windlass alarms                        of all systems in ./systems, or here
  windlass alarms shop --state alarm
  windlass alarms shop --history --limit 10
  windlass alarms --follow"""
)
@click.argument("system", required=False)
@click.option(
    "--state",
    type=click.Choice(get_args(AlarmState), case_sensitive=False),
    help="Only those that are, or became, this.",
)
@click.option("--history", is_flag=True, help="The changes of state of the last two weeks, the newest first.")
@click.option("--limit", type=click.IntRange(min=1), default=50, show_default=True, help="Of changes, at most so many.")
@follow_option
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document; with --follow, one change a line.")
@home_options
def alarms(
    system: str | None,
    state: AlarmState | None,
    history: bool,
    limit: int,
    follow: bool,
    as_json: bool,
    home: Path,
    namespace: str,
) -> None:
    """List alarms with their state, and how they have changed.

    Those in ALARM come first. A running server evaluates them once a minute.
    """
    with ExitStack() as opened:
        books = [opened.enter_context(open_state(one, home, namespace)).alarms for one in _systems(system)]
        if follow:
            _follow(books, state, history, limit, as_json)
        elif history:
            _print_changes(_changes(books, state, limit), as_json)
        else:
            _print_statuses(books, state, as_json)


def _systems(said: str | None) -> list[System]:
    if said is not None:
        return [load(find_system(said))]
    found = found_systems()
    if not found:
        raise NotFound(
            "there is no system in ./systems or in the present folder\n  fix: name one: windlass alarms SYSTEM"
        )
    return [load(path) for path in found]


Found = list[tuple[AlarmBook, AlarmChange]]


def _changes(books: Sequence[AlarmBook], state: AlarmState | None, limit: int) -> Found:
    """The newest changes first."""
    found = [(book, change) for book in books for change in book.history(_MOST_AT_ONCE)]
    wanted = [(book, change) for book, change in found if state in (None, change.new)]
    return sorted(wanted, key=lambda pair: pair[1].number, reverse=True)[:limit]


def _follow(books: Sequence[AlarmBook], state: AlarmState | None, history: bool, limit: int, as_json: bool) -> None:
    seen = max((change.number for book in books for change in book.history(1)), default=0)
    if history:
        for book, change in reversed(_changes(books, state, limit)):
            _print_change(book, change, as_json)
    elif not as_json:
        _print_statuses(books, state, as_json)

    def show() -> None:
        nonlocal seen
        news = [(book, change) for book in books for change in book.history(_MOST_AT_ONCE, after=seen)]
        for book, change in sorted(news, key=lambda pair: pair[1].number):
            seen = change.number
            if state in (None, change.new):
                _print_change(book, change, as_json)

    repeat(show, _POLL_SECONDS)


def _print_statuses(books: Sequence[AlarmBook], state: AlarmState | None, as_json: bool) -> None:
    found = [(book, status) for book in books for status in book.statuses() if state in (None, status.state)]
    if as_json:
        print_json([_document(book, status) for book, status in found])
        return
    found.sort(key=lambda pair: _ORDER[pair[1].state])
    rows = [
        [
            status.state,
            status.rule.name,
            "-" if status.since is None else moment(status.since),
            "-" if status.value is None else said(status.value, status.rule.unit),
            status.rule.condition,
            _of(books, book, status.rule),
        ]
        for book, status in found
    ]
    print_listing(["STATE", "ALARM", "SINCE", "LAST", "THRESHOLD", "OF"], rows, empty="no alarm is like that")


def _of(books: Sequence[AlarmBook], book: AlarmBook, rule: AlarmRule) -> str:
    return f"{book.system.name} {rule.subject}" if len(books) > 1 else rule.subject


def _print_changes(found: Found, as_json: bool) -> None:
    if as_json:
        print_json([_change(book, change) for book, change in found])
        return
    rows = [
        [moment(change.at), book.system.name, change.alarm, change.old, change.new, change.reason]
        for book, change in found
    ]
    print_listing(["TIME", "SYSTEM", "ALARM", "FROM", "TO", "WHY"], rows, empty="no alarm has changed")


def _print_change(book: AlarmBook, change: AlarmChange, as_json: bool) -> None:
    if as_json:
        click.echo(msgspec.json.encode(_change(book, change)).decode())
    else:
        colour = {"ALARM": "red", "OK": "green"}.get(change.new)
        click.echo(f"{moment(change.at)}  ", nl=False)
        click.secho(change.new, fg=colour, bold=True, nl=False)
        click.echo(harmless(f"  {book.system.name} {change.alarm}: {change.reason}"))


def _document(book: AlarmBook, status: AlarmStatus) -> dict[str, Any]:
    rule = msgspec.to_builtins(status.rule)
    return {
        "system": book.system.name,
        "name": rule.pop("name"),
        "state": status.state,
        "since": None if status.since is None else iso(status.since),
        "value": status.value,
        "reason": status.reason,
        "rule": {**rule, "labels": dict(status.rule.labels)},
    }


def _change(book: AlarmBook, change: AlarmChange) -> dict[str, Any]:
    return {
        "time": iso(change.at),
        "system": book.system.name,
        "alarm": change.alarm,
        "from": change.old,
        "to": change.new,
        "value": change.value,
        "reason": change.reason,
    }
