"""`windlass logs`."""

from __future__ import annotations

import logging
from pathlib import Path

import click

from windlass.cli.document import print_json
from windlass.cli.home import home_options
from windlass.cli.listing import harmless
from windlass.cli.log_lines import json_line, text_line
from windlass.cli.recorded import follow_option, nothing_recorded, repeat, since_option, started, system_option
from windlass.dispatch.log_entries import LogEntry
from windlass.engines.embedded.recorder import log_reader, telemetry_folder

__all__ = ["logs"]

_COLORS = {"WARNING": "yellow", "ERROR": "red", "CRITICAL": "red"}


@click.command(
    epilog="""\b
Examples:
  windlass logs
  windlass logs --system shop --level warning --since 1h
  windlass logs --trace 420d0fb0718679033aac38c84d6de40f
  windlass logs --follow --grep payment"""
)
@system_option
@click.option("--trace", metavar="ID", help="Of this trace only; the first digits of its id will do.")
@click.option(
    "--level",
    type=click.Choice(["info", "warning", "error", "critical"], case_sensitive=False),
    default="info",
    show_default=True,
    help="At least as severe.",
)
@click.option("--handler", metavar="NAME", help="Of this handler only.")
@click.option("--grep", metavar="TEXT", help="With this text in the message, in capitals or not.")
@since_option
@click.option(
    "--limit", type=click.IntRange(min=1), default=100, show_default=True, help="The newest, at most so many."
)
@follow_option
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document; with --follow, one a line.")
@home_options
def logs(
    system: str | None,
    trace: str | None,
    level: str,
    handler: str | None,
    grep: str | None,
    since: float | None,
    limit: int,
    follow: bool,
    as_json: bool,
    home: Path,
    namespace: str,
) -> None:
    """Show what was logged.

    The oldest comes first. A server may run, or not.
    """
    path = started(home, namespace)
    reader = log_reader(path)
    least = logging.getLevelNamesMapping()[level.upper()]
    text = None if grep is None else grep.casefold()

    def wanted(entry: LogEntry) -> bool:
        return (
            (system is None or entry.system == system)
            and (trace is None or entry.trace_id.startswith(trace.lower()))
            and (handler is None or entry.handler == handler)
            and _severity(entry.level) >= least
            and (text is None or text in entry.message.casefold())
        )

    if reader.empty and not follow and not telemetry_folder(path).is_dir():  # else all was quiet
        raise nothing_recorded(path, "logs")
    news = reader.follow()
    found = reader.newest(limit, since or 0.0, wanted, *([trace.lower()] if trace and trace.isalnum() else []))
    if as_json and not follow:
        print_json(found)
        return
    if not found and not follow:
        click.echo("no log entry is like that")
    for entry in found:
        _show(entry, as_json)
    if reader.skipped:
        click.echo(f"{reader.skipped} lines could not be read and were left out", err=True)

    def show() -> None:
        for entry in sorted(news(), key=lambda entry: entry.time):
            if wanted(entry):
                _show(entry, as_json)

    if follow:
        repeat(show)


def _severity(level: str) -> int:
    return logging.getLevelNamesMapping().get(level, logging.INFO)


def _show(entry: LogEntry, as_json: bool) -> None:
    if as_json:
        click.echo(json_line(entry))
    else:
        click.secho(harmless(text_line(entry)), fg=_COLORS.get(entry.level))
