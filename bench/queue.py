"""Queues: messages a second in one process, without HTTP, against huey; and how soon a lone message is handled.

Each sends from one thread while the consumer works, and a send is committed when it returns. Windlass's sends ten
messages at a time and its consumer takes ten; huey (https://huey.readthedocs.io), which knows no batches, one at a
time. So both are compared sending and handling one at a time, too. huey gets what makes it fast: SQLite in WAL mode
with `synchronous = normal`, as Windlass has it, where huey's own default is an fsync for each commit; no results, which
would be stored; the number of worker threads, of 1, 2 and 4, with which it is fastest; and logging off. It takes a task
off the queue before it runs it, at most once, where Windlass does so afterwards, at least once.
"""

from __future__ import annotations

import json
import logging
import sqlite3
import statistics
import tempfile
import threading
import time
import urllib.request
from pathlib import Path

import msgspec
from huey import Huey  # type: ignore[import-untyped]
from huey.storage import SqliteStorage  # type: ignore[import-untyped]

from bench.effort import Effort
from bench.result import Result
from bench.service import BASE, free_port, post_json, running
from windlass import Batch, System
from windlass.engines.embedded.engine import EmbeddedEngine
from windlass.engines.embedded.namespace import Namespace
from windlass.ports.binding import Invocation, invoked

__all__ = ["measure"]

_BATCH = 10
_PER_SECOND = 12_000
"""So many messages are measured for each second of effort."""
_LATENESS = 0.03
_DEADLINE = 120.0


class _Job(msgspec.Struct):
    number: int
    text: str


class _Counted:
    """Counts what was handled, until all is."""

    def __init__(self, whole: int) -> None:
        self._left, self._lock = whole, threading.Lock()
        self.all = threading.Event()

    def add(self, number: int) -> None:
        with self._lock:
            self._left -= number
            if self._left <= 0:
                self.all.set()

    def wait(self) -> None:
        if not self.all.wait(_DEADLINE):
            raise RuntimeError(f"{self._left} messages were not handled within {_DEADLINE:.0f} s")


def _windlass(home: Path, number: int, *, batch: bool, at_once: int = _BATCH) -> tuple[float, float]:
    """Messages a second from the first send to the last handled and deleted; and those sent a second. `batch` says
    that the handler is called for ten together, `at_once` how many are sent with one commit."""
    counted = _Counted(number)
    system = System("measured")
    queue = system.queue("queue", _Job)
    if batch:

        @queue.consumer(batch=_BATCH)
        def handle_all(jobs: Batch[_Job]) -> None:
            counted.add(len(jobs))

    else:

        @queue.consumer(batch=_BATCH)
        def handle(job: _Job) -> None:
            counted.add(1)

    space = Namespace(home)
    engine = EmbeddedEngine(space, [system])
    engine.prepare()
    engine.start()
    try:
        running_system = engine.systems["measured"]
        ports, key = running_system.ports, running_system.context.signing_key
        invocation = Invocation("measured", "bench", ports, space.clock, key, "0" * 32)
        began = time.perf_counter()
        with invoked(invocation):
            for first in range(0, number, at_once):
                queue.send_many([_Job(first + n, "x" * 50) for n in range(at_once)])
                space.store.flush()
        sent = time.perf_counter()
        counted.wait()
        stats = ports["queue"].stats
        while stats().waiting or stats().in_flight:
            time.sleep(0.001)
        return number / (time.perf_counter() - began), number / (sent - began)
    finally:
        engine.stop()


class _Storage(SqliteStorage):  # type: ignore[misc]
    """huey's own, with the durability that is measured."""

    def _create_connection(self) -> sqlite3.Connection:
        db: sqlite3.Connection = super()._create_connection()
        db.execute("pragma synchronous = normal")
        return db


def _huey(path: Path, number: int, workers: int) -> tuple[float, float]:
    """As `_windlass`."""
    logging.getLogger("huey").setLevel(logging.CRITICAL)
    counted = _Counted(number)
    huey = Huey("measured", storage_class=_Storage, filename=str(path), results=False)

    @huey.task()  # type: ignore[untyped-decorator]
    def handle(number: int, text: str) -> None:
        counted.add(1)

    consumer = huey.create_consumer(workers=workers, periodic=False, initial_delay=0.001, max_delay=0.01)
    consumer.start()
    try:
        began = time.perf_counter()
        for n in range(number):
            handle(n, "x" * 50)
        sent = time.perf_counter()
        counted.wait()
        return number / (time.perf_counter() - began), number / (sent - began)
    finally:
        consumer.stop(graceful=True)
        huey.storage.close()


def measure(effort: Effort) -> list[Result]:
    """Measures the rates in turn, then the latencies."""
    number = effort.seconds * _PER_SECOND
    rates: dict[str, list[float]] = {"batches": [], "each": [], "alone": [], "huey": []}
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        tried = {workers: _huey(home / f"tried{workers}.sqlite", number // 20, workers)[0] for workers in (1, 2, 4)}
        workers = max(tried, key=lambda count: tried[count])
        for turn in range(effort.rounds):
            own, sent = _windlass(home / f"batches{turn}", number, batch=True)
            each, _ = _windlass(home / f"each{turn}", number, batch=False)
            alone, alone_sent = _windlass(home / f"alone{turn}", number // 4, batch=False, at_once=1)
            peer, peer_sent = _huey(home / f"huey{turn}.sqlite", number // 8, workers)
            for name, rate in (("batches", own), ("each", each), ("alone", alone), ("huey", peer)):
                rates[name].append(rate)
            print(
                f"queue round {turn + 1}: batches {own:.0f}/s (sent {sent:.0f}/s), a call for each {each:.0f}/s, "
                f"sent alone, too {alone:.0f}/s (sent {alone_sent:.0f}/s), "
                f"huey with {workers} threads {peer:.0f}/s (sent {peer_sent:.0f}/s)",
                flush=True,
            )
        lone = {workers: _lone(home / f"lone{workers}", workers, effort) for workers in (1, 2)}

    def ratio(name: str) -> float:
        return statistics.median(own / peer for own, peer in zip(rates[name], rates["huey"], strict=True))

    return [
        Result("messages in batches of ten", statistics.median(rates["batches"]), "/s", at_least=20_000),
        Result("messages, a call for each", statistics.median(rates["each"]), "/s"),
        Result("messages in batches of ten, Windlass / huey", ratio("batches"), "x", at_least=3.0),
        Result("messages sent and handled one by one, Windlass / huey", ratio("alone"), "x"),
        *(
            Result(f"a lone message, sent to handled, {name}", statistics.median(lone[workers]), "ms", at_most=10)
            for workers, name in ((1, "one process"), (2, "--workers 2"))
        ),
        *(
            Result(f"likewise, the slowest of {len(lone[workers])}, {name}", max(lone[workers]), "ms")
            for workers, name in ((1, "one process"), (2, "--workers 2"))
        ),
    ]


def _lone(home: Path, workers: int, effort: Effort) -> list[float]:
    """Milliseconds from a send, before its commit, until the handler began, of many messages with a pause between."""
    port = free_port()
    base = f"http://127.0.0.1:{port}"
    command: list[str | Path] = [
        "-m",
        "windlass",
        "up",
        BASE / "apps" / "jobs",
        "--no-reload",
        "--home",
        home,
        "--port",
        str(port),
    ]
    wanted = max(20, 40 * effort.seconds)
    with running([*command, "--workers", str(workers)], f"{base}/"):
        for _ in range(wanted):
            post_json(f"{base}/jobs/jobs", None)
            time.sleep(_LATENESS)
        end = time.monotonic() + _DEADLINE
        while len(found := _latencies(f"{base}/jobs/latencies")) < wanted:
            if time.monotonic() > end:
                raise RuntimeError(f"{wanted - len(found)} messages were not handled")
            time.sleep(0.1)
    milliseconds = [seconds * 1000 for seconds in found]
    print(
        f"lone messages, {workers} worker(s): median {statistics.median(milliseconds):.2f} ms, "
        f"most {max(milliseconds):.2f} ms",
        flush=True,
    )
    return milliseconds


def _latencies(url: str) -> list[float]:
    with urllib.request.urlopen(url, timeout=5) as answer:
        return [item["seconds"] for item in json.load(answer)["items"]]
