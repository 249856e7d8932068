"""What becomes of each kind of timer when the clock is set back, beside other processes and on a damaged file."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.unit.engines.embedded.pool_world import ADA, PoolWorld, declared
from windlass import System
from windlass.dispatch.metrics import Metrics
from windlass.engines.embedded.clock_jump import ClockJump
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

HOUR = timedelta(hours=1)
MINUTE = timedelta(minutes=1)
PATIENCE = 15.0


@dataclass
class Job:
    name: str


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


def test_a_message_that_was_on_its_way_into_the_state_is_moved_soon_after(world: World) -> None:
    model = System("post").queue("jobs", Job)
    other = Namespace(world.home, clock=world.clock)
    queues = []
    for space in (world.namespace, other):
        queues.append(EmbeddedQueue(model, space, lambda: None, Metrics(space.clock)))
        space.store.flush()
    world.watch(queues[0])
    world.clock.set_back(HOUR)
    queues[1].send([Outgoing(b"stamped by the old time", 60.0)])
    world.jump.check()
    other.store.flush()
    queues[0].send([Outgoing(b"stamped by the new time", 60.0)])
    world.namespace.store.flush()
    now = world.clock.now()
    assert [round(message.visible_at - now) for message in queues[0].peek(10, dead=False)] == [3660, 60]
    noticed = [world.jump.noticed]
    world.clock.advance(timedelta(seconds=1))
    noticed.append(world.jump.noticed)
    world.jump.check()
    assert [round(message.visible_at - now) for message in queues[0].peek(10, dead=False)] == [60, 60]
    assert [round(message.sent_at - now) for message in queues[0].peek(10, dead=False)] == [0, 0]
    for _ in range(2):
        world.clock.advance(timedelta(seconds=4))
        world.jump.check()
    assert [round(message.visible_at - now) for message in queues[0].peek(10, dead=False)] == [60, 60]
    assert [*noticed, world.jump.noticed] == [False, True, False]
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
