"""What is kept and shown of a log record: its message without secrets, and the trace it belongs to."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Annotated, Any

import msgspec

import windlass
from windlass.dispatch.redact import Redactor
from windlass.ports.binding import running

__all__ = ["LogEntry", "entry_of"]

_PACKAGE = Path(windlass.__file__).parent


class LogEntry(msgspec.Struct, frozen=True, gc=False, omit_defaults=True, kw_only=True):
    """One log record. `message` has the traceback in it where there is one; what is not known is empty."""

    time: Annotated[datetime, msgspec.Meta(tz=True)]
    level: str
    logger: str
    message: str
    trace_id: str = ""
    span_id: str = ""
    system: str = ""
    handler: str = ""


class _Message(logging.Formatter):
    def formatException(self, ei: Any) -> str:  # noqa: N802
        """The traceback from the handler's own code on: the frames before it are the same for every handler."""
        kind, error, trace = ei
        for own in _following(trace):
            if not Path(own.tb_frame.f_code.co_filename).is_relative_to(_PACKAGE):
                return super().formatException((kind, error, own))
        return super().formatException(ei)


_message = _Message().format


def entry_of(record: logging.LogRecord, redactor: Redactor) -> LogEntry:
    """The entry of a record, to be made on the thread that logs: what runs there is what it belongs to. It is made
    once for all who ask."""
    made: tuple[Redactor, LogEntry] | None = getattr(record, "windlass_entry", None)
    if made is not None and made[0] is redactor:
        return made[1]
    # An exception's text may hold what is not valid Unicode, and a line that cannot be encoded would be lost.
    text = _message(record).encode(errors="backslashreplace").decode()
    told = vars(record)
    invocation = running()
    entry = LogEntry(
        time=datetime.fromtimestamp(record.created, UTC),
        level=record.levelname,
        logger=record.name,
        message=redactor.mask(text),
        trace_id=_text(told.get("trace_id")) or (invocation.trace_id if invocation else ""),
        span_id=_text(told.get("span_id")) or (invocation.span_id if invocation else ""),
        system=_text(told.get("system")) or (invocation.system if invocation else ""),
        handler=_text(told.get("handler")) or (invocation.handler.rpartition(".")[2] if invocation else ""),
    )
    record.windlass_entry = (redactor, entry)
    return entry


def _text(value: object) -> str:
    """A handler's own logging may use these names for anything."""
    return value.encode(errors="backslashreplace").decode() if isinstance(value, str) else ""


def _following(trace: TracebackType | None) -> Iterator[TracebackType]:
    while trace is not None:
        yield trace
        trace = trace.tb_next
