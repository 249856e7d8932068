"""Requests that come at a rate of their own, however slow the answers are: what a service is offered when its callers
do not wait for each other. (wrk's connections wait for their answers, so it offers less the slower they come.)"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from urllib.parse import urlsplit

__all__ = ["Answer", "Arrivals", "get", "idle_connections", "percentile"]

_LONGEST = 30.0


@dataclass(frozen=True, slots=True)
class Answer:
    """`status` is 0 where the connection broke or nothing came for 30 seconds; `at` is when it was asked for, in
    seconds since the first, and `seconds` how long it took; `retry_after` is the header's."""

    status: int
    at: float
    seconds: float
    retry_after: str | None


@dataclass
class Arrivals:
    """The answers to requests that came at `rate` a second for `seconds`."""

    rate: float
    seconds: float
    answers: list[Answer] = field(default_factory=list)

    def of(self, *statuses: int) -> list[Answer]:
        """Those with one of the statuses."""
        return [answer for answer in self.answers if answer.status in statuses]

    @classmethod
    async def offer(cls, url: str, rate: float, seconds: float) -> Arrivals:
        """Asks for `url` at the rate, on as many connections as that takes, and waits for every answer."""
        parts = urlsplit(url)
        idle: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []
        arrivals = cls(rate, seconds)
        began = time.perf_counter()

        async def ask(at: float) -> None:
            kept = idle.pop() if idle else None
            answer, used = await _ask(parts.hostname or "", parts.port or 80, parts.path, kept, at)
            arrivals.answers.append(answer)
            if used is not None:
                idle.append(used)

        async with asyncio.TaskGroup() as group:
            for number in range(int(rate * seconds)):
                due = number / rate
                late = time.perf_counter() - began
                if due > late:
                    await asyncio.sleep(due - late)
                elif number % 20 == 0:
                    await asyncio.sleep(0)  # when behind, answers must be read all the same
                group.create_task(ask(time.perf_counter() - began))
        for _, writer in idle:
            writer.close()
        return arrivals


_Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]


async def _ask(
    host: str, port: int, path: str, kept: _Connection | None, at: float
) -> tuple[Answer, _Connection | None]:
    """One request; on a kept connection, or a new one. With the answer, the connection if it can be used again."""
    began = time.perf_counter()
    connection = kept
    try:
        async with asyncio.timeout(_LONGEST):
            if connection is None:
                connection = await asyncio.open_connection(host, port)
            reader, writer = connection
            writer.write(f"GET {path} HTTP/1.1\r\nhost: {host}\r\n\r\n".encode())
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
            headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:])}
            await reader.readexactly(int(headers.get("content-length", "0")))
    except (OSError, EOFError, TimeoutError):
        if connection is not None:
            connection[1].close()
        return Answer(0, at, time.perf_counter() - began, None), None
    taken = time.perf_counter() - began
    return Answer(int(head[0].split()[1]), at, taken, headers.get("retry-after")), connection


async def get(url: str) -> Answer:
    """One request on a connection of its own."""
    parts = urlsplit(url)
    answer, connection = await _ask(parts.hostname or "", parts.port or 80, parts.path, None, 0.0)
    if connection is not None:
        connection[1].close()
    return answer


async def idle_connections(url: str, number: int) -> list[asyncio.StreamWriter]:
    """Open connections on which nothing is sent."""
    parts = urlsplit(url)
    found = []
    for first in range(0, number, 200):
        many = range(first, min(number, first + 200))
        opened = await asyncio.gather(*(asyncio.open_connection(parts.hostname, parts.port) for _ in many))
        found += [writer for _, writer in opened]
    return found


def percentile(values: Sequence[float], part: float) -> float:
    """The smallest of `values` that is not less than `part` of them; NaN without any."""
    return sorted(values)[max(0, math.ceil(part * len(values)) - 1)] if values else math.nan
