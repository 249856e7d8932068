"""Counts and measurements by series and minute."""

import math
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from windlass.dispatch.metrics import Distribution, Metrics, minute_of, series
from windlass.ports.clock import ManualClock

LABELS = st.dictionaries(st.sampled_from("ab"), st.sampled_from("xy"))
SAMPLES = st.lists(st.floats(1e-5, 1e6), min_size=1, max_size=50)


@given(counts=st.lists(st.tuples(LABELS, st.integers(1, 5))), wanted=LABELS)
def test_a_value_is_the_sum_over_all_that_carry_the_labels(
    counts: list[tuple[dict[str, str], int]], wanted: dict[str, str]
) -> None:
    metrics = Metrics(ManualClock())
    for labels, value in counts:
        metrics.count(series("n", **labels), value)
        metrics.count(series("other", **labels))
    assert metrics.value("n", **wanted) == sum(n for have, n in counts if wanted.items() <= have.items())


@given(samples=SAMPLES, rank=st.floats(0.1, 100))
def test_a_percentile_is_near_the_sample_at_that_rank(samples: list[float], rank: float) -> None:
    metrics = Metrics(ManualClock())
    for sample in samples:
        metrics.count(series("d", handler="a"), sample)
    true = sorted(samples)[max(1, math.ceil(len(samples) * rank / 100)) - 1]
    assert metrics.percentile("d", rank, handler="a") == pytest.approx(true, rel=0.1)
    assert metrics.percentile("d", 100) == max(samples)
    assert metrics.percentile("d", 0) == min(samples)
    assert metrics.percentile("d", 50, handler="b") is None


@given(first=SAMPLES, second=SAMPLES)
def test_merging_is_the_same_as_adding_everything_to_one(first: list[float], second: list[float]) -> None:
    together, left, right = Distribution(), Distribution(), Distribution()
    together.add([*first, *second])
    left.add(first)
    right.add(second)
    left.merge(right)
    assert (left.count, left.least, left.greatest, left.buckets) == (
        together.count,
        together.least,
        together.greatest,
        together.buckets,
    )
    assert left.total == pytest.approx(together.total)


def test_what_is_new_comes_by_minute_and_once() -> None:
    clock = ManualClock()
    metrics, counted = Metrics(clock), series("n")
    metrics.count(counted)
    first = minute_of(clock.now())
    clock.set(clock.now() + 60)
    metrics.count(counted, 5)
    metrics.count(counted, 7)
    assert {key: (new.count, new.total) for key, new in metrics.take().items()} == {
        (first, counted): (1, 1.0),
        (first + 1, counted): (2, 12.0),
    }
    assert metrics.take() == {}
    assert metrics.value("n") == 13


def test_threads_lose_no_count() -> None:
    metrics = Metrics(ManualClock())

    def count(handler: str) -> None:
        for _ in range(1000):
            metrics.count(series("n", handler=handler))

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(count, "aabb"))
    assert metrics.value("n") == 4000
    assert metrics.value("n", handler="a") == 2000
