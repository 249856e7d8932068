"""What brings work to handlers: asks each source what is due, and sleeps until something is.

A source is a queue with a consumer, a schedule, a mailer with SMTP, or the housekeeping. The pump is woken when
something arrives or a place gets free; between that it waits for the earliest time that a source names.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from typing import Protocol

from windlass.dispatch.context import logger
from windlass.engines.embedded.baton import Baton
from windlass.engines.embedded.clock_jump import ClockJump
from windlass.engines.embedded.store import Store
from windlass.engines.embedded.workers import Workers
from windlass.errors import EngineUnavailable
from windlass.ports.clock import Clock

__all__ = ["Pump", "Source", "Work"]

# Another process (the command line) may change the state: SQLite tells so in a counter, looked at this often.
_GLANCE = 1.0
_BREATH = 0.003


class Work(Protocol):
    """Something claimed from a source. `timeout` is in seconds."""

    timeout: float

    def run(self) -> None:
        """Does it and settles what came of it; must not raise."""
        ...

    def expire(self) -> None:
        """The timeout passed: `run` is given up, its late outcome does not count, the work comes again."""
        ...


class Source(Protocol):
    """Something that has work now and then. `concurrency` is how much of it may run at once."""

    concurrency: int

    def due_at(self) -> float | None:
        """When there is work, in epoch seconds; in the past: now; None: not as things are."""
        ...

    def claim(self, now: float, room: int) -> Sequence[Work]:
        """Takes up to `room` pieces of work, so that nobody else gets them for a while."""
        ...


class _Job:
    """A piece of work on the workers' line."""

    __slots__ = ("_ended", "_lock", "_over", "_store", "_work", "deadline", "since")

    def __init__(self, work: Work, ended: Callable[[], None], store: Store) -> None:
        self._work, self._ended, self._store = work, ended, store
        self.since = time.monotonic()
        self.deadline = self.since + work.timeout
        self._lock = threading.Lock()
        self._over = False

    def run(self) -> None:
        self._work.run()
        try:
            self._store.give_way()
        except EngineUnavailable as error:
            logger.error("what was written could not be stored: %s", error)
        self._end()

    def expire(self) -> None:
        self._work.expire()
        self._end()

    def refuse(self) -> None:
        self.expire()

    def _end(self) -> None:
        with self._lock:
            over, self._over = self._over, True
        if not over:
            self._ended()


class Pump:
    """One thread that moves work from the sources to the workers."""

    def __init__(
        self,
        store: Store,
        workers: Workers,
        clock: Clock,
        sources: Sequence[Source],
        jump: ClockJump | None = None,
        baton: Baton | None = None,
    ) -> None:
        self._baton = baton or Baton()
        self._store, self._workers, self._clock, self._jump = store, workers, clock, jump
        self._sources = list(sources)
        self._running = [0] * len(self._sources)
        self._first = 0
        self._left_over = False
        self._lock = threading.Lock()
        self._wake, self._roomy = threading.Event(), threading.Event()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="windlass-pump", daemon=True)

    def wake(self) -> None:
        """Makes the pump look at its sources now."""
        self._wake.set()

    def start(self) -> None:
        """Starts the thread."""
        self._thread.start()

    def stop(self) -> None:
        """Claims nothing more; what was claimed runs on."""
        self._stopping.set()
        self._roomy.set()
        self._wake.set()
        if self._thread.ident is not None:
            self._thread.join(5)

    def _run(self) -> None:
        version = self._changes()
        while not self._stopping.is_set():
            began = time.monotonic()
            self._roomy.clear()
            self._baton.take(self)
            try:
                wait = self._round()
            except EngineUnavailable as error:
                _not_claimed(error)
                wait = 1.0
            finally:
                self._baton.give(self)
            end = time.monotonic() + wait
            while not self._stopping.is_set() and not self._wake.is_set():
                left = end - time.monotonic()
                if left <= 0:
                    break
                if not self._wake.wait(min(left, _GLANCE)):
                    seen = self._changes()
                    if seen != version or (self._jump is not None and self._jump.noticed):
                        version = seen
                        break
            # Many messages a second wake it as often; looking for each would cost more than handling it. Where more
            # waits than there was room for, it looks as soon as half of that is free again.
            (self._roomy if self._left_over else self._stopping).wait(max(0.0, began + _BREATH - time.monotonic()))
            self._wake.clear()

    def _changes(self) -> int | None:
        """What `Store.changes` says; None when the state cannot be read, which the next round reports."""
        try:
            self._store.flush()  # what a thread of a handler's own wrote: nobody answers, and so commits, after it
            return self._store.changes()
        except EngineUnavailable:
            return None

    def _round(self) -> float:
        """Claims what is due; returns for how many seconds nothing more will be."""
        if self._jump is not None:
            self._jump.check()
        if self._workers.hanging:
            return _GLANCE
        self._left_over = False
        now, mark = self._clock.now(), self._store.mark()
        claimed: list[tuple[int, Work]] = []
        earliest: float | None = None
        # A claim that waited for a thread would use up its timeout, and an attempt, before it begins. So no more is
        # claimed than can run, and each round begins with another source.
        count = len(self._sources)
        self._first = (self._first + 1) % count
        for number in (*range(self._first, count), *range(self._first)):
            source = self._sources[number]
            free = self._workers.limit - sum(self._running) - len(claimed)
            room = min(source.concurrency - self._running[number], free)
            if room <= 0:
                self._left_over = True
                continue
            try:
                due = source.due_at()
                if due is not None and due <= now:
                    works = source.claim(now, room)
                    claimed += [(number, work) for work in works]
                    if len(works) >= room:
                        self._left_over = True
                        continue
                    due = source.due_at()
            except Exception as error:  # whatever it is, the other sources go on
                _not_claimed(error)
                due = now + 1.0
            if due is not None:
                earliest = due if earliest is None else min(earliest, due)
        # An attempt counts before it runs, so that a message that kills the process is found out; and what a claim
        # without work wrote (dead letters) must not keep the transaction open.
        self._store.flush()
        if self._store.mark() != mark:
            raise EngineUnavailable("what was claimed could not be stored")
        for number, work in claimed:
            self._submit(number, work)
        return 60.0 if earliest is None else max(0.0, min(60.0, earliest - now))

    def _submit(self, number: int, work: Work) -> None:
        with self._lock:
            self._running[number] += 1

        def ended() -> None:
            with self._lock:
                self._running[number] -= 1
                roomy = self._running[number] * 2 <= self._sources[number].concurrency
            if roomy:
                self._roomy.set()
            self._wake.set()

        if not self._workers.submit(_Job(work, ended, self._store)):
            work.expire()
            with self._lock:
                self._running[number] -= 1


def _not_claimed(error: Exception) -> None:
    logger.error("work cannot be claimed: %s", error, exc_info=not isinstance(error, EngineUnavailable))
