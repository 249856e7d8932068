"""Schedules on EventBridge Scheduler: what the Terraform says of each, and when one fires next.

https://docs.aws.amazon.com/scheduler/latest/UserGuide/schedule-types.html
"""

from __future__ import annotations

import json
from datetime import timedelta

from windlass.engines.aws.clients import Clients
from windlass.engines.aws.stage import Stage
from windlass.model.schedule import Schedule
from windlass.ports.clock import Clock, from_epoch

__all__ = ["AwsSchedule", "expression", "target_input"]

_UNITS = (("day", timedelta(days=1)), ("hour", timedelta(hours=1)), ("minute", timedelta(minutes=1)))


class AwsSchedule:
    """Implements `ports.schedule.ScheduleOperator`."""

    def __init__(self, model: Schedule, stage: Stage, clients: Clients, clock: Clock) -> None:
        self.model, self._clock = model, clock

    def next_at(self) -> float | None:
        """By the declaration, as Scheduler does not tell: it fires within the minute from then on. A rate counts from
        when its schedule was made, so it is up to a period late, unless its start date is a multiple of the period."""
        following = self.model.next_after(from_epoch(self._clock.now()))
        return None if following is None else following.timestamp()


def expression(schedule: Schedule) -> str:
    """The ScheduleExpression: `rate(5 minutes)`, `cron(0 3 * * ? *)`. A cron's time zone goes beside it, in
    ScheduleExpressionTimezone."""
    if schedule.every is None:
        assert schedule.cron is not None
        return f"cron({' '.join(schedule.cron.text.split())})"
    unit, one = next((unit, one) for unit, one in _UNITS if not schedule.every % one)
    count = schedule.every // one
    return f"rate({count} {unit if count == 1 else unit + 's'})"


def target_input(name: str) -> str:
    """The input of the schedule's target, which `runtime.events.schedule` reads. Scheduler puts in what a firing is:
    https://docs.aws.amazon.com/scheduler/latest/UserGuide/managing-schedule-context-attributes.html

    Its own execution id is another one for each attempt; the time is the same, and no other firing has it. Terraform's
    `jsonencode` would write `<` in another way, so the text goes into HCL as it is.
    """
    firing = {
        "schedule": name,
        "id": f"{name}@<aws.scheduler.scheduled-time>",
        "at": "<aws.scheduler.scheduled-time>",
        "attempt": "<aws.scheduler.attempt-number>",
    }
    return json.dumps({"windlass": firing}, separators=(",", ":"))
