"""Token buckets that processes share."""

import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from windlass import System, Throttle
from windlass.dispatch.throttle import Throttles
from windlass.engines.embedded.shared_throttles import SharedThrottles
from windlass.model.api import Route


def route(rate: float = 10, burst: int = 3, path: str = "/a") -> Route:
    system = System("throttled")
    api = system.api("api", throttle=Throttle(rate, burst), throttle_per_caller=Throttle(rate / 2, burst))

    @api.get(path)
    def get() -> None: ...

    return api.routes[0]


class Now:
    def __init__(self) -> None:
        self.seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds


@settings(max_examples=30)
@given(
    steps=st.lists(st.tuples(st.floats(0, 1), st.sampled_from([None, "ada", "bob", "\udc80"])), min_size=1, max_size=40)
)
def test_they_admit_whom_the_buckets_of_one_process_admit(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[float, str | None]]
) -> None:
    now, throttled = Now(), route()
    alone = Throttles(now)
    path = tmp_path_factory.mktemp("throttles") / "throttles"
    together = [SharedThrottles(path, now), SharedThrottles(path, now)]
    for number, (step, caller) in enumerate(steps):
        now.seconds += step
        expected = alone.admit(throttled, caller)
        assert together[number % 2].admit(throttled, caller) == pytest.approx(expected)
    for one in together:
        one.close()


def test_another_process_takes_from_the_same_bucket(tmp_path: Path) -> None:
    throttled = route(rate=0.001, burst=3)
    mine = SharedThrottles(tmp_path / "throttles")
    assert mine.admit(throttled, None) == 0
    program = f"""
from pathlib import Path
from tests.unit.engines.embedded.test_shared_throttles import route
from windlass.engines.embedded.shared_throttles import SharedThrottles
theirs = SharedThrottles(Path({str(tmp_path / "throttles")!r}))
print([theirs.admit(route(rate=0.001, burst=3), None) == 0 for _ in range(3)])
"""
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert found.stdout.strip() == "[True, True, False]", found.stderr
    assert mine.admit(throttled, None) > 0
    mine.close()


def test_a_full_table_forgets_who_came_longest_ago(tmp_path: Path) -> None:
    now, throttled = Now(), route(rate=1, burst=1)
    throttles = SharedThrottles(tmp_path / "throttles", now)
    assert throttles.admit(throttled, "first") == 0
    assert throttles.admit(throttled, "first") > 0
    for number in range(5_000):
        now.seconds += 1e-6
        assert throttles.admit(throttled, f"caller {number}") == 0
    assert throttles.admit(throttled, "caller 4999") > 0, "the latest is remembered"
    throttles.close()


def test_a_file_that_is_garbage_lets_nobody_through_for_ever_or_never(tmp_path: Path) -> None:
    path = tmp_path / "throttles"
    path.write_bytes(b"\xff" * 100)
    throttles = SharedThrottles(path)
    assert throttles.admit(route(), None) == 0
    throttles.close()
