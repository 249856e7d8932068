"""The threads that run handlers: what breaks off, what is late, what waits, and their end."""

import threading
import time
from collections.abc import Callable, Iterator

import pytest

from windlass.engines.embedded.workers import Workers

PATIENCE = 10.0


class Task:
    """A job; `ran` and `expired` are set when that happened."""

    def __init__(self, work: Callable[[], None] = lambda: None, seconds: float = 60.0) -> None:
        self.work, self.since = work, time.monotonic()
        self.deadline = self.since + seconds
        self.ran, self.expired, self.refused = threading.Event(), threading.Event(), threading.Event()

    def run(self) -> None:
        self.ran.set()
        self.work()

    def expire(self) -> None:
        self.expired.set()

    def refuse(self) -> None:
        self.refused.set()


class Idle:
    """Counts its calls; a waiter is told of each."""

    def __init__(self) -> None:
        self.calls, self.called = 0, threading.Condition()

    def __call__(self) -> None:
        with self.called:
            self.calls += 1
            self.called.notify_all()


@pytest.fixture
def idle() -> Idle:
    return Idle()


@pytest.fixture
def workers(idle: Idle) -> Iterator[Workers]:
    made = Workers(limit=2, idle=idle)
    made.start()
    yield made
    made.stop(0)


@pytest.mark.parametrize("error", [SystemExit, KeyboardInterrupt, RuntimeError])
def test_work_that_breaks_off_is_expired_and_takes_no_place(workers: Workers, error: type[BaseException]) -> None:
    def break_off() -> None:
        raise error

    for _ in range(5):  # more than there are places
        task = Task(break_off)
        assert workers.submit(task)
        assert task.expired.wait(PATIENCE)
    task = Task()
    assert workers.submit(task)
    assert task.ran.wait(PATIENCE)
    assert workers.stop(PATIENCE)
    assert not workers.hanging


def test_late_work_is_given_up_and_its_place_is_free(workers: Workers) -> None:
    end = threading.Event()
    late = [Task(lambda: assert_waits(end), 0.05) for _ in range(4)]
    for task in late:
        assert workers.submit(task)
    for task in late:
        assert task.expired.wait(PATIENCE)
    task = Task()
    assert workers.submit(task)
    assert task.ran.wait(PATIENCE)
    end.set()


def test_what_is_late_before_it_begins_does_not_run(workers: Workers) -> None:
    end = threading.Event()
    slow = [Task(lambda: assert_waits(end)) for _ in range(2)]
    for task in slow:
        assert workers.submit(task)
        assert task.ran.wait(PATIENCE)
    waiting = Task(seconds=0.05)
    assert workers.submit(waiting)
    assert waiting.expired.wait(PATIENCE)
    end.set()
    assert workers.stop(PATIENCE)
    assert not waiting.ran.is_set()


def test_while_work_runs_idle_is_called_all_the_time(workers: Workers, idle: Idle) -> None:
    end = threading.Event()
    task = Task(lambda: assert_waits(end))
    assert workers.submit(task)
    assert task.ran.wait(PATIENCE)
    with idle.called:
        before = idle.calls
        assert idle.called.wait_for(lambda: idle.calls >= before + 10, PATIENCE)
    end.set()


def test_at_the_end_what_waits_behind_slow_work_still_runs(workers: Workers) -> None:
    end = threading.Event()
    slow, behind = Task(lambda: assert_waits(end)), Task(end.set)
    assert workers.submit(slow)
    assert slow.ran.wait(PATIENCE)
    assert workers.enqueue(behind)
    assert workers.stop(PATIENCE)
    assert behind.ran.is_set()


def test_at_the_end_what_cannot_run_any_more_is_dropped(workers: Workers) -> None:
    end = threading.Event()
    slow = [Task(lambda: assert_waits(end)) for _ in range(2)]
    for task in slow:
        assert workers.submit(task)
        assert task.ran.wait(PATIENCE)
    behind = Task()
    assert workers.submit(behind)
    assert not workers.stop(0)
    assert not workers.submit(Task())
    end.set()
    for thread in threading.enumerate():
        if thread.name == "windlass-worker":
            thread.join(0.01)
    assert not behind.ran.is_set()


def assert_waits(end: threading.Event) -> None:
    assert end.wait(PATIENCE)


def test_who_has_waited_too_long_is_refused_and_not_begun(idle: Idle) -> None:
    workers = Workers(limit=1, longest_wait=5.0, idle=idle)
    stale, fresh = Task(), Task()
    stale.since -= 5.1
    assert workers.enqueue(stale)
    assert workers.enqueue(fresh)
    workers.start()
    workers.kick()
    assert fresh.ran.wait(PATIENCE)
    assert stale.refused.is_set()
    assert not stale.ran.is_set()
    workers.stop(PATIENCE)


def test_no_more_are_taken_than_can_begin_in_time(idle: Idle) -> None:
    release = threading.Event()
    workers = Workers(limit=1, longest_wait=3.0, backlog=1000, idle=idle)  # on a busy machine five may take a while
    workers.start()

    def work() -> None:
        release.wait(0.05)

    taken = [Task(work) for _ in range(1000)]
    for task in taken:
        assert workers.submit(task), "the pace is not known yet"
    assert taken[5].ran.wait(PATIENCE), "five in a quarter of a second: the pace is known"
    assert not workers.submit(Task()), "hundreds wait, and sixty can begin in time"
    release.set()
    assert taken[999].ran.wait(PATIENCE) or taken[999].refused.is_set()
    workers.stop(PATIENCE)
