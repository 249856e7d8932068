"""Log lines of a function."""

from __future__ import annotations

import json
import logging
from typing import Any

import pytest

from windlass.dispatch.redact import Redactor
from windlass.dispatch.telemetry import Telemetry
from windlass.ports.clock import ManualClock
from windlass.ports.telemetry import Span
from windlass.runtime.recorder import Recorder


class Desk:
    """A recorder with its writes."""

    def __init__(self) -> None:
        self.writes: list[bytes] = []
        self.redactor = Redactor()
        self.recorder = Recorder("shop", "create", self.writes.append, redactor=self.redactor)
        self.log = logging.Logger("mine")
        self.log.addHandler(self.recorder)

    @property
    def lines(self) -> list[dict[str, Any]]:
        self.recorder.write()
        return [json.loads(line) for write in self.writes for line in write.decode().splitlines()]


@pytest.fixture
def desk() -> Desk:
    return Desk()


def test_a_line_says_all_that_is_known(desk: Desk) -> None:
    desk.recorder.begin("r-1", "Root=1-5759e988-bd862e3fe1be46a994272793")
    desk.log.info("taken: %s", "p1")
    (line,) = desk.lines
    assert line.pop("timestamp").endswith("Z")
    assert line == {
        "level": "INFO",
        "message": "taken: p1",
        "logger": "mine",
        "trace_id": "5759e988bd862e3fe1be46a994272793",
        "system": "shop",
        "handler": "create",
        "aws_request_id": "r-1",
    }


def test_secrets_and_exceptions_are_masked(desk: Desk) -> None:
    desk.redactor.add("hunter22")
    try:
        raise ValueError("hunter22 is no good")
    except ValueError:
        desk.log.exception("failed with %s", "hunter22")
    (line,) = desk.lines
    assert line["message"].startswith("failed with ***\nTraceback")
    assert line["message"].endswith("ValueError: *** is no good")


def test_lines_wait_for_the_end_of_the_invocation(desk: Desk) -> None:
    desk.log.info("one")
    desk.log.warning("two")
    assert desk.writes == []
    desk.recorder.end(Telemetry(ManualClock()))
    assert len(desk.writes) == 1
    assert len(desk.lines) == 2


def test_an_error_is_written_at_once_with_what_came_before(desk: Desk) -> None:
    desk.log.info("one")
    desk.log.error("two")
    assert len(desk.writes) == 1
    assert [line["message"] for line in desk.lines] == ["one", "two"]


def test_very_many_lines_do_not_wait(desk: Desk) -> None:
    for _ in range(700):
        desk.log.info("x" * 100)
    assert desk.writes


def test_a_message_that_cloudwatch_would_not_take_is_cut_off(desk: Desk) -> None:
    desk.log.info("é" * 150_000)
    (line,) = desk.lines
    assert line["message"].endswith("é (and 50,000 characters more)")


def test_odd_text_is_written_all_the_same(desk: Desk) -> None:
    desk.log.info("half \ud800\nnew line")
    (line,) = desk.lines
    assert line["message"] == "half \\ud800\nnew line"


def test_what_cannot_be_recorded_costs_nobody_an_answer(desk: Desk) -> None:
    class Broken(Telemetry):
        def take(self, most: int = 1) -> list[Span]:
            raise MemoryError("no room for spans")

    logging.getLogger("windlass").addHandler(desk.recorder)
    try:
        desk.recorder.begin("r-1", None)
        desk.recorder.end(Broken(ManualClock()))
    finally:
        logging.getLogger("windlass").removeHandler(desk.recorder)
    (line,) = desk.lines
    assert line["level"] == "WARNING"
    assert "incomplete" in line["message"]
