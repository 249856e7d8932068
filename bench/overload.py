"""Five times the load that a service can serve; and 5,000 connections on which nothing happens.

The load comes at a rate of its own, from another process than the service's. A request that is served must be served
soon, and one that is not must be told so, with Retry-After; and when the load is over, all must be as before at once.
"""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from bench.arrivals import Answer, Arrivals, get, idle_connections, percentile
from bench.effort import Effort
from bench.result import Result
from bench.service import BASE, free_port, running

__all__ = ["Overload", "measure", "overload"]

_TIMES = 5
_WORKERS = 64
_IDLE = 5000
_QUICK_RATE = 200
_PROBE_SECONDS = 0.1
_RECOVERY_LIMIT = 20.0


@dataclass(frozen=True, slots=True)
class Overload:
    """`capacity` is in requests a second, `normal` how long one takes alone; `recovered` is how long after the last
    arrival a single request was first answered in about that time. All in seconds."""

    capacity: float
    normal: float
    arrivals: Arrivals
    recovered: float

    @property
    def served(self) -> list[Answer]:
        """What was answered as it should be."""
        return self.arrivals.of(200)

    @property
    def refused(self) -> list[Answer]:
        """What was told to come again later."""
        return [answer for answer in self.arrivals.of(429, 503) if answer.retry_after]

    @property
    def served_share(self) -> float:
        """Served requests as a share of what could be served while the load lasted."""
        during = [a for a in self.served if a.at + a.seconds <= self.arrivals.seconds]
        return len(during) / (self.capacity * self.arrivals.seconds)

    def __str__(self) -> str:
        statuses = dict(sorted(Counter(answer.status for answer in self.arrivals.answers).items()))
        slowest = percentile([a.seconds for a in self.refused], 0.99)
        return (
            f"{self.arrivals.rate:.0f}/s offered for {self.arrivals.seconds:.0f} s, {self.capacity:.0f}/s could be "
            f"served; statuses {statuses}; refused within {slowest * 1000:.0f} ms (p99)"
        )


async def overload(url: str, capacity: float, normal: float, seconds: float) -> Overload:
    """Offers five times the capacity, then asks alone until that takes what it normally does."""
    arriving = asyncio.ensure_future(Arrivals.offer(url, capacity * _TIMES, seconds))
    await asyncio.sleep(seconds)
    recovered = asyncio.ensure_future(_recovery(url, normal))
    return Overload(capacity, normal, await arriving, await recovered)


async def _recovery(url: str, normal: float) -> float:
    """After how many seconds a single request was sent that was answered within twice its normal time."""
    began = time.perf_counter()
    while True:
        at = time.perf_counter() - began
        answer = await get(url)
        if answer.status == 200 and answer.seconds < normal * 2 + 0.05:
            return at
        if at > _RECOVERY_LIMIT:
            return float("inf")
        await asyncio.sleep(_PROBE_SECONDS)


def measure(effort: Effort) -> list[Result]:
    """Measures a service that waits, one that computes, and idle connections."""
    with tempfile.TemporaryDirectory() as folder:
        port = free_port()
        base = f"http://127.0.0.1:{port}"
        command: list[str | Path] = ["-m", "windlass", "up", BASE / "apps" / "busy", "--no-reload"]
        with running([*command, "--home", Path(folder), "--port", str(port)], f"{base}/"):
            seconds = max(4.0, 2.0 * effort.seconds)
            waits = asyncio.run(overload(f"{base}/busy/wait", _WORKERS / 0.5, 0.5, seconds))
            print(f"waiting handlers: {waits}", flush=True)
            alone = asyncio.run(_alone(f"{base}/busy/spin"))
            spins = asyncio.run(overload(f"{base}/busy/spin", 1 / alone, alone, seconds))
            print(f"computing handlers: {spins}", flush=True)
            before, during, still = asyncio.run(_idle(f"{base}/busy/quick", float(effort.seconds)))
            print(f"idle connections: {still} of {_IDLE} were still open in the end", flush=True)
    return [
        *_results("waiting handlers", waits),
        *_results("computing handlers", spins),
        Result(f"p99 beside {_IDLE:,} idle connections", during * 1000, "ms", at_most=50),
        Result("p99 without them", before * 1000, "ms"),
    ]


def _results(what: str, found: Overload) -> list[Result]:
    told = len(found.served) + len(found.refused)
    return [
        Result(f"{what}: served, of what could be", found.served_share, "", at_least=0.7),
        Result(f"{what}: served, or refused with Retry-After", told / len(found.arrivals.answers), "", at_least=1.0),
        Result(f"{what}: p99 of the served", percentile([a.seconds for a in found.served], 0.99), "s", at_most=2.5),
        Result(f"{what}: normal again after", found.recovered, "s", at_most=1.0),
    ]


async def _alone(url: str) -> float:
    """How long a request takes that is alone, in seconds: the median."""
    return percentile([(await get(url)).seconds for _ in range(50)], 0.5)


async def _idle(url: str, seconds: float) -> tuple[float, float, int]:
    """The 99th percentile of requests before and beside idle connections, in seconds; and how many of those are open
    after it."""
    before = await Arrivals.offer(url, _QUICK_RATE, seconds)
    connections = await idle_connections(url, _IDLE)
    beside = await Arrivals.offer(url, _QUICK_RATE, seconds)
    still = sum(not writer.transport.is_closing() for writer in connections)
    for writer in connections:
        writer.close()
    for arrivals in (before, beside):
        if len(arrivals.of(200)) < len(arrivals.answers):
            raise RuntimeError(f"{len(arrivals.answers) - len(arrivals.of(200))} requests were not answered with 200")
    return (
        percentile([answer.seconds for answer in before.answers], 0.99),
        percentile([answer.seconds for answer in beside.answers], 0.99),
        still,
    )
