"""Schedules in SQLite: a tick that the process dies of comes to an end."""

from datetime import timedelta
from pathlib import Path

import pytest

from windlass import System
from windlass.engines.embedded.namespace import Namespace
from windlass.engines.embedded.schedule import EmbeddedSchedule
from windlass.ports.clock import ManualClock


def test_a_tick_whose_handler_never_ends_is_given_up(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    system, clock = System("post"), ManualClock()
    model = system.schedule("nightly", every=timedelta(hours=1), retries=1)
    namespace = Namespace(tmp_path, clock=clock)
    schedule = EmbeddedSchedule(model, namespace)
    clock.advance(timedelta(hours=1))
    attempts = []
    for _ in range(4):
        attempts.append([tick.attempt for tick in schedule.take(clock.now(), 1, lease=10)])
        clock.advance(timedelta(seconds=10))
    assert attempts == [[1], [2], [], []]
    assert "post.nightly was given up" in caplog.text
    assert schedule.due_at() == schedule.next_at()
    namespace.close()
