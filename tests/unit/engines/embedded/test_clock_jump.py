"""The machine's clock is set back: nothing is late, lost or done twice for it."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.unit.engines.embedded.pool_world import ADA, PoolWorld, declared
from windlass import System, Tick
from windlass.dispatch.metrics import Metrics
from windlass.engines.embedded.clock_jump import TOLERANCE, ClockJump
from windlass.engines.embedded.engine import EmbeddedEngine
from windlass.engines.embedded.idempotency import EmbeddedIdempotency
from windlass.engines.embedded.mailer import EmbeddedMailer
from windlass.engines.embedded.namespace import Namespace
from windlass.engines.embedded.queue import EmbeddedQueue
from windlass.engines.embedded.schedule import EmbeddedSchedule
from windlass.engines.embedded.smtp import SmtpSettings
from windlass.errors import EngineUnavailable, LockedOut, Unauthorized, WrongCredentials
from windlass.ports.api import Response
from windlass.ports.clock import ManualClock
from windlass.ports.idempotency import Fresh, Running, Seen
from windlass.ports.mailer import Mail
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
        queue.send([Outgoing(b'{"name":"late"}', 3.0)])
        engine.namespace.store.flush()
        began = time.monotonic()
        wall.back = 3600.0
        queue.send([Outgoing(b'{"name":"now"}')])
        engine.namespace.store.flush()
        assert post.arrived.acquire(timeout=PATIENCE)
        assert post.done == ["now"]
        assert post.arrived.acquire(timeout=PATIENCE)
        assert 2.5 < time.monotonic() - began < PATIENCE
        assert post.done == ["now", "late"]
        assert caplog.text.count("the clock went back by 3600 seconds") == 1
        assert abs(engine.namespace.clock.now() - wall.now()) < 1
    finally:
        engine.stop()


# Each noun


class World:
    """A namespace and a clock to move; `jumps` watches over the `timers`."""

    def __init__(self, home: Path, *timers: Any) -> None:
        self.home, self.clock = home, ManualClock()
        self.namespace = Namespace(home, clock=self.clock)
        self.jump = ClockJump(self.namespace.store, self.namespace.clock, timers)
        self.jump.begin()

    def watch(self, timers: Any) -> None:
        self.jump.timers.append(timers)

    def set_back(self, step: timedelta = HOUR) -> None:
        self.clock.set_back(step)
        self.jump.check()


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = World(tmp_path)
    yield made
    made.namespace.close()


def test_a_request_that_runs_keeps_its_key_and_its_answer(world: World) -> None:
    keys = EmbeddedIdempotency(world.namespace)
    world.watch(keys)
    fresh = keys.begin("scope", "key", b"print", 11)
    assert isinstance(fresh, Fresh)
    world.set_back()
    running = keys.begin("scope", "key", b"print", 11)
    assert isinstance(running, Running)
    assert running.seconds == pytest.approx(11)
    keys.finish("scope", "key", fresh, Response(201, [], b"answer"), 60)
    assert keys.begin("scope", "key", b"print", 11) == Seen(True, Response(201, [], b"answer"))


def test_the_key_of_a_request_that_died_is_free_after_its_lease(world: World) -> None:
    keys = EmbeddedIdempotency(world.namespace)
    world.watch(keys)
    keys.begin("scope", "key", b"print", 11)
    world.set_back()
    world.clock.advance(timedelta(seconds=11))
    assert isinstance(keys.begin("scope", "key", b"print", 11), Fresh)


def test_a_lockout_lasts_as_long_as_it_would_have(tmp_path: Path) -> None:
    pool = PoolWorld(tmp_path, declared(lockout=1, lockout_time=timedelta(minutes=1)))
    jump = ClockJump(pool.namespace.store, pool.namespace.clock, [pool.pool])
    jump.begin()
    pool.add_ada()
    with pytest.raises(WrongCredentials):
        pool.sign_in(password="wrong")
    pool.clock.set_back(HOUR)
    jump.check()
    pool.advance(59)
    with pytest.raises(LockedOut):
        pool.sign_in()
    pool.advance(1)
    assert pool.pool.get_user(ADA).locked_until is None
    pool.sign_in()
    pool.close()


def test_a_spent_refresh_token_gets_no_longer_grace(tmp_path: Path) -> None:
    pool = PoolWorld(tmp_path)
    jump = ClockJump(pool.namespace.store, pool.namespace.clock, [pool.pool])
    jump.begin()
    pool.clock.advance(timedelta(days=1))
    first = pool.add_ada().refresh_token
    pool.advance(3 * 3600)
    pool.pool.refresh(first)
    pool.clock.set_back(HOUR)
    jump.check()
    pool.advance(11)
    with pytest.raises(Unauthorized, match="used before"):
        pool.pool.refresh(first)
    pool.close()


def test_mail_is_tried_again_when_it_would_have_been(world: World) -> None:
    model = System("post").mailer("mails", sender="post@example.com")
    mailer = EmbeddedMailer(model, world.namespace, SmtpSettings.parse("smtp://127.0.0.1:1"))
    world.watch(mailer)
    mailer.send(Mail("post@example.com", ("ada@example.com",), "Hello", "Ada"))
    now = world.clock.now()
    [delivery] = mailer.claim(now, 1)
    mailer.settle(1, delivery._lease, "down")
    assert mailer.due_at() == now + 30
    world.set_back()
    assert mailer.due_at() == world.clock.now() + 30


@pytest.mark.parametrize(
    ("cron", "back", "at", "following"),
    [
        # Within three hours, what fired does not fire again.
        ("0 3 * * ? *", timedelta(hours=1), "03:10", "2024-06-13 03:00"),
        ("0/5 * * * ? *", timedelta(hours=1), "03:10", "2024-06-12 03:15"),
        ("0 3 * * ? *", timedelta(hours=3), "05:30", "2024-06-13 03:00"),
        # More is a correction, and only the firing before is left out.
        ("0/5 * * * ? *", timedelta(hours=4), "05:32", "2024-06-12 01:35"),
        ("0 3 * * ? *", timedelta(hours=4), "05:30", "2024-06-13 03:00"),
        ("0 3 * * ? *", timedelta(days=3650), "05:30", "2014-06-16 03:00"),
    ],
)
def test_a_cron_rule_never_fires_twice_at_one_time(
    world: World, cron: str, back: timedelta, at: str, following: str
) -> None:
    world.clock.set_back(timedelta(hours=9))
    world.jump.check()
    hour, minute = map(int, at.split(":"))
    schedule = EmbeddedSchedule(System("post").schedule("nightly", cron=cron), world.namespace)
    world.watch(schedule)
    world.clock.advance(timedelta(hours=hour, minutes=minute))
    for tick in schedule.take(world.clock.now(), 1, 60.0):
        schedule.settle(tick, True)
    world.set_back(back)
    due = schedule.next_at()
    assert due is not None
    assert datetime.fromtimestamp(due, UTC).strftime("%Y-%m-%d %H:%M") == following


def test_a_retry_of_a_tick_comes_after_its_minute(world: World) -> None:
    schedule = EmbeddedSchedule(System("post").schedule("hourly", every=HOUR), world.namespace)
    world.watch(schedule)
    world.clock.advance(HOUR)
    [tick] = schedule.take(world.clock.now(), 1, 60.0)
    schedule.settle(tick, False)
    world.set_back(30 * MINUTE)
    assert schedule.take(world.clock.now() + 59, 1, 60.0) == []
    [again] = schedule.take(world.clock.now() + 60, 1, 60.0)
    assert (again.scheduled_at, again.attempt) == (tick.scheduled_at, 2)


def test_a_rate_finds_its_way_back_to_whole_multiples(world: World) -> None:
    schedule = EmbeddedSchedule(System("post").schedule("hourly", every=HOUR), world.namespace)
    world.watch(schedule)
    world.clock.advance(30 * MINUTE)
    world.set_back(20 * MINUTE)  # 09:10, and 30 minutes to go
    fired = []
    for _ in range(3):
        due = schedule.next_at()
        assert due is not None
        world.clock.set(due)
        [tick] = schedule.take(due, 1, 60.0)
        schedule.settle(tick, True)
        fired.append(tick.scheduled_at.strftime("%H:%M"))
    assert fired == ["09:40", "11:00", "12:00"]


# Several processes, and a state that cannot be written


def test_of_two_processes_one_moves_the_timers_and_both_go_by_the_new_time(world: World) -> None:
    model = System("post").queue("jobs", Job)
    other = Namespace(world.home, clock=world.clock)
    queues = []
    for space in (world.namespace, other):
        queues.append(EmbeddedQueue(model, space, lambda: None, Metrics(space.clock)))
        space.store.flush()
    beside = ClockJump(other.store, other.clock, [queues[1]])
    world.watch(queues[0])
    queues[0].send([Outgoing(b"late", 600.0)])
    world.namespace.store.flush()
    due = world.clock.now() + 600
    world.clock.set_back(HOUR)
    assert other.clock.now() == pytest.approx(world.clock.now() + 3600), "nobody has moved the timers yet"
    world.jump.check()
    assert other.clock.now() == world.clock.now()
    beside.check()
    assert queues[1].due_at(1, 0) == due - 3600
    other.close()


def test_timers_that_cannot_be_moved_now_are_moved_later(world: World) -> None:
    class Full:
        times = 0

        def clock_went_back(self, seconds: float) -> None:
            self.times += 1
            if self.times == 1:
                with world.namespace.store.write() as db:
                    db.execute("rollback")
                    db.execute("no statement")

    full = Full()
    world.watch(full)
    queue = EmbeddedQueue(
        System("post").queue("jobs", Job), world.namespace, lambda: None, Metrics(world.namespace.clock)
    )
    world.watch(queue)
    queue.send([Outgoing(b"late", 600.0)])
    world.namespace.store.flush()
    before = world.clock.now()
    world.clock.set_back(HOUR)
    with pytest.raises(EngineUnavailable):
        world.jump.check()
    assert world.namespace.clock.now() == pytest.approx(before)
    assert queue.due_at(1, 0) == before + 600
    world.jump.check()
    assert full.times == 2
    assert queue.due_at(1, 0) == world.clock.now() + 600


def test_timers_in_a_damaged_part_do_not_hold_up_the_others(world: World) -> None:
    queues = [
        EmbeddedQueue(System("post").queue(name, Job), world.namespace, lambda: None, Metrics(world.namespace.clock))
        for name in ("first", "hit", "last")
    ]
    for queue in queues:
        queue.send([Outgoing(b"late", 600.0)])
    world.namespace.store.flush()
    state = world.namespace.store.path
    with closing(sqlite3.connect(state)) as db:
        [page] = db.execute("select rootpage from sqlite_schema where name = 'q.post.hit.visible'").fetchone()
        db.execute("pragma wal_checkpoint(truncate)")
        db.execute("create table beside (n)")  # so that the namespace reads the file again
    with state.open("r+b") as file:
        file.seek((page - 1) * 4096)
        file.write(b"\xa5" * 4096)
    for queue in queues:
        world.watch(queue)
    world.set_back()
    assert world.namespace.clock.now() == world.clock.now()
    for queue in (queues[0], queues[2]):
        assert queue.due_at(1, 0) == world.clock.now() + 600


def test_a_manual_clock_goes_back_only_when_it_is_told_to() -> None:
    clock = ManualClock()
    now, steady = clock.now(), clock.steady()
    with pytest.raises(ValueError, match="does not go back"):
        clock.set(now - 1)
    clock.set_back(HOUR)
    assert (clock.now(), clock.steady()) == (now - 3600, steady)
    with pytest.raises(ValueError, match="positive"):
        clock.set_back(-HOUR)
