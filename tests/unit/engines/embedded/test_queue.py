"""Queues in SQLite: leases, what a process that died had received, and messages that two consumers hold."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest

from windlass import System
from windlass.dispatch.metrics import Metrics
from windlass.engines.embedded.namespace import Namespace
from windlass.engines.embedded.queue import EmbeddedQueue
from windlass.model.queue import Queue
from windlass.ports.clock import ManualClock
from windlass.ports.queue import Outgoing


@dataclass
class Job:
    name: str


class QueueWorld:
    """One queue in a namespace of its own, and a clock to move. `arrivals` counts its calls."""

    def __init__(self, home: Path, **options: object) -> None:
        self.home, self.clock, self.arrivals = home, ManualClock(), 0
        self.model: Queue[Job] = System("post").queue("jobs", Job, **options)  # type: ignore[arg-type]
        self.open()

    def open(self) -> None:
        self.namespace = Namespace(self.home, clock=self.clock)
        self.queue = EmbeddedQueue(self.model, self.namespace, self._arrived, Metrics(self.namespace.clock))

    def send(self, *names: str, group: str | None = None, delay: float | None = None) -> None:
        self.queue.send([Outgoing(name.encode(), delay, group) for name in names])
        self.namespace.store.flush()

    def receive(self, limit: int = 10) -> list[str]:
        return [message.body.decode() for message in self.queue.receive(limit)]

    def pass_time(self, seconds: float) -> None:
        self.clock.advance(timedelta(seconds=seconds))

    def _arrived(self) -> None:
        self.arrivals += 1


@pytest.fixture
def make_world(tmp_path: Path) -> Iterator[Callable[..., QueueWorld]]:
    worlds: list[QueueWorld] = []

    def make(**options: object) -> QueueWorld:
        worlds.append(QueueWorld(tmp_path, **options))
        return worlds[-1]

    yield make
    for world in worlds:
        world.namespace.close()


@pytest.fixture
def world(make_world: Callable[..., QueueWorld]) -> QueueWorld:
    return make_world(max_attempts=2)


def test_a_received_message_is_hidden_for_the_visibility_timeout(world: QueueWorld) -> None:
    world.send("a", "b", "c")
    assert world.receive(2) == ["a", "b"]
    assert world.receive() == ["c"]
    assert world.receive() == []
    world.pass_time(29)
    assert world.receive() == []
    world.pass_time(1)
    assert world.receive() == ["a", "b", "c"]


def test_a_late_end_does_not_count_when_the_message_was_received_again(world: QueueWorld) -> None:
    world.send("a")
    first = world.queue.receive(1)
    world.pass_time(30)
    second = world.queue.receive(1)
    assert [message.attempts for message in first + second] == [1, 2]
    assert world.queue.settle(first, {}) == 0
    assert world.queue.stats().in_flight == 1
    world.queue.settle(first, {first[0].id: "late"})
    assert world.queue.peek(1, dead=False)[0].reason is None
    world.queue.settle(second, {})
    assert world.queue.peek(1, dead=False) == []


def test_a_message_whose_consumer_never_ends_goes_to_the_dead_letter_queue(world: QueueWorld) -> None:
    world.send("a")
    for _ in range(2):
        assert world.receive() == ["a"]
        world.pass_time(30)
    assert world.receive() == []
    [dead] = world.queue.peek(1, dead=True)
    assert (dead.attempts, dead.reason) == (2, "its handler never came to an end")


def test_what_a_process_that_died_had_received_comes_again(world: QueueWorld) -> None:
    world.send("a", "b", "c")
    assert world.receive(2) == ["a", "b"]
    world.namespace.store.flush()
    world.namespace.close()
    world.open()
    assert world.receive() == ["c"]
    world.queue.release_all()
    assert sorted(message.attempts for message in world.queue.receive(10)) == [2, 2, 2]


def test_what_failed_waits_on_when_the_process_starts_anew(world: QueueWorld) -> None:
    world.send("a")
    messages = world.queue.receive(1)
    world.queue.settle(messages, {messages[0].id: "failed"})
    world.queue.release_all()
    assert world.receive() == []


def is_due(at: float | None, world: QueueWorld) -> bool:
    return at is not None and at <= world.clock.now()


def test_the_time_of_the_next_batch_is_known(world: QueueWorld) -> None:
    queue, now = world.queue, world.clock.now()
    assert queue.due_at(2, 0) is None
    world.send("a", delay=10)
    assert (queue.due_at(2, 0), queue.due_at(2, 5)) == (now + 10, now + 15)
    world.pass_time(12)
    assert is_due(queue.due_at(2, 0), world)
    assert queue.due_at(2, 5) == now + 15
    world.send("b")
    assert is_due(queue.due_at(2, 5), world)
    world.receive()
    assert queue.due_at(2, 0) == world.clock.now() + 30


def test_arrivals_are_told_when_they_are_durable(world: QueueWorld) -> None:
    world.queue.send([Outgoing(b"a")])
    assert world.arrivals == 0
    world.namespace.store.flush()
    assert world.arrivals == 1
    world.queue.redrive(None)
    world.namespace.store.flush()
    assert world.arrivals == 2


def test_all_messages_of_a_sending_are_stored_or_none(world: QueueWorld) -> None:
    with pytest.raises(TypeError):
        world.queue.send([Outgoing(b"a"), Outgoing(b"b", "soon")])  # type: ignore[arg-type]
    assert world.receive() == []


def test_what_the_retention_ended_is_neither_received_nor_kept(make_world: Callable[..., QueueWorld]) -> None:
    world = make_world(retention=timedelta(minutes=1), fifo=True)
    world.send("old", group="g")
    assert world.receive() == ["old"]
    world.send("new", group="g")
    assert world.receive() == []
    world.pass_time(59)
    world.send("newest", group="g")
    world.pass_time(1)
    # The one that went before it in the group counts no more, whoever holds it.
    assert world.receive() == ["newest"]
    assert world.queue.remove_expired() == 2
    assert [message.body for message in world.queue.peek(10, dead=False)] == [b"newest"]


def test_groups_hide_what_comes_after_one_in_flight(make_world: Callable[..., QueueWorld]) -> None:
    world = make_world(fifo=True)
    world.send("a1", "a2", group="a")
    world.send("b1", group="b")
    assert world.receive(1) == ["a1"]
    assert world.receive() == ["b1"]
    world.pass_time(30)
    assert world.receive() == ["a1", "a2", "b1"]


def test_a_fifo_message_and_the_note_that_it_was_sent_stand_or_fall_together(tmp_path: Path) -> None:
    system = System("line")
    jobs = system.queue("jobs", Job, fifo=True)
    namespace = Namespace(tmp_path, clock=ManualClock())
    queue = EmbeddedQueue(jobs, namespace, lambda: None, Metrics(namespace.clock))
    namespace.store.flush()

    def send_and_fail() -> None:
        with namespace.store.atomic():
            queue.send([Outgoing(b'"a"', group="g", dedupe="d")])
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        send_and_fail()
    namespace.store.flush()
    assert queue.stats().waiting == 0
    [first] = queue.send([Outgoing(b'"a"', group="g", dedupe="d")])
    namespace.store.flush()
    assert [message.id for message in queue.peek(9, dead=False)] == [first], "it counts as sent only if it is there"
    namespace.close()
