from __future__ import annotations

import math
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from file_sla_collector.retry import RetryPolicy, parse_retry_after
from hypothesis_settings import fixed_examples

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


def longest(low: float, high: float) -> float:
    return high


def test_the_bound_doubles_up_to_the_cap() -> None:
    policy = RetryPolicy(base=0.5, cap=3)
    assert [policy.wait(failures, draw=longest) for failures in range(1, 6)] == [0.5, 1, 2, 3, 3]


@fixed_examples
@given(st.integers(1, 10_000), st.one_of(st.none(), st.floats(0, 1e6)))
def test_a_wait_is_never_shorter_than_asked_nor_longer_than_that_and_the_cap(
    failures: int, retry_after: float | None
) -> None:
    policy = RetryPolicy()
    assert (retry_after or 0) <= policy.wait(failures, retry_after) <= (retry_after or 0) + policy.cap


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (None, None),
        ("0", 0),
        (" 120 ", 120),
        ("Sun, 01 Mar 2026 12:00:30 GMT", 30),
        ("Sun, 01 Mar 2026 11:00:00 GMT", 0),
        ("Sun, 01 Mar 2026 12:00:30 -0000", 30),
        ("-5", None),
        ("1.5", None),
        ("soon", None),
        ("", None),
        ("Sun, 99 Mar 99999 12:00:30 GMT", None),
        ("\u0661", None),
    ],
)
def test_reading_retry_after(value: str | None, seconds: float | None) -> None:
    assert parse_retry_after(value, NOW) == seconds


@fixed_examples
@given(st.text(st.characters(max_codepoint=255), max_size=40))
def test_no_header_breaks_the_reading(value: str) -> None:
    seconds = parse_retry_after(value, NOW)
    assert seconds is None or seconds >= 0


def test_an_absurd_retry_after_is_still_a_number() -> None:
    seconds = parse_retry_after("9" * 5000, NOW)
    assert seconds is not None
    assert math.isfinite(seconds)


def test_a_request_needs_an_attempt() -> None:
    with pytest.raises(ValueError, match="at least one attempt"):
        RetryPolicy(attempts=0)
