"""What is kept of a log record."""

import logging
import sys
from typing import Any

import msgspec
import pytest

from windlass.dispatch.log_entries import LogEntry, entry_of
from windlass.dispatch.redact import Redactor
from windlass.ports.binding import Invocation, invoked
from windlass.ports.clock import ManualClock


def record(message: str = "said", error: BaseException | None = None, **extra: Any) -> logging.LogRecord:
    told = None if error is None else (type(error), error, error.__traceback__)
    made = logging.LogRecord("shop", logging.WARNING, __file__, 1, message, (), told)
    vars(made).update(extra)
    return made


def test_what_is_logged_in_a_handler_belongs_to_it() -> None:
    invocation = Invocation("shop", "shop.create", {}, ManualClock(), b"", "a" * 32, "b" * 16)
    with invoked(invocation):
        entry = entry_of(record(), Redactor())
    assert (entry.system, entry.handler, entry.trace_id, entry.span_id) == ("shop", "create", "a" * 32, "b" * 16)
    assert (entry.level, entry.logger, entry.message) == ("WARNING", "shop", "said")
    outside = entry_of(record(), Redactor())
    assert (outside.system, outside.handler, outside.trace_id, outside.span_id) == ("", "", "", "")


def test_what_the_record_itself_says_comes_first() -> None:
    with invoked(Invocation("shop", "shop.create", {}, ManualClock(), b"", "a" * 32)):
        entry = entry_of(record(trace_id="c" * 32, handler="store", system=None), Redactor())
    assert (entry.trace_id, entry.handler, entry.system) == ("c" * 32, "store", "shop")


def test_it_is_made_once_for_each_redactor() -> None:
    made, redactor = record("the key is sesame-street"), Redactor()
    assert entry_of(made, redactor) is entry_of(made, redactor)
    other = Redactor()
    other.add("sesame-street")
    assert entry_of(made, other).message == "the key is ***"


def test_a_traceback_begins_at_code_that_is_not_windlass() -> None:
    with pytest.raises(ValueError, match="broken") as caught:
        raise ValueError("broken")
    message = entry_of(record("failed", caught.value), Redactor()).message
    assert message.startswith("failed\nTraceback (most recent call last):\n")
    assert message.endswith("ValueError: broken")
    assert sys._getframe().f_code.co_name in message


def test_an_entry_comes_back_as_it_was() -> None:
    entry = entry_of(record(trace_id="a" * 32), Redactor())
    assert msgspec.json.decode(msgspec.json.encode(entry), type=LogEntry) == entry
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(
            b'{"time":"2026-05-04T09:00:00","level":"INFO","logger":"x","message":"of no zone"}', type=LogEntry
        )
