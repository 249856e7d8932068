"""How a running server writes its logs: one line each, with the trace id, secrets masked."""

from __future__ import annotations

import logging
import sys
from datetime import UTC

import msgspec

from windlass.dispatch.log_entries import LogEntry, entry_of
from windlass.dispatch.redact import Redactor

__all__ = ["json_line", "show_logs", "text_line"]


class _Lines(logging.Formatter):
    def __init__(self, redactor: Redactor, *, as_json: bool) -> None:
        super().__init__()
        self._redactor, self._as_json = redactor, as_json

    def format(self, record: logging.LogRecord) -> str:
        entry = entry_of(record, self._redactor)
        return json_line(entry) if self._as_json else text_line(entry)


def json_line(entry: LogEntry) -> str:
    """An entry as a JSON object on one line; what is not known is left out."""
    return msgspec.json.encode(entry).decode()


def text_line(entry: LogEntry) -> str:
    """An entry as people read it; more lines follow where its message has more."""
    first, *rest = entry.message.split("\n")
    told = f"{first}  system={entry.system}" if entry.system else first
    if entry.trace_id:
        told += f"  trace={entry.trace_id}"
    moment = entry.time.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return "\n".join((f"{moment} {entry.level:<7} {told}", *rest))


def show_logs(redactor: Redactor, *, as_json: bool) -> None:
    """Writes all logs from INFO up to standard error."""
    lines = logging.StreamHandler(sys.stderr)
    lines.setFormatter(_Lines(redactor, as_json=as_json))
    root = logging.getLogger()
    root.addHandler(lines)
    root.setLevel(logging.INFO)
    logging.getLogger("watchfiles").setLevel(logging.WARNING)  # it tells of each change, which `up` does itself
