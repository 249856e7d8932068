"""The port of an alarm, and what a rule, a state and a change of state are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol

__all__ = [
    "AlarmChange",
    "AlarmOperator",
    "AlarmRule",
    "AlarmState",
    "AlarmStatus",
    "Comparison",
    "Missing",
    "Unit",
    "said",
]

AlarmState = Literal["OK", "ALARM", "INSUFFICIENT_DATA"]
Comparison = Literal["above", "at_least", "below", "at_most"]
Missing = Literal["not_breaching", "breaching", "ignore", "missing"]
Unit = Literal["", "seconds", "share"]

_WORDS: dict[Comparison, str] = {
    "above": "above",
    "at_least": "at least",
    "below": "below",
    "at_most": "at most",
}


@dataclass(frozen=True, slots=True)
class AlarmRule:
    """What is watched, and when that is an alarm.

    `noun` and `of` say whose `metric` it is: a resource's, or a `handler`'s; both are empty for a metric of the
    system's own. `series` and `labels` are those of the recorded metric. The `statistic` of each `period` (minutes)
    is compared with the `threshold`; `datapoints` of the last `periods` must breach it. `unit` is that of threshold
    and values: seconds, a share from 0 to 1, or none. `default` rules are Windlass's own.
    """

    name: str
    noun: str
    of: str
    metric: str
    series: str
    labels: tuple[tuple[str, str], ...]
    statistic: str
    comparison: Comparison
    threshold: float
    unit: Unit = ""
    period: int = 1
    periods: int = 1
    datapoints: int = 1
    missing: Missing = "not_breaching"
    description: str = ""
    default: bool = False

    @property
    def watched(self) -> str:
        """Whose metric: `queue data: dead`."""
        whose = f"{self.noun.replace('_', ' ')} {self.of}: " if self.of else ""
        return f"{whose}{self.metric.replace('_', ' ')}"

    @property
    def subject(self) -> str:
        """What is compared: `queue data: dead, maximum of 1 min`."""
        return f"{self.watched}, {self.statistic} of {said(self.period * 60.0, 'seconds')}"

    @property
    def bound(self) -> str:
        """The threshold: `above 0`."""
        return f"{_WORDS[self.comparison]} {said(self.threshold, self.unit)}"

    @property
    def condition(self) -> str:
        """When it is an alarm: `above 0`, `at least 5%, 3 of 5 times`."""
        return self.bound if self.periods == 1 else f"{self.bound}, {self.datapoints} of {self.periods} times"

    @property
    def evaluated(self) -> str:
        """All that decides about the state: a rule with another text is another rule, and begins anew."""
        labels = ",".join(f"{name}={value}" for name, value in self.labels)
        return (
            f"{self.statistic}({self.series}{{{labels}}}) {self.comparison} {self.threshold!r} "
            f"{self.datapoints}/{self.periods}*{self.period} {self.missing}"
        )


@dataclass(frozen=True, slots=True)
class AlarmStatus:
    """How an alarm stands: since when (epoch seconds; None: it was never evaluated), the newest value that was
    compared (None: there is none), and why, in words."""

    rule: AlarmRule
    state: AlarmState = "INSUFFICIENT_DATA"
    since: float | None = None
    value: float | None = None
    reason: str = "not evaluated yet"


@dataclass(frozen=True, slots=True)
class AlarmChange:
    """One change of an alarm's state, at `at` (epoch seconds). `number` grows with each."""

    number: int
    alarm: str
    at: float
    old: AlarmState
    new: AlarmState
    value: float | None
    reason: str


class AlarmOperator(Protocol):
    def status(self) -> AlarmStatus:
        """How it stands now."""
        ...

    def history(self, limit: int = 100) -> list[AlarmChange]:
        """Its changes of the last two weeks, the newest first."""
        ...


def said(value: float, unit: Unit) -> str:
    """A value as people read it: `2.5 s`, `10 min`, `5%`, `12`."""
    if unit == "share":
        return f"{value * 100:.3g}%"
    if unit != "seconds":
        return f"{int(value):,}" if value == int(value) and abs(value) < 1e15 else f"{value:.6g}"
    if 0 < abs(value) < 1:
        return f"{value * 1000:.3g} ms"
    if abs(value) < 60:
        return f"{value:.3g} s"
    seconds = round(value)
    for size, name in ((86_400, "d"), (3600, "h"), (60, "min")):
        if abs(seconds) >= size and seconds % size == 0:
            return f"{seconds // size} {name}"
    minutes, rest = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"
