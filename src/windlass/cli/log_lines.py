"""How a running server writes its logs: one line each, with the trace id, secrets masked."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any

import msgspec

import windlass
from windlass.engines.embedded.redact import Redactor
from windlass.ports.binding import invocation_trace

__all__ = ["show_logs"]


_PACKAGE = Path(windlass.__file__).parent


class _Lines(logging.Formatter):
    def __init__(self, redactor: Redactor, *, as_json: bool) -> None:
        super().__init__()
        self._redactor, self._as_json = redactor, as_json

    def formatException(self, ei: Any) -> str:  # noqa: N802
        """The traceback from the handler's own code on: the frames before it are the same for every handler."""
        kind, error, trace = ei
        for own in _following(trace):
            if not Path(own.tb_frame.f_code.co_filename).is_relative_to(_PACKAGE):
                return super().formatException((kind, error, own))
        return super().formatException(ei)

    def format(self, record: logging.LogRecord) -> str:
        time = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        # An exception's text may hold what is not valid Unicode, and a line that cannot be encoded would be lost.
        text = super().format(record).encode(errors="backslashreplace").decode()
        message = self._redactor.mask(text)
        trace_id = getattr(record, "trace_id", None) or invocation_trace()
        if self._as_json:
            line = {"time": time, "level": record.levelname, "logger": record.name, "message": message}
            if trace_id:
                line["trace_id"] = trace_id
            for name in ("system", "handler"):
                if value := getattr(record, name, None):
                    line[name] = value
            return msgspec.json.encode(line).decode()
        system = getattr(record, "system", None)
        first, *rest = message.split("\n")
        told = f"{first}  system={system}" if system else first
        if trace_id:
            told += f"  trace={trace_id}"
        return "\n".join((f"{time} {record.levelname:<7} {told}", *rest))


def _following(trace: TracebackType | None) -> Iterator[TracebackType]:
    while trace is not None:
        yield trace
        trace = trace.tb_next


def show_logs(redactor: Redactor, *, as_json: bool) -> None:
    """Writes all logs from INFO up to standard error."""
    lines = logging.StreamHandler(sys.stderr)
    lines.setFormatter(_Lines(redactor, as_json=as_json))
    root = logging.getLogger()
    root.addHandler(lines)
    root.setLevel(logging.INFO)
    logging.getLogger("watchfiles").setLevel(logging.WARNING)  # it tells of each change, which `up` does itself
