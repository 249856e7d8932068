"""Whether a rule is breached: values of its metric -> the state of its alarm, as CloudWatch finds it.

https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/AlarmThatSendsEmail.html, "Alarm evaluation" and
"Configuring how CloudWatch alarms treat missing data"; the tables there are among the tests.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from windlass.dispatch.metrics import Distribution
from windlass.ports.alarm import AlarmRule, AlarmState, Comparison, Missing, said

__all__ = ["Verdict", "evaluate", "judge", "span_minutes", "values_of"]

# CloudWatch looks farther back than the evaluation periods, for values to take in the place of missing ones. How far
# it does not say; its examples have 5 values for 3 periods.
_FARTHER_BACK = 2

_COMPARED: dict[Comparison, Callable[[Any, Any], bool]] = {
    "above": operator.gt,
    "at_least": operator.ge,
    "below": operator.lt,
    "at_most": operator.le,
}


@dataclass(frozen=True, slots=True)
class Verdict:
    """The state that an evaluation finds, the newest value it was found by, and why, in words."""

    state: AlarmState
    value: float | None
    reason: str


def span_minutes(rule: AlarmRule) -> int:
    """How many minutes an evaluation looks back: the evaluation range."""
    return (rule.periods + _FARTHER_BACK) * rule.period


def values_of(rule: AlarmRule, minutes: Sequence[Distribution | None]) -> list[float | None]:
    """The statistic of each period, the oldest first, None where there is nothing. `minutes` are those of
    `span_minutes`; a period ends with the last one, so an alarm over five minutes looks at the last five."""
    values: list[float | None] = []
    for first in range(0, len(minutes), rule.period):
        together: Distribution | None = None
        for minute in minutes[first : first + rule.period]:
            if minute is not None:
                if together is None and rule.period == 1:
                    together = minute
                    continue
                if together is None:
                    together = Distribution()
                together.merge(minute)
        values.append(None if together is None or not together.count else _statistic(rule.statistic, together))
    return values


def _statistic(statistic: str, distribution: Distribution) -> float:
    match statistic:
        case "sum":
            return distribution.total
        case "average":
            return distribution.average
        case "minimum":
            return distribution.least
        case "maximum":
            return distribution.greatest
        case "count":
            return float(distribution.count)
    return distribution.percentile(float(statistic[1:]))


def evaluate(
    points: Sequence[bool | None], periods: int, datapoints: int, missing: Missing, state: AlarmState
) -> AlarmState:
    """The state after `state`, of an alarm whose values are `points`: breaching or not, None where one is missing,
    the oldest first, all of the evaluation range.

    With as many values as periods, the newest decide and nothing has to be filled in. With fewer, those that are
    missing are taken as `missing` says. Where that is `missing` or `ignore`, values that all breach make an ALARM
    when the oldest has had time for `datapoints` more to come after it (CloudWatch: premature alarm state), and
    nothing is decided before.
    """
    real = [point for point in points if point is not None]
    if len(real) >= periods:
        return "ALARM" if sum(real[-periods:]) >= datapoints else "OK"
    breaching = sum(real)
    match missing:
        case "breaching":
            return "ALARM" if breaching + periods - len(real) >= datapoints else "OK"
        case "not_breaching":
            return "ALARM" if breaching >= datapoints else "OK"
    if breaching >= datapoints:
        return "ALARM"
    if breaching < len(real):
        return "OK"
    if missing == "ignore":
        return state
    if real:
        age = len(points) - next(number for number, point in enumerate(points) if point is not None)
        if age >= datapoints:
            return "ALARM"
    return "INSUFFICIENT_DATA"


def judge(rule: AlarmRule, values: Sequence[float | None], state: AlarmState) -> Verdict:
    """The state after `state`, of an alarm whose `values` are those of `values_of`."""
    compared = _COMPARED[rule.comparison]
    points = [None if value is None else compared(value, rule.threshold) for value in values]
    found = evaluate(points, rule.periods, rule.datapoints, rule.missing, state)
    real = [value for value in values if value is not None]
    newest = real[-1] if real else None
    return Verdict(found, newest, _reason(rule, real, points))


def _reason(rule: AlarmRule, real: Sequence[float], points: Sequence[bool | None]) -> str:
    if not real:
        counted = {
            "breaching": "which counts as breaching",
            "not_breaching": "which counts as within the threshold",
            "ignore": "so the state stays",
            "missing": "so nothing is known",
        }[rule.missing]
        return f"nothing was recorded for {said(len(points) * rule.period * 60.0, 'seconds')}, {counted}"
    looked = real[-rule.periods :]
    shown = ", ".join(said(value, rule.unit) for value in looked[-10:])
    breaching = sum([point for point in points if point is not None][-rule.periods :])
    if len(looked) == 1:
        return f"{shown} is {'' if breaching else 'not '}{rule.bound}"
    return f"{breaching} of the last {len(looked)} values {'is' if breaching == 1 else 'are'} {rule.bound}: {shown}"
