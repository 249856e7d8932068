"""Counters and durations by their labels."""

from concurrent.futures import ThreadPoolExecutor

from hypothesis import given
from hypothesis import strategies as st

from windlass.dispatch.metrics import Metrics, series

LABELS = st.dictionaries(st.sampled_from("ab"), st.sampled_from("xy"))


@given(counts=st.lists(st.tuples(LABELS, st.integers(1, 5))), wanted=LABELS)
def test_a_value_is_the_sum_over_all_that_carry_the_labels(
    counts: list[tuple[dict[str, str], int]], wanted: dict[str, str]
) -> None:
    metrics = Metrics()
    for labels, value in counts:
        metrics.count(series("n", **labels), value)
        metrics.count(series("other", **labels))
    assert metrics.value("n", **wanted) == sum(n for have, n in counts if wanted.items() <= have.items())


@given(samples=st.lists(st.floats(0, 10), min_size=1, max_size=50), rank=st.floats(0, 100))
def test_a_percentile_is_one_of_the_samples(samples: list[float], rank: float) -> None:
    metrics = Metrics()
    for sample in samples:
        metrics.observe(series("d", handler="a"), sample)
    found = metrics.percentile("d", rank, handler="a")
    assert found in samples
    assert metrics.percentile("d", 100) == max(samples)
    assert metrics.percentile("d", 0) == min(samples)
    assert metrics.percentile("d", 50, handler="b") is None


def test_the_latest_samples_count() -> None:
    metrics = Metrics()
    for sample in range(5000):
        metrics.observe(series("d"), sample)
    assert metrics.percentile("d", 0) == 5000 - 1024


def test_threads_lose_no_count() -> None:
    metrics = Metrics()

    def count(handler: str) -> None:
        for _ in range(1000):
            metrics.count(series("n", handler=handler))

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(count, "aabb"))
    assert metrics.value("n") == 4000
    assert metrics.value("n", handler="a") == 2000
