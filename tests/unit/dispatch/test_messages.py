"""Why a message failed, whatever its handler raised or said."""

import logging
import sys
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest

from windlass import Batch, System
from windlass.testing import Driver


@dataclass
class Job:
    kind: str


class Silent(Exception):
    """An exception that cannot be told."""

    def __str__(self) -> str:
        raise RuntimeError("no")


shop = System("shop")
jobs = shop.queue("jobs", Job, max_attempts=1)
ticks: list[int] = []


@jobs.consumer()
def work(batch: Batch[Job]) -> None:
    for message in batch:
        match message.body.kind:
            case "silent":
                raise Silent
            case "surrogate":
                raise ValueError("\ud800")
            case "exit":
                sys.exit(3)
            case "object":
                batch.fail(message, KeyError("x"))  # type: ignore[arg-type]
            case "bad reason":
                batch.fail(message, "\udfff")


@shop.schedule("nightly", every=timedelta(hours=1), retries=0).task()
def tick() -> None:
    ticks.append(1)
    sys.exit()


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        ("silent", "Silent"),
        ("surrogate", "ValueError: ?"),
        ("exit", "RuntimeError: work called sys.exit(3)"),
        ("object", "KeyError: 'x'"),
        ("bad reason", "?"),
    ],
)
def test_the_reason_can_be_stored(tmp_path: Path, kind: str, reason: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL, "windlass")  # xdist cannot hand on a log that is not valid Unicode
    with Driver(shop, tmp_path) as app:
        with app.bound():
            jobs.send(Job(kind))
        app.settle()
        [dead] = app.queue("jobs").peek(1, dead=True)
        assert dead.reason == reason


def test_a_schedule_whose_handler_exits_has_failed(tmp_path: Path) -> None:
    with Driver(shop, tmp_path) as app:
        app.advance(timedelta(hours=1))
        assert ticks == [1]
        assert any("failed on its schedule" in line.message for line in app.logs)
