"""An alarm: a rule about a metric, evaluated as CloudWatch does it.

https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/AlarmThatSendsEmail.html
"""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, get_args

import msgspec

from windlass.errors import DeclarationError, InvalidItem
from windlass.model.alarm_metric import METRICS, OWN, RECORDED, AlarmMetric, is_statistic, unit_of
from windlass.model.handler import Function, Handler
from windlass.model.resource import Resource, check_duration, check_list
from windlass.ports.alarm import AlarmRule, Comparison, Missing

if TYPE_CHECKING:
    from windlass.model.schedule import Schedule
    from windlass.model.system import System

__all__ = ["Alarm", "AlarmSettings", "Threshold"]

Threshold = float | timedelta

_OWN_NAME = re.compile(r"[a-z][a-z0-9_]{0,99}\Z")
_MOST = timedelta(days=1)
_SENDER = "alarms@localhost"


class AlarmSettings(msgspec.Struct, frozen=True):
    """What `system.alarms(...)` said: whether there are default rules, whom changes of state are mailed to, and from
    which address."""

    defaults: bool = True
    to: tuple[str, ...] = ()
    sender: str = _SENDER

    @classmethod
    def checked(cls, system: str, defaults: bool, to: Sequence[str], sender: str | None) -> AlarmSettings:
        """Raises DeclarationError for an address that is none."""
        where = f"{system}.alarms"
        check_list(to, "to", where=where, example='"ops@example.com"')
        addresses = [("to", address) for address in to] + ([] if sender is None else [("sender", sender)])
        for what, address in addresses:
            # Imported for a system that says whom to tell: the email package costs 15 ms.
            from windlass.model.mime import parse_address

            try:
                parse_address(address, what)
            except InvalidItem as error:
                raise DeclarationError(
                    f"{what}: {error.detail}", where=where, fix=f'{what}="ops@example.com"'
                ) from None
        if len(to) > 50:
            raise DeclarationError(f"to has {len(to)} addresses", where=where, fix="give 50 at most, or a mailing list")
        return cls(defaults, tuple(to), sender or (to[0] if to else _SENDER))


class Alarm(Resource):
    """Declared with `system.alarm("slow", of=api, metric="latency", statistic="p95", above=timedelta(seconds=1))`.

    `of` is a resource, the function of a handler, or None for a metric of the system's own (`windlass.metric`). The
    `statistic` of each `period`, a whole number of minutes, is compared with `above`, `at_least`, `below` or
    `at_most`. When `datapoints` of the last `periods` breach it (all of them, unless said), the state is ALARM.
    `missing` is what a period without data counts as.
    """

    noun = "alarm"

    def __init__(
        self,
        system: System,
        name: str,
        *,
        of: Resource | Function | None,
        metric: str,
        statistic: str | None = None,
        above: Threshold | None = None,
        at_least: Threshold | None = None,
        below: Threshold | None = None,
        at_most: Threshold | None = None,
        period: timedelta = timedelta(minutes=1),
        periods: int = 1,
        datapoints: int | None = None,
        missing: Missing = "not_breaching",
        description: str = "",
    ) -> None:
        super().__init__(system, name)
        where = self.where
        self.of, self.watched = of, self._watched(of)
        self.metric, found = metric, self._metric(metric)
        if statistic is None and found is OWN:
            raise DeclarationError(
                f"nobody knows what the values of {metric} are, so say what is to be taken of them",
                where=where,
                fix='statistic="sum", "average", "minimum", "maximum", "count", or a percentile such as "p99"',
            )
        self.statistic = found.statistic if statistic is None else statistic
        if not is_statistic(self.statistic):
            raise DeclarationError(
                f"statistic={statistic!r} is unknown",
                where=where,
                fix='"sum", "average", "minimum", "maximum", "count", or a percentile from "p0.01" to "p99.99"',
            )
        self.unit = unit_of(found, self.statistic)
        self.comparison, self.threshold = self._threshold(
            {"above": above, "at_least": at_least, "below": below, "at_most": at_most},
            takes_time=self.unit == "seconds" or (found is OWN and self.statistic != "count"),
        )
        check_duration(period, "period", where=where)
        if period < timedelta(minutes=1) or period % timedelta(minutes=1):
            raise DeclarationError(
                f"period={period} is not a whole number of minutes", where=where, fix="period=timedelta(minutes=5)"
            )
        if not _is_whole(periods) or periods < 1 or period * periods > _MOST:
            raise DeclarationError(
                f"periods={periods} is out of range",
                where=where,
                fix=f"give 1 to {max(1, _MOST // period)}: all periods together last a day at most",
            )
        if datapoints is not None and (not _is_whole(datapoints) or not 1 <= datapoints <= periods):
            raise DeclarationError(
                f"datapoints={datapoints} is out of range",
                where=where,
                fix=f"give 1 to {periods}, the number of periods" if periods > 1 else "drop it, or give more periods",
            )
        if missing not in get_args(Missing):
            raise DeclarationError(
                f"missing={missing!r} is unknown", where=where, fix=f"one of {', '.join(map(repr, get_args(Missing)))}"
            )
        self.period, self.periods, self.datapoints = period, periods, datapoints or periods
        self.missing, self.description = missing, description
        self._found = found

    def rule(self) -> AlarmRule:
        """The rule. To be asked for when all is declared: a schedule has its handler by then."""
        return rule(
            self.name,
            self.system.name,
            self.watched,
            self.metric,
            self._found,
            self.statistic,
            self.comparison,
            self.threshold,
            period=int(self.period / timedelta(minutes=1)),
            periods=self.periods,
            datapoints=self.datapoints,
            missing=self.missing,
            description=self.description,
        )

    def _watched(self, of: Resource | Function | None) -> Resource | Handler | None:
        if of is None:
            return None
        if isinstance(of, Resource):
            if of.noun not in METRICS:
                raise DeclarationError(
                    f"of is the {of.noun.replace('_', ' ')} {of.name}, of which nothing is measured",
                    where=self.where,
                    fix=f"watch a resource that is one of {', '.join(sorted(METRICS))}, or the function of a handler",
                )
            if self.system.resources.get(of.name) is not of:
                raise DeclarationError(
                    f"of is {of.where}, which is not a resource of {self.system.name}",
                    where=self.where,
                    fix=f"declare the alarm in {of.system.name}, whose resource it is",
                )
            return of
        for handler in self.system.handlers:
            if handler.function is of:
                return handler
        name = getattr(of, "__name__", "")
        raise DeclarationError(
            f"of is the function {name}, which is no handler of {self.system.name} so far"
            if name
            else f"of={of!r} is neither a resource nor the function of a handler",
            where=self.where,
            fix=f"declare the alarm below {name}, whose decorator makes it a handler"
            if name
            else "of=api, of=queue, of=a_handler, or of=None for a metric of the system's own",
        )

    def _metric(self, name: object) -> AlarmMetric:
        noun = noun_of(self.watched)
        if not noun:
            if not isinstance(name, str) or not _OWN_NAME.match(name) or name in RECORDED:
                nouns = [
                    noun for noun, known in METRICS.items() if any(name in (m, k.series) for m, k in known.items())
                ]
                raise DeclarationError(
                    f"metric={name!r} is no metric of the system's own",
                    where=self.where,
                    fix=f"say whose it is: of=..., {with_or(nouns)}"
                    if nouns
                    else "give the name that windlass.metric() is called with",
                )
            return OWN
        known = METRICS[noun]
        if name not in known:
            near = difflib.get_close_matches(str(name), known, 1)
            hint = f"did you mean {near[0]!r}? " if near else ""
            a = "an" if noun[0] in "aeio" else "a"
            raise DeclarationError(
                f"{a} {noun.replace('_', ' ')} has no metric {name!r}",
                where=self.where,
                fix=f"{hint}{a} {noun.replace('_', ' ')} has {', '.join(known)}; one of your own goes with of=None",
            )
        return known[str(name)]

    def _threshold(self, given: dict[Comparison, object], *, takes_time: bool) -> tuple[Comparison, float]:
        said = [(name, value) for name, value in given.items() if value is not None]
        if len(said) != 1:
            raise DeclarationError(
                "an alarm has one threshold, and this one has "
                + (" and ".join(f"{name}=" for name, _ in said) if said else "none"),
                where=self.where,
                fix="give one of above=, at_least=, below=, at_most=",
            )
        name, value = said[0]
        if isinstance(value, timedelta):
            if not takes_time:
                raise DeclarationError(
                    f"{name}={value!r} is a time, and the {self.statistic} of {self.metric} is not",
                    where=self.where,
                    fix=f"give a number, {name}=10",
                )
            return name, value.total_seconds()
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            raise DeclarationError(
                f"{name}={value!r} is not a number", where=self.where, fix=f"{name}=10, or a timedelta for a time"
            )
        return name, float(value)


def rule(
    name: str,
    system: str,
    watched: Resource | Handler | None,
    metric: str,
    found: AlarmMetric,
    statistic: str,
    comparison: Comparison,
    threshold: float,
    *,
    period: int = 1,
    periods: int = 1,
    datapoints: int = 1,
    missing: Missing = "not_breaching",
    description: str = "",
    default: bool = False,
) -> AlarmRule:
    """The rule about the metric `found`, which is `metric` of what is `watched`; the numbers are those of
    `AlarmRule`."""
    labels = {"system": system}
    if watched is not None:
        labels[found.label] = _labelled(watched, found)
    return AlarmRule(
        name,
        noun_of(watched),
        watched.name if watched is not None else "",
        metric,
        found.series or metric,
        tuple(sorted(labels.items())),
        statistic,
        comparison,
        threshold,
        unit_of(found, statistic),
        period,
        periods,
        datapoints,
        missing,
        description,
        default,
    )


def noun_of(watched: Resource | Handler | None) -> str:
    """The key of `METRICS`; empty for what is the system's own."""
    if watched is None:
        return ""
    return "handler" if isinstance(watched, Handler) else watched.noun


def _labelled(watched: Resource | Handler, found: AlarmMetric) -> str:
    """The value of the metric's label: a schedule is measured by its handler."""
    if isinstance(watched, Resource) and watched.noun == "schedule" and found.label == "handler":
        schedule: Schedule = watched  # type: ignore[assignment]
        return schedule.handler.name if schedule.handler is not None else ""
    return watched.name


def with_or(nouns: Sequence[str]) -> str:
    """`an api or a queue`."""
    return " or ".join(f"{'an' if noun[0] in 'aeio' else 'a'} {noun.replace('_', ' ')}" for noun in nouns)


def _is_whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)
