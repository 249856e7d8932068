"""What the parts of a deployment are called."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from windlass.engines.aws.stage import Stage
from windlass.errors import EngineUnavailable

NAMES = st.from_regex(r"[a-z][a-z0-9_]{0,39}", fullmatch=True)
WHATS = ("url", "dead_url", "pool", "client")


def stage(system: str = "shop", name: str = "dev") -> Stage:
    return Stage(system, name, "eu-west-1", "123456789012", {"WINDLASS_DATA_URL": "here"})


def test_a_short_name_is_spelled_out() -> None:
    assert stage().function("persist") == stage().schedule("persist") == stage().called("persist") == "shop-dev-persist"
    assert stage().queue("data", fifo=False) == "shop-dev-data"
    assert stage().queue("data", fifo=True, dead=True) == "shop-dev-data-dead.fifo"


@given(NAMES, NAMES, NAMES, NAMES)
def test_a_long_name_fits_and_is_nobody_elses(system: str, name: str, one: str, other: str) -> None:
    at = stage(system, name)
    for called, most in ((at.function, 64), (at.schedule, 64)):
        assert len(called(one)) <= most
        assert (called(one) == called(other)) == (one == other)
    queues = [at.queue(n, fifo=f, dead=d) for n in {one, other} for f in (True, False) for d in (True, False)]
    assert len(set(queues)) == len(queues)
    assert max(map(len, queues)) <= 80
    assert all(at.queue(one, fifo=True, dead=dead).endswith(".fifo") for dead in (True, False))


@given(st.lists(NAMES, min_size=2, max_size=2, unique=True), st.sampled_from(["", "_dead", "_url", "_client"]))
def test_no_two_resources_share_a_variable(names: list[str], end: str) -> None:
    resources = {*names, f"{names[0]}{end}"}
    told = [Stage.variable(*pair) for pair in itertools.product(resources, WHATS)]
    assert len(set(told)) == len(told)


def test_the_dead_letters_of_one_queue_are_not_the_messages_of_another() -> None:
    assert Stage.variable("data", "dead_url") == "WINDLASS_DATA_DEADURL"
    assert Stage.variable("data_dead", "url") == "WINDLASS_DATA_DEAD_URL"


def test_what_was_not_told_is_said() -> None:
    assert stage().told("data", "url") == "here"
    with pytest.raises(EngineUnavailable, match="lacks WINDLASS_OTHER_URL, for other; deploy it again"):
        stage().told("other", "url")
