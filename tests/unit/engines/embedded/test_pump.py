"""The pump: sources that fail, claims that are lost, and no more claims than can run."""

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from windlass.engines.embedded.pump import Pump, Source
from windlass.engines.embedded.store import Store
from windlass.engines.embedded.workers import Workers
from windlass.ports.clock import SystemClock

PATIENCE = 10.0


class Piece:
    """A piece of work; `run` waits for `end`."""

    timeout = 60.0

    def __init__(self, end: threading.Event, ran: threading.Semaphore) -> None:
        self._end, self._ran = end, ran

    def run(self) -> None:
        self._ran.release()
        assert self._end.wait(PATIENCE)

    def expire(self) -> None: ...


class Heap:
    """A source with so much work; `claimed` counts what was taken, `ran` what began."""

    def __init__(self, left: int, concurrency: int = 1, on_claim: Callable[[], None] = lambda: None) -> None:
        self.left, self.concurrency, self.on_claim = left, concurrency, on_claim
        self.claimed, self.end, self.ran = 0, threading.Event(), threading.Semaphore(0)

    def due_at(self) -> float | None:
        return 0.0 if self.left else None

    def claim(self, now: float, room: int) -> Sequence[Piece]:
        self.on_claim()
        taken = min(room, self.left)
        self.left -= taken
        self.claimed += taken
        return [Piece(self.end, self.ran) for _ in range(taken)]

    def began(self, count: int = 1) -> bool:
        return all(self.ran.acquire(timeout=PATIENCE) for _ in range(count))


class Broken:
    """A source that cannot say when it is due."""

    concurrency = 1

    def due_at(self) -> float | None:
        raise RuntimeError("broken")

    def claim(self, now: float, room: int) -> Sequence[Piece]:
        raise NotImplementedError


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = Store(tmp_path / "state.sqlite")
    yield opened
    opened.close()


@contextmanager
def pumping(store: Store, *sources: Source, limit: int = 64) -> Iterator[Pump]:
    workers = Workers(limit=limit, idle=lambda: None)
    workers.start()
    pump = Pump(store, workers, SystemClock(), sources)
    pump.start()
    try:
        yield pump
    finally:
        pump.stop()
        for source in sources:
            if isinstance(source, Heap):
                source.end.set()
        workers.stop(PATIENCE)


@pytest.mark.parametrize("first", [True, False])
def test_a_source_that_fails_does_not_stop_the_others(store: Store, first: bool) -> None:
    heap = Heap(3)
    heap.end.set()
    sources: list[Source] = [Broken(), heap] if first else [heap, Broken()]
    with pumping(store, *sources) as pump:
        for _ in range(3):
            pump.wake()
            assert heap.began()
    assert heap.claimed == 3


def test_no_more_is_claimed_than_there_are_threads(store: Store) -> None:
    heap = Heap(100, concurrency=100)
    with pumping(store, heap, limit=4):
        assert heap.began(4)
        assert heap.claimed == 4
        heap.end.set()
        assert heap.began(96)


def test_a_source_with_much_work_leaves_threads_to_the_others(store: Store) -> None:
    much, little = Heap(10_000, concurrency=1000), Heap(1)
    little.end.set()
    with pumping(store, much, little, limit=1):
        much.end.set()
        assert little.began()
        assert much.left > 0


def test_a_claim_that_was_lost_does_not_run(store: Store) -> None:
    lost: list[int] = []

    def lose() -> None:
        # As another thread's commit that fails between the claim and the pump's own.
        if not lost:
            lost.append(1)
            with store.write() as db:
                db.execute("rollback")
            with pytest.raises(Exception, match="no transaction"):
                store.flush()

    heap = Heap(2, on_claim=lose)
    heap.end.set()
    with pumping(store, heap) as pump:
        deadline = time.monotonic() + PATIENCE
        while heap.claimed < 2 and time.monotonic() < deadline:
            pump.wake()
        assert heap.began()
    assert not heap.ran.acquire(blocking=False)


def test_the_pump_outlives_a_state_that_cannot_be_read(store: Store) -> None:
    heap = Heap(3)
    heap.end.set()
    store.close()
    with pumping(store, heap) as pump:
        for _ in range(3):
            pump.wake()
            assert heap.began()
