"""Five times the load that can be served: who is served, is; who is not, is told so at once; and then all is as before.

`python -m bench overload` measures the same for longer, and how soon.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.arrivals import Arrivals, idle_connections, percentile
from bench.overload import Overload, overload
from tests.up import Up

BUSY = Path(__file__).parents[4] / "bench" / "apps" / "busy"
CAPACITY = 128.0  # 64 threads, and half a second for each request
SECONDS = 2.5


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    with Up(BUSY, home=tmp_path_factory.mktemp("overload") / "home", options=("--no-reload",)) as up:
        yield up


@pytest.fixture(scope="module")
def overloaded(up: Up) -> Overload:
    return asyncio.run(overload(f"{up.url}/busy/wait", CAPACITY, 0.5, SECONDS))


def test_everybody_is_served_or_told_to_come_again(overloaded: Overload) -> None:
    assert len(overloaded.arrivals.answers) == int(CAPACITY * 5 * SECONDS)
    assert len(overloaded.served) + len(overloaded.refused) == len(overloaded.arrivals.answers), str(overloaded)
    assert overloaded.refused


def test_as_many_are_served_as_can_be(overloaded: Overload) -> None:
    assert overloaded.served_share > 0.5, str(overloaded)


def test_who_is_not_served_hears_so_soon(overloaded: Overload) -> None:
    assert percentile([answer.seconds for answer in overloaded.refused], 0.99) < 1.5, str(overloaded)


def test_who_is_served_does_not_wait_long(overloaded: Overload) -> None:
    assert percentile([answer.seconds for answer in overloaded.served], 0.99) < 3.0, str(overloaded)


def test_when_the_load_is_over_it_serves_as_before(overloaded: Overload) -> None:
    assert overloaded.recovered < 5.0, str(overloaded)


def test_connections_on_which_nothing_happens_are_in_nobodys_way(up: Up) -> None:
    async def beside() -> Arrivals:
        connections = await idle_connections(up.url, 500)
        try:
            return await Arrivals.offer(f"{up.url}/busy/quick", 50, 1)
        finally:
            for connection in connections:
                connection.close()

    arrivals = asyncio.run(beside())
    assert len(arrivals.of(200)) == 50
    assert percentile([answer.seconds for answer in arrivals.answers], 0.99) < 0.5
