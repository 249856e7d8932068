"""The threads that run handlers.

One thread takes job after job as long as each is quick: with Python's global lock that is faster than spreading
them. A job that is not done within a few milliseconds gets company: another thread goes on with those that wait,
so a slow handler does not stop the others. A thread whose job runs past its deadline is given up: the caller is
answered, its place is free again, and it ends when its function returns.
"""

from __future__ import annotations

import math
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Protocol

from windlass.dispatch.context import logger
from windlass.engines.embedded.baton import Baton

__all__ = ["Job", "Workers"]

_PATIENCE = 0.005
_BUSY_STALLS = 5
_MOST_ABANDONED = 256
_PACE_SECONDS = 0.1
# The pace varies; whoever is refused should hear so at once, not after having waited.
_CAUTION = 0.75


class Job(Protocol):
    """Something to run. `since`, when it came, and `deadline` are on `time.monotonic`'s scale."""

    since: float
    deadline: float

    def run(self) -> None:
        """Does the work and keeps its result; must not raise."""
        ...

    def expire(self) -> None:
        """Answers that the deadline passed; called at most once, from another thread than `run`'s."""
        ...

    def refuse(self) -> None:
        """Answers that it has waited too long, and was not begun."""
        ...


class _Worker:
    __slots__ = ("abandoned", "asking", "job", "seen", "wake")

    def __init__(self) -> None:
        # A bare lock, taken already: releasing it wakes the worker, at a tenth of a Semaphore's cost.
        self.wake = threading.Lock()
        self.wake.acquire()
        self.job: Job | None = None
        self.seen: Job | None = None
        self.abandoned = self.asking = False


class _Pace:
    """How many jobs are done in a second, while some wait."""

    def __init__(self) -> None:
        self._since, self._done_then = time.monotonic(), 0
        self._rate: float | None = None

    def measure(self, done: int, *, waiting: bool) -> float | None:
        """The pace when `done` jobs are done in all; None while nobody waits, or it is not known yet."""
        now = time.monotonic()
        if not waiting:
            self._since, self._done_then, self._rate = now, done, None
        elif now - self._since >= _PACE_SECONDS:
            self._rate = (done - self._done_then) / (now - self._since)
            self._since, self._done_then = now, done
        return self._rate


class Workers:
    """At most `limit` threads that take jobs from one line of at most `backlog`, in which nobody waits for longer than
    `longest_wait` seconds: no more are taken than are likely to begin within that time, by the pace of the last tenth
    of a second, and who has waited longer all the same is refused. `idle` is called by a thread
    that finds nothing more to do, before it rests, and every few milliseconds while jobs run: the moments to commit
    and to answer. A thread that runs alone takes the `baton` until the line is empty, or, with `polite`, until the job
    is done and somebody else wants it."""

    def __init__(
        self,
        *,
        limit: int = 64,
        backlog: int = 4096,
        longest_wait: float = 1.0,
        idle: Callable[[], None],
        baton: Baton | None = None,
        polite: bool = False,
    ) -> None:
        self._baton, self._polite = baton or Baton(), polite
        self.limit, self._backlog, self._longest_wait, self._idle = limit, backlog, longest_wait, idle
        self._room = backlog
        self._jobs: deque[Job] = deque()
        self._lock = threading.Lock()
        self._resting: list[_Worker] = []
        self._running: set[_Worker] = set()
        self._done = 0
        self._abandoned = 0
        self._stopping = threading.Event()
        self._over = False
        self._watcher_wake = threading.Event()
        self._watcher: threading.Thread | None = None

    def submit(self, job: Job) -> bool:
        """Puts a job in the line and sees to it that it runs; False when the line is full or moves too
        slowly, or too many threads hang."""
        accepted = self.enqueue(job)
        if accepted:
            self.kick()
        return accepted

    def enqueue(self, job: Job) -> bool:
        """Puts a job in the line; it may lie there until the next `kick`. False as for `submit`."""
        if len(self._jobs) >= self._room or self._abandoned >= _MOST_ABANDONED or self._stopping.is_set():
            return False
        self._jobs.append(job)
        return True

    def kick(self) -> None:
        """Sees to it that the jobs in the line run."""
        if not self._running:
            with self._lock:
                if not self._running:
                    self._add_worker()
        if not self._watcher_wake.is_set():
            self._watcher_wake.set()

    @property
    def hanging(self) -> bool:
        """Whether so many threads hang that nothing is taken."""
        return self._abandoned >= _MOST_ABANDONED

    @property
    def waiting(self) -> bool:
        """Whether jobs wait in the line."""
        return bool(self._jobs)

    @property
    def busy(self) -> int:
        """How many jobs run or wait."""
        return len(self._jobs) + sum(1 for worker in tuple(self._running) if worker.job is not None)

    def start(self) -> None:
        """Starts the thread that watches for slow and late jobs."""
        self._watcher = threading.Thread(target=self._watch, name="windlass-watcher", daemon=True)
        self._watcher.start()

    def stop(self, patience: float) -> bool:
        """Takes no more jobs and waits up to `patience` seconds for those that run; whether all were done."""
        self._stopping.set()
        end = time.monotonic() + patience
        pause = threading.Event()
        while self.busy and time.monotonic() < end:
            pause.wait(0.01)
        done = not self.busy
        self._over = True
        self._jobs.clear()
        self._watcher_wake.set()
        with self._lock:
            for worker in self._resting:
                worker.wake.release()
            self._resting.clear()
        return done

    def _add_worker(self) -> None:
        if self._resting:
            worker = self._resting.pop()
            self._running.add(worker)
            worker.wake.release()
        elif len(self._running) < self.limit:
            worker = _Worker()
            self._running.add(worker)
            try:
                threading.Thread(target=self._work, args=(worker,), name="windlass-worker", daemon=True).start()
            except RuntimeError as error:  # the system has no more of them: those that are there go on
                self._running.discard(worker)
                logger.error("no thread could be started for those who wait: %s", error)

    def _work(self, worker: _Worker) -> None:
        jobs, baton = self._jobs, self._baton
        self._ask(worker)
        while True:
            try:
                job = jobs.popleft()
            except IndexError:
                self._idle()
                baton.give(worker)
                with self._lock:
                    self._running.discard(worker)
                    if jobs:  # looked at after leaving, as `kick` looks whether somebody runs after a job was added
                        self._running.add(worker)
                        continue
                    if self._stopping.is_set():
                        return
                    self._resting.append(worker)
                worker.wake.acquire()
                if self._over:
                    return
                self._ask(worker)
                continue
            worker.job = job
            try:
                if time.monotonic() - job.since > self._longest_wait:
                    job.refuse()
                else:
                    job.run()
            except BaseException:
                # Whatever it was (a handler may raise KeyboardInterrupt), the thread's place must get free again.
                logger.exception("a piece of work broke off")
                with self._lock:
                    worker.job = None
                    expired = worker.abandoned
                if not expired:
                    job.expire()
            self._done += 1
            with self._lock:
                worker.job = None
                given_up = worker.abandoned
                self._abandoned -= given_up
            if given_up:
                self._idle()
                baton.give(worker)
                return
            if self._polite and baton.wanted:
                baton.give(worker)
                self._ask(worker)

    def _ask(self, worker: _Worker) -> None:
        """Waits for the baton, unless others run beside this thread: then some of the jobs are slow."""
        if len(self._running) == 1:
            worker.asking = True
            self._baton.take(worker)
            worker.asking = False

    def _watch(self) -> None:
        pause = threading.Event()
        pace, stalls = _Pace(), 0
        while not self._over:
            self._watcher_wake.wait()
            seen, began = self._done, time.monotonic()
            pause.wait(_PATIENCE)
            # Where this thread, too, was not woken in time, the interpreter is busy: what is slow then does not wait
            # for something else, and another thread would make it slower.
            busy = time.monotonic() - began > _PATIENCE * 1.5
            stalls = stalls + 1 if self._done == seen else 0
            with self._lock:
                self._watcher_wake.clear()
                late = self._late(time.monotonic())
                asking = False
                for worker in self._running:
                    asking = asking or worker.asking
                    if worker.job is not None and worker.job is worker.seen:
                        self._baton.give(worker)  # its job is slow
                    worker.seen = worker.job
                if self._jobs and stalls and not asking and (not busy or stalls % _BUSY_STALLS == 0):
                    self._add_worker()
                if self._jobs or self._running:
                    # Not before all rest: a handler may write at any moment, and a job may just be between the line
                    # and its worker.
                    self._watcher_wake.set()
            rate = pace.measure(self._done, waiting=bool(self._jobs))
            self._room = self._backlog
            if rate is not None and self._longest_wait < math.inf:
                self._room = min(self._backlog, max(self.limit, int(rate * self._longest_wait * _CAUTION)))
            for job in late:
                job.expire()
            self._idle()

    def _late(self, now: float) -> list[Job]:
        """Gives up the workers whose job is late, and takes late jobs from the head of the line; returns the jobs."""
        late: list[Job] = []
        for worker in tuple(self._running):
            job = worker.job
            if job is not None and job.deadline < now:
                worker.abandoned = True
                self._abandoned += 1
                self._running.discard(worker)
                self._baton.give(worker)
                late.append(job)
        while self._jobs and self._jobs[0].deadline < now:
            try:
                job = self._jobs.popleft()
            except IndexError:  # a worker was quicker
                break
            if job.deadline >= now:  # likewise: this is the one behind
                self._jobs.appendleft(job)
                break
            late.append(job)
        return late
