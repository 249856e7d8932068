"""The threads that run handlers.

One thread takes job after job as long as each is quick: with Python's global lock that is faster than spreading
them. A job that is not done within a few milliseconds gets company: another thread goes on with those that wait,
so a slow handler does not stop the others. A thread whose job runs past its deadline is given up: the caller is
answered, its place is free again, and it ends when its function returns.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Protocol

__all__ = ["Job", "Workers"]

_PATIENCE = 0.005
_MOST_ABANDONED = 256


class Job(Protocol):
    """Something to run. `deadline` is on `time.monotonic`'s scale."""

    deadline: float

    def run(self) -> None:
        """Does the work and keeps its result; must not raise."""
        ...

    def expire(self) -> None:
        """Answers that the deadline passed; called at most once, from another thread than `run`'s."""
        ...


class _Worker:
    __slots__ = ("abandoned", "job", "wake")

    def __init__(self) -> None:
        # A bare lock, taken already: releasing it wakes the worker, at a tenth of a Semaphore's cost.
        self.wake = threading.Lock()
        self.wake.acquire()
        self.job: Job | None = None
        self.abandoned = False


class Workers:
    """At most `limit` threads that take jobs from one line of at most `backlog`. `idle` is called by a thread
    that finds nothing more to do, before it rests, and every few milliseconds while jobs run: the moments to commit
    and to answer."""

    def __init__(self, *, limit: int = 64, backlog: int = 4096, idle: Callable[[], None]) -> None:
        self._limit, self._backlog, self._idle = limit, backlog, idle
        self._jobs: deque[Job] = deque()
        self._lock = threading.Lock()
        self._resting: list[_Worker] = []
        self._running: set[_Worker] = set()
        self._done = 0
        self._abandoned = 0
        self._stopping = threading.Event()
        self._watcher_wake = threading.Event()
        self._watcher: threading.Thread | None = None

    def submit(self, job: Job) -> bool:
        """Puts a job in the line and sees to it that it runs; False when the line is full, or too many threads
        hang."""
        accepted = self.enqueue(job)
        if accepted:
            self.kick()
        return accepted

    def enqueue(self, job: Job) -> bool:
        """Puts a job in the line; it may lie there until the next `kick`. False as for `submit`."""
        if len(self._jobs) >= self._backlog or self._abandoned >= _MOST_ABANDONED or self._stopping.is_set():
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
        self._watcher_wake.set()
        with self._lock:
            for worker in self._resting:
                worker.wake.release()
        return not self.busy

    def _add_worker(self) -> None:
        if self._resting:
            worker = self._resting.pop()
            self._running.add(worker)
            worker.wake.release()
        elif len(self._running) < self._limit:
            worker = _Worker()
            self._running.add(worker)
            threading.Thread(target=self._work, args=(worker,), name="windlass-worker", daemon=True).start()

    def _work(self, worker: _Worker) -> None:
        jobs = self._jobs
        while True:
            try:
                job = jobs.popleft()
            except IndexError:
                self._idle()
                with self._lock:
                    self._running.discard(worker)
                    if jobs:  # looked at after leaving, as `kick` looks whether somebody runs after a job was added
                        self._running.add(worker)
                        continue
                    if self._stopping.is_set():
                        return
                    self._resting.append(worker)
                worker.wake.acquire()
                if self._stopping.is_set():
                    return
                continue
            worker.job = job
            job.run()
            self._done += 1
            with self._lock:
                worker.job = None
                given_up = worker.abandoned
                self._abandoned -= given_up
            if given_up:
                self._idle()
                return

    def _watch(self) -> None:
        pause = threading.Event()
        rest: float | None = None
        while not self._stopping.is_set():
            self._watcher_wake.wait(rest)
            seen = self._done
            pause.wait(_PATIENCE)
            now = time.monotonic()
            with self._lock:
                self._watcher_wake.clear()
                deadlines = [self._check(worker, now) for worker in tuple(self._running)]
                if self._jobs:
                    self._watcher_wake.set()
                    if self._done == seen and not self._stopping.is_set():
                        self._add_worker()
                rest = min((deadline - now for deadline in deadlines if deadline is not None), default=None)
            self._idle()

    def _check(self, worker: _Worker, now: float) -> float | None:
        """Gives up a worker whose job is late; otherwise returns its deadline, None when it has no job."""
        job = worker.job
        if job is None or now <= job.deadline:
            return None if job is None else job.deadline
        worker.abandoned = True
        self._abandoned += 1
        self._running.discard(worker)
        job.expire()
        return None
