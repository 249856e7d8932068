"""`windlass traces`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import click
import msgspec

from windlass.cli.document import print_json
from windlass.cli.home import home_options
from windlass.cli.listing import harmless, print_listing
from windlass.cli.recorded import LENGTH, follow_option, nothing_recorded, repeat, since_option, started, system_option
from windlass.engines.embedded.recorder import span_reader
from windlass.engines.embedded.segments import SegmentReader
from windlass.engines.embedded.trace_tree import Trace, find_trace, is_begin
from windlass.errors import NotFound
from windlass.ports.clock import from_epoch, iso
from windlass.ports.telemetry import Span

__all__ = ["traces"]

_MOST_SHOWN = 1000
_LIST = ["TIME", "TRACE", "SYSTEM", "NAME", "STATUS", "MS", "ERROR"]
_TREE = ["AT (MS)", "TOOK (MS)", "STATUS", "WHAT", "ERROR"]


@click.command(
    epilog="""\b
Examples:
  windlass traces                                     the newest
  windlass traces 420d0fb0718679033aac38c84d6de40f    one, as a tree; its first digits will do
  windlass traces --system shop --errors --since 1h
  windlass traces --slower 100ms --follow"""
)
@click.argument("trace_id", required=False)
@system_option
@click.option("--errors", is_flag=True, help="Only what failed.")
@click.option("--slower", type=LENGTH, metavar="LENGTH", help="Only what took longer: 100ms, 2s.")
@since_option
@click.option("--limit", type=click.IntRange(min=1), default=50, show_default=True, help="The newest, at most so many.")
@follow_option
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document; with --follow, one a line.")
@home_options
def traces(
    trace_id: str | None,
    system: str | None,
    errors: bool,
    slower: float | None,
    since: float | None,
    limit: int,
    follow: bool,
    as_json: bool,
    home: Path,
    namespace: str,
) -> None:
    """Show what happened: requests, and all that came of them.

    Without TRACE_ID, requests, firings and batches of messages are listed; with it, one is shown as a tree. A delivery
    of messages that belongs to the trace of the request that sent them is listed only when it failed.
    """
    path = started(home, namespace)
    reader = span_reader(path)
    if trace_id is not None:
        if follow:
            raise click.UsageError("--follow is for the list, not for one trace")
        if reader.empty:
            raise nothing_recorded(path, "traces")
        _show_trace(reader, trace_id, as_json)
        return

    def wanted(span: Span) -> bool:
        return (
            (is_begin(span) or (span.kind == "delivery" and span.outcome == "error"))
            and (system is None or span.system == system)
            and (slower is None or span.seconds >= slower)
            and (not errors or span.outcome == "error" or span.status >= 500)
        )

    if reader.empty and not follow:
        raise nothing_recorded(path, "traces")
    news = reader.follow()
    found = reader.newest(limit, since or 0.0, wanted)
    if as_json and not follow:
        print_json([_document(span) for span in found])
        return
    if follow:
        _show_lines(found, as_json)
        repeat(lambda: _show_lines(filter(wanted, news()), as_json))
        return
    print_listing(_LIST, [_row(span) for span in found], empty="no trace is like that")
    _tell_skipped(reader)


def _show_trace(reader: SegmentReader[Span], trace_id: str, as_json: bool) -> None:
    wanted = trace_id.lower()
    if not wanted.isalnum() or not wanted.isascii():
        raise click.UsageError(f"{trace_id!r} is no trace id: it has 32 hexadecimal digits, or fewer as its beginning")
    trace = find_trace(reader, wanted)
    if trace is None:
        raise NotFound(
            f"there is no trace {trace_id}\n  fix: give one of those that `windlass traces` lists; the oldest are "
            f"deleted, and the newest are there after a second"
        )
    if as_json:
        print_json({"trace": trace.id, "spans": [_document(span) for span in trace.spans]})
        return
    click.secho(f"trace {trace.id}  {_moment(trace.start)}", bold=True)
    for link in trace.causes:
        click.echo(f"  comes also from {harmless(link)}")
    lines = trace.lines()
    print_listing(_TREE, [_tree_row(trace, indent, span) for indent, span in lines[:_MOST_SHOWN]], empty="")
    if len(lines) > _MOST_SHOWN:
        click.echo(f"... and {len(lines) - _MOST_SHOWN:,} more, which --json shows")
    if trace.cut_off:
        click.echo("... and more traces that came of it, which are not shown")
    _tell_skipped(reader)


def _tell_skipped(reader: SegmentReader[Span]) -> None:
    if reader.skipped:
        click.echo(f"{reader.skipped} lines could not be read and were left out", err=True)


def _tree_row(trace: Trace, indent: str, span: Span) -> Sequence[object]:
    name = span.name
    if span.handler not in ("", "-"):
        name += f"  ({span.handler})"
    if span.kind == "delivery" and span.count > 1:
        name += f"  {span.count} messages"
    return [_number(span.start - trace.start), _number(span.seconds), _status(span), indent + name, _first(span.error)]


def _number(seconds: float) -> float:
    return round(seconds * 1000, 1)


def _status(span: Span) -> str:
    return str(span.status) if span.status else span.outcome


def _first(error: str) -> str:
    return error.partition("\n")[0]


def _moment(seconds: float) -> str:
    return from_epoch(seconds).strftime("%Y-%m-%d %H:%M:%S.%f")[:-3] + "Z"


def _row(span: Span) -> list[object]:
    return [
        _moment(span.start),
        span.trace,
        span.system,
        span.name,
        _status(span),
        _number(span.seconds),
        _first(span.error),
    ]


def _show_lines(spans: Iterable[Span], as_json: bool) -> None:
    for span in spans:
        if as_json:
            click.echo(msgspec.json.encode(_document(span)).decode())
        else:
            time, trace, system, name, status, took, error = map(str, _row(span))
            click.echo(harmless(f"{time}  {trace}  {system} {name}  {status}  {took} ms  {error}".rstrip()))


def _document(span: Span) -> dict[str, Any]:
    return {
        "trace": span.trace,
        "id": span.id,
        "parent": span.parent,
        "kind": span.kind,
        "name": span.name,
        "system": span.system,
        "handler": span.handler,
        "noun": span.noun,
        "resource": span.resource,
        "operation": span.operation,
        "start": iso(span.start),
        "seconds": span.seconds,
        "status": span.status,
        "outcome": span.outcome,
        "error": span.error,
        "count": span.count,
        "links": span.links,
    }
