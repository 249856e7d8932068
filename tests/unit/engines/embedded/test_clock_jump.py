"""The machine's clock is set back: nothing is late, lost or done twice for it."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from windlass import System, Tick
from windlass.engines.embedded.clock_jump import TOLERANCE
from windlass.engines.embedded.engine import EmbeddedEngine
from windlass.engines.embedded.namespace import Namespace
from windlass.ports.queue import Outgoing
from windlass.testing import Driver

HOUR = timedelta(hours=1)
MINUTE = timedelta(minutes=1)
PATIENCE = 15.0


@dataclass
class Job:
    name: str


class Post:
    """A system that notes what happens: `done` the names of jobs, `struck` when schedules fired."""

    def __init__(self) -> None:
        self.system = System("post")
        self.done: list[str] = []
        self.struck: list[datetime] = []
        self.fail = 0
        self.arrived = threading.Semaphore(0)
        self.jobs = self.system.queue("jobs", Job)
        self.letters = self.system.queue("letters", Job, fifo=True)
        self.often = self.system.schedule("often", every=timedelta(minutes=10))

        @self.jobs.consumer()
        def work(job: Job) -> None:
            if self.fail:
                self.fail -= 1
                raise ValueError("not yet")
            self.done.append(job.name)
            self.arrived.release()

        @self.letters.consumer()
        def carry(job: Job) -> None:
            self.done.append(job.name)

        @self.often.task()
        def strike(tick: Tick) -> None:
            self.struck.append(tick.scheduled_at)


@pytest.fixture
def post() -> Post:
    return Post()


@pytest.fixture
def app(post: Post) -> Iterator[Driver]:
    with post.system.run_embedded() as driver, driver.bound():
        yield driver


def warnings(app: Driver) -> list[str]:
    return [line.message for line in app.logs if "the clock went back" in line.message]


# The whole system, by the driver


def test_messages_are_delivered_promptly_and_once(app: Driver, post: Post) -> None:
    post.jobs.send(Job("before"))
    app.clock.set_back(HOUR)
    post.jobs.send(Job("after"))
    app.settle()
    assert sorted(post.done) == ["after", "before"]
    app.advance(2 * HOUR)
    assert sorted(post.done) == ["after", "before"]
    [warning] = warnings(app)
    assert warning.startswith("the clock went back by 3600 seconds: delays, retries, leases")


def test_a_delayed_message_waits_for_the_rest_of_its_delay(app: Driver, post: Post) -> None:
    post.jobs.send(Job("late"), delay=10 * MINUTE)
    app.advance(4 * MINUTE)
    app.clock.set_back(HOUR)
    app.advance(timedelta(minutes=5, seconds=59))
    assert post.done == []
    app.advance(timedelta(seconds=1))
    assert post.done == ["late"]


def test_one_that_is_sent_before_the_engine_has_noticed_waits_as_long_as_the_others(app: Driver, post: Post) -> None:
    app.clock.set_back(HOUR)
    post.jobs.send(Job("late"), delay=10 * MINUTE)
    app.settle()
    assert post.done == []
    app.advance(10 * MINUTE)
    assert post.done == ["late"]


def test_what_failed_is_tried_again_after_its_visibility_timeout(app: Driver, post: Post) -> None:
    post.fail = 1
    post.jobs.send(Job("twice"))
    app.settle()
    app.clock.set_back(HOUR)
    app.advance(timedelta(seconds=29))
    assert post.done == []
    app.advance(timedelta(seconds=1))
    assert post.done == ["twice"]


def test_deduplication_ends_when_it_would_have(app: Driver, post: Post) -> None:
    post.letters.send(Job("one"), group="g", dedupe="d")
    app.advance(4 * MINUTE)
    app.clock.set_back(HOUR)
    app.settle()
    post.letters.send(Job("two"), group="g", dedupe="d")
    app.advance(MINUTE)
    post.letters.send(Job("three"), group="g", dedupe="d")
    app.settle()
    assert post.done == ["one", "three"]


def test_a_rate_goes_on(app: Driver, post: Post) -> None:
    app.advance(25 * MINUTE)
    app.clock.set_back(HOUR)
    app.advance(25 * MINUTE)
    at = [moment.strftime("%H:%M") for moment in post.struck]
    assert at == ["09:10", "09:20", "08:30", "08:40", "08:50"]


def test_the_clock_may_go_back_again_and_again(app: Driver, post: Post) -> None:
    post.jobs.send(Job("late"), delay=10 * MINUTE)
    for _ in range(5):
        app.clock.set_back(HOUR)
        app.advance(2 * MINUTE)
    assert post.done == ["late"]
    assert len(warnings(app)) == 5


def test_small_steps_are_left_alone(app: Driver, post: Post) -> None:
    app.clock.set_back(timedelta(seconds=TOLERANCE - 1))
    app.settle()
    assert warnings(app) == []


def test_forward_needs_nothing(app: Driver, post: Post) -> None:
    post.jobs.send(Job("late"), delay=10 * MINUTE)
    app.advance(HOUR)
    assert post.done == ["late"]
    assert warnings(app) == []


# Over a restart


def test_a_start_finds_the_clock_behind_the_last_end(tmp_path: Path, post: Post) -> None:
    with post.system.run_embedded(tmp_path) as app, app.bound():
        post.jobs.send(Job("late"), delay=10 * MINUTE)
        app.advance(4 * MINUTE)
    start = datetime(2024, 6, 12, 5, 0, tzinfo=UTC)
    with post.system.run_embedded(tmp_path, clock_start=start) as app:
        app.advance(timedelta(minutes=5, seconds=59))
        assert post.done == []
        app.advance(timedelta(seconds=1))
        assert post.done == ["late"]


def test_a_start_long_after_moves_nothing(tmp_path: Path, post: Post) -> None:
    with post.system.run_embedded(tmp_path) as app, app.bound():
        post.jobs.send(Job("late"), delay=10 * MINUTE)
    start = datetime(2024, 6, 12, 9, 5, tzinfo=UTC)
    with post.system.run_embedded(tmp_path, clock_start=start) as app:
        app.advance(timedelta(minutes=4, seconds=59))
        assert post.done == []


# A server with its threads


class Wall:
    """The machine's clock, `back` seconds late."""

    back = 0.0

    def now(self) -> float:
        return time.time() - self.back

    def steady(self) -> float:
        return time.monotonic()


def test_a_running_server_notices_by_itself(tmp_path: Path, post: Post, caplog: pytest.LogCaptureFixture) -> None:
    wall = Wall()
    engine = EmbeddedEngine(Namespace(tmp_path, clock=wall), [post.system])
    engine.prepare()
    engine.start()
    queue = engine.systems["post"].ports["jobs"]
    try:
        queue.send([Outgoing(b'{"name":"late"}', 4.0)])
        engine.namespace.store.flush()
        began = time.monotonic()
        wall.back = 3600.0
        queue.send([Outgoing(b'{"name":"now"}')])
        engine.namespace.store.flush()
        assert post.arrived.acquire(timeout=PATIENCE)
        assert post.done == ["now"]
        assert post.arrived.acquire(timeout=PATIENCE)
        assert 3.5 < time.monotonic() - began < PATIENCE
        assert post.done == ["now", "late"]
        assert caplog.text.count("the clock went back by 3600 seconds") == 1
        assert abs(engine.namespace.clock.now() - wall.now()) < 1
    finally:
        engine.stop()
