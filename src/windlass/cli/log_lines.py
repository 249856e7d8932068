"""How a running server writes its logs: one line each, with the trace id, secrets masked."""

from __future__ import annotations

import logging
import sys
from datetime import UTC, datetime

import msgspec

from windlass.engines.embedded.redact import Redactor
from windlass.ports.binding import invocation_trace

__all__ = ["show_logs"]


class _Lines(logging.Formatter):
    def __init__(self, redactor: Redactor, *, as_json: bool) -> None:
        super().__init__()
        self._redactor, self._as_json = redactor, as_json

    def format(self, record: logging.LogRecord) -> str:
        time = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        message = self._redactor.mask(super().format(record))
        trace_id = getattr(record, "trace_id", None) or invocation_trace()
        if self._as_json:
            line = {"time": time, "level": record.levelname, "logger": record.name, "message": message}
            if trace_id:
                line["trace_id"] = trace_id
            for name in ("system", "handler"):
                if value := getattr(record, name, None):
                    line[name] = value
            return msgspec.json.encode(line).decode()
        return f"{time} {record.levelname:<7} {message}" + (f"  trace={trace_id}" if trace_id else "")


def show_logs(redactor: Redactor, *, as_json: bool) -> None:
    """Writes all logs from INFO up to standard error."""
    lines = logging.StreamHandler(sys.stderr)
    lines.setFormatter(_Lines(redactor, as_json=as_json))
    root = logging.getLogger()
    root.addHandler(lines)
    root.setLevel(logging.INFO)
    logging.getLogger("watchfiles").setLevel(logging.WARNING)  # it tells of each change, which `up` does itself
