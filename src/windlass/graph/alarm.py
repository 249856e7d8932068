"""All rules of a system: those that it declares, and those that every noun has without being asked."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from windlass.model.alarm import Alarm, rule
from windlass.model.alarm_metric import METRICS
from windlass.model.queue import Queue
from windlass.model.resource import Resource
from windlass.model.schedule import Schedule
from windlass.model.system import System
from windlass.ports.alarm import AlarmRule, Comparison

__all__ = ["rules"]

_OLD = 600.0


def rules(system: System) -> list[AlarmRule]:
    """The declared rules in their order, then the default ones, save those whose name a declared one has. To be asked
    for when all is declared."""
    declared = {alarm.name: alarm.rule() for alarm in system.of(Alarm)}
    if not system.alarm_settings.defaults:
        return list(declared.values())
    defaults = (made for resource in system.resources.values() for made in _defaults(resource))
    return [*declared.values(), *(made for made in defaults if made.name not in declared)]


def _defaults(resource: Resource) -> Iterator[AlarmRule]:
    """What docs/resources/alarm.md lists; the numbers are judgements, for a service that people wait for."""

    def make(
        suffix: str,
        metric: str,
        statistic: str,
        comparison: Comparison,
        threshold: float,
        description: str,
        **more: Any,
    ) -> AlarmRule:
        found = METRICS[resource.noun][metric]
        return rule(
            f"{resource.name}_{suffix}",
            resource.system.name,
            resource,
            metric,
            found,
            statistic,
            comparison,
            threshold,
            description=description,
            default=True,
            **more,
        )

    # One bad minute of the last five: an error is said at once, and is over when five minutes brought none.
    once = {"periods": 5, "datapoints": 1}
    often = {"periods": 5, "datapoints": 3}
    match resource.noun:
        case "api":
            yield make("errors", "errors", "average", "above", 0.05, "More than 5% of the requests fail (5xx).", **once)
            yield make("latency", "latency", "p99", "above", 3.0, "One request of a hundred takes over 3 s.", **often)
            yield make("throttles", "throttles", "average", "above", 0.1, "Over 10% of requests get a 429.", **often)
        case "queue":
            assert isinstance(resource, Queue)
            old = min(_OLD, resource.retention.total_seconds() / 2)
            yield make("dead_letters", "dead", "maximum", "above", 0.0, "Messages could not be handled.")
            yield make("age", "age", "maximum", "above", old, "Messages wait too long.")
        case "schedule":
            if isinstance(resource, Schedule) and resource.handler is not None:
                yield make("failures", "errors", "sum", "above", 0.0, "What the schedule starts has failed.")
        case "table" | "secret" | "user_pool":
            yield make("errors", "errors", "sum", "above", 0.0, "Operations fail through no fault of the caller.")
        case "mailer":
            yield make("errors", "errors", "sum", "above", 0.0, "Operations fail through no fault of the caller.")
            yield make("failures", "failures", "sum", "above", 0.0, "Mails could not be delivered.")
