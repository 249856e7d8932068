"""Loops among queues, against graphlib's idea of them."""

from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from windlass.graph.cycle import queue_cycles
from windlass.model.queue import Queue
from windlass.model.system import System


@dataclass
class Job:
    id: str


def feeding(feeds: dict[int, set[int]], allowed: set[int]) -> System:
    """A system whose queue `qN` is handled by `cN`, which may send to the queues `feeds[N]`."""
    system = System("loops")
    queues: dict[int, Queue[Job]] = {number: system.queue(f"q{number}", Job) for number in feeds}

    def consumer(number: int) -> Any:
        def consume(job: Job) -> None: ...

        consume.__name__ = f"c{number}"
        return consume

    for number, targets in feeds.items():
        grants = [queues[target].send if target % 2 else queues[target].send_many for target in sorted(targets)]
        queues[number].consumer(uses=grants, allow_cycle=number in allowed)(consumer(number))
    return system


@st.composite
def graphs(draw: st.DrawFn) -> tuple[dict[int, set[int]], set[int]]:
    numbers = list(range(draw(st.integers(1, 6))))
    feeds = {number: draw(st.sets(st.sampled_from(numbers), max_size=3)) for number in numbers}
    return feeds, draw(st.sets(st.sampled_from(numbers), max_size=2))


@given(graphs())
def test_loops_are_found_exactly_where_there_are_any(graph: tuple[dict[int, set[int]], set[int]]) -> None:
    feeds, allowed = graph
    try:
        TopologicalSorter({n: set() if n in allowed else feeds[n] for n in feeds}).prepare()
        loops = False
    except CycleError:
        loops = True
    found = queue_cycles(feeding(feeds, allowed))
    assert bool(found) == loops
    for number, cycle in enumerate(found):
        assert all(cycle[0] not in earlier for earlier in found[:number])
    for cycle in found:
        numbers = [int(queue.name[1:]) for queue, _ in cycle]
        for here, there in zip(numbers, numbers[1:] + numbers[:1], strict=True):
            assert there in feeds[here]
            assert here not in allowed


def test_one_consumer_that_allows_the_loop_is_enough() -> None:
    assert queue_cycles(feeding({0: {1}, 1: {2}, 2: {0}}, {1})) == []


def test_other_grants_on_a_queue_make_no_loop() -> None:
    system = System("loops")
    jobs, counts = system.queue("jobs", Job), system.table("counts", Job, key="id")

    @jobs.consumer(uses=[counts.put])
    def work(job: Job) -> None: ...

    assert queue_cycles(system) == []
