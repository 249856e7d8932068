"""Declaring a schedule, and when it fires."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from windlass.errors import DeclarationError
from windlass.model.schedule import Schedule
from windlass.model.system import System

MOMENTS = st.datetimes(datetime(2000, 1, 1), datetime(2090, 1, 1), timezones=st.just(UTC))


def schedule(**settings: Any) -> Schedule:
    return System("shop").schedule("nightly", **settings)


@pytest.mark.parametrize(
    ("settings", "fault"),
    [
        ({}, "either every= or cron="),
        ({"every": timedelta(minutes=1), "cron": "0 3 * * ? *"}, "either every= or cron="),
        ({"every": 5}, "every=5 is not a timedelta"),
        ({"every": timedelta(0)}, "whole number of minutes"),
        ({"every": timedelta(seconds=90)}, "whole number of minutes"),
        ({"every": timedelta(minutes=-5)}, "whole number of minutes"),
        ({"cron": "0 3 * * *"}, "it has 5 fields"),
        ({"cron": "0 3 * * ? *", "timezone": "Europe/Nowhere"}, "is unknown"),
        ({"cron": "0 3 * * ? *", "timezone": "../../etc/passwd"}, "is unknown"),
        ({"cron": "0 3 * * ? *", "timezone": ""}, "is unknown"),
        ({"every": timedelta(minutes=1), "retries": -1}, "out of range"),
        ({"every": timedelta(minutes=1), "retries": 3}, "out of range"),
    ],
)
def test_what_is_refused_is_explained(settings: dict[str, Any], fault: str) -> None:
    with pytest.raises(DeclarationError, match=fault) as raised:
        schedule(**settings)
    assert raised.value.where == "shop.nightly"
    assert raised.value.fix


def test_a_schedule_starts_one_function() -> None:
    declared = schedule(every=timedelta(minutes=5))

    @declared.task()
    def first() -> None: ...

    def second() -> None: ...

    with pytest.raises(DeclarationError, match="starts first already"):
        declared.task()(second)


@given(st.integers(1, 60 * 24 * 40), MOMENTS)
def test_a_rate_fires_at_multiples_of_its_period(minutes: int, moment: datetime) -> None:
    period = timedelta(minutes=minutes)
    found = schedule(every=period).next_after(moment)
    assert found is not None
    assert timedelta(0) < found - moment <= period
    assert (found - datetime(1970, 1, 1, tzinfo=UTC)) % period == timedelta(0)


RULES = st.one_of(
    st.integers(1, 5000).map(lambda minutes: {"every": timedelta(minutes=minutes)}),
    st.sampled_from(["0/5 * * * ? *", "0 3 * * ? *", "30 2 ? * MON-FRI *", "0 0 L * ? *", "15 1 * 10 ? *"]).map(
        lambda text: {"cron": text, "timezone": "America/New_York"}
    ),
)


@given(RULES, MOMENTS, st.timedeltas(timedelta(0), timedelta(days=20)))
def test_the_latest_firing_is_the_last_one_before(rule: dict[str, Any], moment: datetime, down: timedelta) -> None:
    declared = schedule(**rule)
    first = declared.next_after(moment)
    assert first is not None
    until = first + down
    latest = declared.latest(first, until)
    assert first <= latest <= until
    following = declared.next_after(latest)
    assert following is not None
    assert following > until
    assert latest == first or declared.next_after(latest - timedelta(seconds=1)) == latest


def test_the_latest_firing_of_a_year_is_found_at_once() -> None:
    declared = schedule(cron="* * * * ? 2000")
    first = datetime(2000, 1, 1, tzinfo=UTC)
    assert declared.latest(first, datetime(2090, 6, 1, tzinfo=UTC)) == datetime(2000, 12, 31, 23, 59, tzinfo=UTC)
