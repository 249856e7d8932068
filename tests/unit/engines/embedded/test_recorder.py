"""The recorder: what was recorded is kept, masked, of several processes; and it is never in the way."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from windlass.dispatch.log_entries import LogEntry
from windlass.dispatch.metrics import Deltas, series
from windlass.dispatch.redact import Redactor
from windlass.dispatch.telemetry import Telemetry
from windlass.engines.embedded.recorder import Limits, Recorder, log_reader, span_reader, telemetry_folder
from windlass.ports.clock import SystemClock
from windlass.ports.telemetry import Span, new_span_id

logger = logging.getLogger("tests.recorder")


class Kept:
    """An export that keeps what it is offered."""

    def __init__(self) -> None:
        self.spans: list[Span] = []
        self.entries: list[LogEntry] = []
        self.deltas: list[Deltas] = []
        self.closed = threading.Event()

    def offer(self, spans: Sequence[Span], entries: Sequence[LogEntry], deltas: Deltas) -> None:
        self.spans += spans
        self.entries += entries
        self.deltas += [deltas] if deltas else []

    def close(self) -> None:
        self.closed.set()


@pytest.fixture
def telemetry() -> Telemetry:
    return Telemetry(SystemClock())


@pytest.fixture
def info() -> Iterator[None]:
    root = logging.getLogger()
    before = root.level
    root.setLevel(logging.INFO)
    yield
    root.setLevel(before)


@contextmanager
def recording(telemetry: Telemetry, path: Path, redactor: Redactor | None = None, **more: Any) -> Iterator[Recorder]:
    recorder = Recorder(telemetry, redactor or Redactor(), path, **more)
    recorder.start()
    try:
        yield recorder
    finally:
        recorder.stop()


def span(**more: Any) -> Span:
    fields: dict[str, Any] = {
        "kind": "request",
        "name": "orders.get",
        "system": "shop",
        "trace": "t" * 32,
        "id": new_span_id(),
        "start": 1_700_000_000.0,
        "seconds": 0.001,
    }
    return Span(**(fields | more))


def test_all_that_was_recorded_is_kept_when_it_stops(telemetry: Telemetry, tmp_path: Path, info: None) -> None:
    with recording(telemetry, tmp_path) as recorder:
        for number in range(1200):
            telemetry.record(span(resource=f"{number}"))
        telemetry.metrics.count(series("messages_sent", queue="placed"), 3)
        logger.info("said %s", "so", extra={"system": "shop", "handler": "create", "trace_id": "a" * 32})
    assert [found.resource for found in span_reader(tmp_path).lines()] == [str(number) for number in range(1200)]
    [entry] = [entry for entry in log_reader(tmp_path).lines() if entry.logger == logger.name]
    assert (entry.level, entry.message) == ("INFO", "said so")
    assert (entry.system, entry.handler, entry.trace_id) == ("shop", "create", "a" * 32)
    fresh = Recorder(telemetry, Redactor(), tmp_path)
    totals = fresh.metrics.totals()
    assert totals[series("messages_sent", queue="placed")].total == 3
    assert sum(total.count for (name, _), total in totals.items() if name == "requests") == 1200
    fresh.stop()
    assert recorder.metrics.path.parent.stat().st_mode & 0o777 == 0o700


def test_it_keeps_while_it_runs(telemetry: Telemetry, tmp_path: Path) -> None:
    with recording(telemetry, tmp_path) as recorder:
        telemetry.record(span())
        pause = threading.Event()
        for _ in range(200):
            if list(span_reader(tmp_path).lines()) and recorder.metrics.totals():
                break
            pause.wait(0.05)
        else:
            pytest.fail("nothing was written within ten seconds")


def test_secrets_are_masked(telemetry: Telemetry, tmp_path: Path, info: None) -> None:
    redactor, kept = Redactor(), Kept()
    redactor.add("correct horse")
    with recording(telemetry, tmp_path, redactor, export=kept):
        telemetry.record(span(outcome="error", error="ValueError: correct horse is wrong"))
        logger.error("the password is %s", "correct horse", extra={"token": "x"})
        try:
            raise ValueError("password=battery-staple")
        except ValueError:
            logger.exception("failed")
    for file in telemetry_folder(tmp_path).iterdir():
        content = file.read_bytes()
        assert b"correct horse" not in content
        assert b"battery" not in content
    [found] = span_reader(tmp_path).lines()
    assert found.error == "ValueError: *** is wrong"
    assert [one.error for one in kept.spans] == [found.error]
    assert all("correct horse" not in entry.message for entry in kept.entries)
    assert kept.closed.is_set()


def test_what_is_exported_is_what_is_kept(telemetry: Telemetry, tmp_path: Path, info: None) -> None:
    kept = Kept()
    with recording(telemetry, tmp_path, export=kept):
        telemetry.record(span(resource="a"))
        logger.info("an entry")
    assert [one.resource for one in kept.spans] == ["a"]
    assert "an entry" in [entry.message for entry in kept.entries]
    assert {name for deltas in kept.deltas for _, (name, _) in deltas} >= {"requests", "request_seconds"}


def test_without_room_traces_and_logs_are_not_kept_but_metrics_are(telemetry: Telemetry, tmp_path: Path) -> None:
    with recording(telemetry, tmp_path, limits=Limits.of(0, 7)) as recorder:
        telemetry.record(span())
        logger.warning("not kept")
    assert [file.name for file in telemetry_folder(tmp_path).iterdir()] == ["metrics.sqlite"]
    assert recorder.metrics.path.stat().st_size > 0


def test_a_long_message_is_cut(telemetry: Telemetry, tmp_path: Path, info: None) -> None:
    with recording(telemetry, tmp_path):
        logger.info("x" * 100_000)
    [entry] = [entry for entry in log_reader(tmp_path).lines() if entry.logger == logger.name]
    assert entry.message == "x" * 32768 + "... (of 100,000 characters)"


def test_what_cannot_be_written_is_dropped_with_one_warning(
    telemetry: Telemetry, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    telemetry_folder(tmp_path).write_text("a file, where a folder should be")
    recorder = Recorder(telemetry, Redactor(), tmp_path)
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            telemetry.record(span())
            recorder.record()
            recorder.merge()
    assert [record.getMessage().partition(":")[0] for record in caplog.records] == [
        "telemetry is dropped, it cannot be written",
        "metrics wait in memory, they cannot be stored",
    ]
    telemetry_folder(tmp_path).unlink()
    telemetry.record(span())
    recorder.record()
    recorder.merge()
    recorder.stop()
    assert len(list(span_reader(tmp_path).lines())) == 1
    again = Recorder(telemetry, Redactor(), tmp_path)
    assert sum(total.count for (name, _), total in again.metrics.totals().items() if name == "requests") == 4
    again.stop()


class Broken:
    """An export that does what none should."""

    def offer(self, spans: Sequence[Span], entries: Sequence[LogEntry], deltas: Deltas) -> None:
        raise RuntimeError("broken")

    def close(self) -> None:
        """Nothing is left to send."""


def test_a_fault_of_its_own_does_not_end_it(
    telemetry: Telemetry, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING), recording(telemetry, tmp_path, export=Broken()):
        telemetry.record(span())
    assert "telemetry is incomplete: RuntimeError: broken" in caplog.text


def test_the_handler_takes_what_any_logger_says(telemetry: Telemetry, tmp_path: Path, info: None) -> None:
    with recording(telemetry, tmp_path):
        # By hand: what captures the log of tests cannot pass a lone surrogate on.
        [handler] = [one for one in logging.getLogger().handlers if type(one).__module__ == Recorder.__module__]
        record = logger.makeRecord(logger.name, logging.INFO, __file__, 1, "a lone \ud800 surrogate", (), None)
        record.system, record.trace_id, record.handler = "\ud800", 7, None
        handler.handle(record)
        logger.info("%s", object)
    found = [entry for entry in log_reader(tmp_path).lines() if entry.logger == logger.name]
    assert [entry.message for entry in found] == ["a lone \\ud800 surrogate", "<class 'object'>"]
    assert (found[0].system, found[0].trace_id, found[0].handler) == ("\\ud800", "", "")
