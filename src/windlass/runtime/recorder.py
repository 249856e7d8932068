"""What an invocation leaves behind: log lines and metrics, in one write at its end, and spans for X-Ray.

A write for each line would cost more than all else that is recorded. So that little is lost when a function is killed,
lines that have gathered are written at once when one says that something failed.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING

import msgspec

from windlass.dispatch.context import logger
from windlass.dispatch.log_entries import entry_of
from windlass.dispatch.redact import Redactor
from windlass.dispatch.telemetry import Telemetry
from windlass.runtime.metric_documents import documents, watched_by
from windlass.runtime.xray import LambdaTrace, Xray, lambda_trace

if TYPE_CHECKING:
    from windlass.dispatch.metrics import Series
    from windlass.model.system import System

__all__ = ["Recorder"]

_MOST_GATHERED = 64 * 1024
_MOST_MESSAGE = 100_000  # characters: an event of CloudWatch Logs has at most 256 KB, or 1 MB in newer accounts

_encode = msgspec.json.Encoder().encode


class _Line(msgspec.Struct, gc=False, omit_defaults=True):
    """A log line. Lambda wants `timestamp` and `level` by these names, to filter by level
    (https://docs.aws.amazon.com/lambda/latest/dg/monitoring-cloudwatchlogs-logformat.html)."""

    timestamp: datetime
    level: str
    message: str
    logger: str
    trace_id: str
    span_id: str = ""
    system: str = ""
    handler: str = ""
    aws_request_id: str = ""


class Recorder(logging.Handler):
    """Writes JSON lines for the handler `handler` of `system` with `write`, masked by `redactor`."""

    def __init__(
        self,
        system: str,
        handler: str,
        write: Callable[[bytes], object],
        *,
        redactor: Redactor,
        xray: str = "",
        level: int = logging.INFO,
    ) -> None:
        super().__init__(level)
        self.redactor = redactor
        self._system, self._handler, self._write = system, handler, write
        self._namespace = f"Windlass/{system}"
        self._watched: frozenset[Series] = frozenset()
        self._xray = Xray(xray)
        self._lines: list[bytes] = []
        self._size = 0
        self._writing = threading.RLock()
        self._request_id = ""
        self.trace: LambdaTrace | None = None
        self.senders: dict[str, LambdaTrace] = {}
        """The sampled traces that the invocation's messages come from: `xray.senders_in`."""

    def watch(self, system: System) -> None:
        """Has metrics written that the alarms of `system` watch, and that are not written otherwise."""
        self._watched = watched_by(system)

    def begin(self, request_id: str, trace_header: str | None) -> None:
        """An invocation begins, in the trace that `_X_AMZN_TRACE_ID` names."""
        self._request_id = request_id
        self.trace = lambda_trace(trace_header) if trace_header else None
        self.senders = {}

    def end(self, telemetry: Telemetry) -> None:
        """An invocation has ended: all that it left is written. Never raises: what it did is done, and its answer must
        not be lost for a trace."""
        try:
            self._take(telemetry)
        except Exception as error:
            logger.warning("the metrics and traces of an invocation are incomplete", exc_info=error)
        self.write()

    def _take(self, telemetry: Telemetry) -> None:
        spans = telemetry.take()
        self._lines.extend(documents(telemetry.metrics.take(), self._namespace, self._watched))
        if self.senders or (self.trace is not None and self.trace.sampled):
            mask = self.redactor.mask
            for span in spans:
                if span.error:
                    span.error = mask(span.error)
            self._xray.send(spans, self.trace, self.senders)

    def emit(self, record: logging.LogRecord) -> None:
        """Keeps a record until it is written."""
        try:
            entry = entry_of(record, self.redactor)
            message = entry.message
            if len(message) > _MOST_MESSAGE:
                message = f"{message[:_MOST_MESSAGE]} (and {len(message) - _MOST_MESSAGE:,} characters more)"
            line = _Line(
                entry.time,
                entry.level,
                message,
                entry.logger,
                entry.trace_id or (self.trace.origin.trace if self.trace else ""),
                entry.span_id,
                entry.system or self._system,
                entry.handler or self._handler,
                self._request_id,
            )
            encoded = _encode(line)
        except Exception:
            self.handleError(record)
            return
        self._lines.append(encoded)
        self._size += len(encoded)
        if record.levelno >= logging.ERROR or self._size > _MOST_GATHERED:
            self.write()

    def write(self) -> None:
        """Writes what has gathered."""
        with self._writing:
            lines, self._lines, self._size = self._lines, [], 0
            if lines:
                lines.append(b"")
                self._write(b"\n".join(lines))

    def close(self) -> None:
        """Writes the rest, and closes the way to X-Ray."""
        self.write()
        self._xray.close()
        super().close()
