"""The evaluation of an alarm: CloudWatch's own examples, and what holds for any values."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from windlass.dispatch.alarm import evaluate, judge, span_minutes, values_of
from windlass.dispatch.metrics import Distribution
from windlass.ports.alarm import AlarmRule, AlarmState, Missing, said

RULE = AlarmRule("a", "api", "api", "errors", "request_errors", (("system", "s"),), "sum", "above", 5.0)
STATES: Sequence[AlarmState] = ("OK", "ALARM", "INSUFFICIENT_DATA")
TREATMENTS: Sequence[Missing] = ("missing", "ignore", "breaching", "not_breaching")
POINTS = st.lists(st.sampled_from([True, False, None]), min_size=1, max_size=12)
KEPT = "the state before"


def points(text: str) -> list[bool | None]:
    """As AWS writes them: 0 is within the threshold, X breaches it, - is missing; the newest is the last."""
    return [{"0": False, "X": True, "-": None}[sign] for sign in text]


def distribution(*values: float) -> Distribution:
    made = Distribution()
    made.add(values)
    return made


# https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/alarms-and-missing-data.html, its two tables
@pytest.mark.parametrize(
    ("datapoints", "row", "states"),
    [
        (3, "0-X-X", ["OK", "OK", "OK", "OK"]),
        (3, "0----", ["OK", "OK", "OK", "OK"]),
        (3, "-----", ["INSUFFICIENT_DATA", KEPT, "ALARM", "OK"]),
        (3, "0XX-X", ["ALARM", "ALARM", "ALARM", "ALARM"]),
        (3, "--X--", ["ALARM", KEPT, "ALARM", "OK"]),
        (2, "0-X-X", ["ALARM", "ALARM", "ALARM", "ALARM"]),
        (2, "00X0X", ["ALARM", "ALARM", "ALARM", "ALARM"]),
        (2, "0-X--", ["OK", "OK", "ALARM", "OK"]),
        (2, "----0", ["OK", "OK", "ALARM", "OK"]),
        (2, "---X-", ["ALARM", KEPT, "ALARM", "OK"]),
    ],
)
@pytest.mark.parametrize("before", STATES)
def test_the_examples_of_cloudwatch(datapoints: int, row: str, states: list[str], before: AlarmState) -> None:
    found = [evaluate(points(row), 3, datapoints, missing, before) for missing in TREATMENTS]
    assert found == [before if state == KEPT else state for state in states]


@pytest.mark.parametrize("row", ["----X", "---X-"])
def test_no_alarm_before_the_oldest_breach_has_had_time(row: str) -> None:
    assert evaluate(points(row), 3, 3, "missing", "OK") == "INSUFFICIENT_DATA"
    assert evaluate(points(row), 3, 3, "ignore", "OK") == "OK"


@pytest.mark.parametrize("row", ["---X0", "--X-0"])
def test_a_value_within_the_threshold_is_ok(row: str) -> None:
    assert evaluate(points(row), 3, 3, "missing", "ALARM") == "OK"


@st.composite
def cases(draw: st.DrawFn) -> tuple[list[bool | None], int, int]:
    periods = draw(st.integers(1, 6))
    return (
        draw(st.lists(st.sampled_from([True, False, None]), min_size=periods + 2, max_size=periods + 2)),
        periods,
        draw(st.integers(1, periods)),
    )


@given(case=cases(), missing=st.sampled_from(TREATMENTS), before=st.sampled_from(STATES))
def test_the_same_values_find_the_same_state_again(
    case: tuple[list[bool | None], int, int], missing: Missing, before: AlarmState
) -> None:
    once = evaluate(*case, missing, before)
    assert evaluate(*case, missing, once) == once


@given(case=cases(), before=st.sampled_from(STATES))
def test_enough_values_leave_nothing_to_the_treatment(
    case: tuple[list[bool | None], int, int], before: AlarmState
) -> None:
    found, periods, datapoints = case
    states = {evaluate(*case, missing, before) for missing in TREATMENTS}
    real = [point for point in found if point is not None]
    if len(real) >= periods:
        assert states == {"ALARM" if sum(real[-periods:]) >= datapoints else "OK"}


@given(case=cases(), missing=st.sampled_from(TREATMENTS), before=st.sampled_from(STATES), place=st.integers(0, 7))
def test_one_more_breach_never_ends_an_alarm(
    case: tuple[list[bool | None], int, int], missing: Missing, before: AlarmState, place: int
) -> None:
    found, periods, datapoints = case
    place %= len(found)
    if found[place] is False and evaluate(found, periods, datapoints, missing, before) == "ALARM":
        worse = [*found[:place], True, *found[place + 1 :]]
        assert evaluate(worse, periods, datapoints, missing, before) == "ALARM"


@given(case=cases(), before=st.sampled_from(STATES))
def test_what_counts_as_breaching_is_an_alarm_at_least_where_the_other_is(
    case: tuple[list[bool | None], int, int], before: AlarmState
) -> None:
    if evaluate(*case, "not_breaching", before) == "ALARM":
        assert evaluate(*case, "breaching", before) == "ALARM"


@given(case=cases(), missing=st.sampled_from(["breaching", "not_breaching"]))
def test_filled_in_values_leave_nothing_open(case: tuple[list[bool | None], int, int], missing: Any) -> None:
    assert len({evaluate(*case, missing, before) for before in STATES}) == 1
    assert evaluate(*case, missing, "OK") != "INSUFFICIENT_DATA"


# Values


@pytest.mark.parametrize(
    ("statistic", "value"),
    [("sum", 10.0), ("average", 2.5), ("minimum", 1.0), ("maximum", 4.0), ("count", 4.0), ("p99", 4.0), ("p0.01", 1.0)],
)
def test_statistics(statistic: str, value: float) -> None:
    rule = replace(RULE, statistic=statistic)
    found = values_of(rule, [None, distribution(4.0, 1.0, 2.0, 3.0), None])
    assert found[0] is found[2] is None
    assert found[1] == pytest.approx(value, rel=0.05)


def test_periods_end_with_the_last_minute_and_leave_the_minutes_as_they_are() -> None:
    rule = replace(RULE, period=3, periods=1)
    minutes = [distribution(float(number)) for number in range(9)]
    assert span_minutes(rule) == 9
    assert values_of(rule, minutes) == [3.0, 12.0, 21.0]
    assert [minute.total for minute in minutes] == list(range(9))


@pytest.mark.parametrize(
    ("comparison", "states"),
    [
        ("above", ["OK", "OK", "ALARM"]),
        ("at_least", ["OK", "ALARM", "ALARM"]),
        ("below", ["ALARM", "OK", "OK"]),
        ("at_most", ["ALARM", "ALARM", "OK"]),
    ],
)
def test_comparisons(comparison: Any, states: list[str]) -> None:
    rule = replace(RULE, comparison=comparison)
    assert [judge(rule, [None, None, value], "OK").state for value in (4.0, 5.0, 6.0)] == states


@pytest.mark.parametrize(
    ("changes", "values", "reason"),
    [
        ({}, [None, None, 7.0], "7 is above 5"),
        ({}, [None, 3.0, None], "3 is not above 5"),
        ({}, [None] * 3, "nothing was recorded for 3 min, which counts as within the threshold"),
        ({"missing": "missing"}, [None] * 3, "nothing was recorded for 3 min, so nothing is known"),
        ({"periods": 3, "datapoints": 2}, [None, None, 7.0, 6.0, 1.0], "2 of the last 3 values are above 5: 7, 6, 1"),
        ({"periods": 3, "datapoints": 2}, [0.0, 9.0, 7.0, 1.0, 2.0], "1 of the last 3 values is above 5: 7, 1, 2"),
        ({"threshold": 10_000.0}, [None, None, 20_000.0], "20,000 is above 10,000"),
        ({"unit": "seconds"}, [None, None, 90.0], "1 min 30 s is above 5 s"),
        ({"unit": "share", "threshold": 0.05}, [None, None, 0.5], "50% is above 5%"),
    ],
    ids=str,
)
def test_why_in_words(changes: dict[str, Any], values: list[float | None], reason: str) -> None:
    assert judge(replace(RULE, **changes), values, "OK").reason == reason


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (0.0, "seconds", "0 s"),
        (0.0254, "seconds", "25.4 ms"),
        (2.5, "seconds", "2.5 s"),
        (59.96, "seconds", "60 s"),
        (60.0, "seconds", "1 min"),
        (3600.0, "seconds", "1 h"),
        (86_400.0, "seconds", "1 d"),
        (3725.0, "seconds", "1 h 2 min"),
        (0.3333, "share", "33.3%"),
        (1234567.0, "", "1,234,567"),
        (12.0, "", "12"),
        (0.125, "", "0.125"),
        (1e20, "", "1e+20"),
    ],
)
def test_values_as_people_read_them(value: float, unit: Any, text: str) -> None:
    assert said(value, unit) == text
