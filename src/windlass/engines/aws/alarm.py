"""Alarms of CloudWatch, as an operator looks at them.

https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_DescribeAlarms.html
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, cast, get_args

from windlass.engines.aws.clients import Clients
from windlass.engines.aws.faults import calling
from windlass.engines.aws.stage import Stage
from windlass.errors import NotFound
from windlass.model.alarm import Alarm
from windlass.ports.alarm import AlarmChange, AlarmState, AlarmStatus
from windlass.ports.clock import Clock, SystemClock, from_epoch

__all__ = ["AwsAlarm", "change_in", "newest_value"]

_KEPT = timedelta(days=14)
_MOST_RECORDS = 100


class AwsAlarm:
    """Implements `ports.alarm.AlarmOperator`. CloudWatch keeps changes for a month; the last two weeks are told, as on
    every engine."""

    def __init__(self, model: Alarm, stage: Stage, clients: Clients, clock: Clock | None = None) -> None:
        self.model, self._clients = model, clients
        self._name = stage.called(model.name)
        self._clock = clock or SystemClock()

    def status(self) -> AlarmStatus:
        """Raises NotFound for an alarm that is declared and not deployed."""
        with calling(self.model, "status"):
            found = self._clients.client("cloudwatch").describe_alarms(AlarmNames=[self._name])["MetricAlarms"]
        if not found:
            raise NotFound(
                f"{self.model.where}: CloudWatch has no alarm {self._name}\n  fix: deploy the system, which makes it"
            )
        told = found[0]
        # The one is when the state became this; the other is when anything about it changed last.
        since = told.get("StateTransitionedTimestamp") or told.get("StateUpdatedTimestamp")
        return AlarmStatus(
            self.model.rule(),
            _state(told.get("StateValue")),
            None if since is None else since.timestamp(),
            newest_value(_read(told.get("StateReasonData"))),
            told.get("StateReason") or "",
        )

    def history(self, limit: int = 100) -> list[AlarmChange]:
        """A change's number is its time in milliseconds, as CloudWatch does not count them."""
        changes: list[AlarmChange] = []
        if limit < 1:
            return changes
        with calling(self.model, "history"):
            pages = (
                self._clients.client("cloudwatch")
                .get_paginator("describe_alarm_history")
                .paginate(
                    AlarmName=self._name,
                    AlarmTypes=["MetricAlarm"],
                    HistoryItemType="StateUpdate",
                    StartDate=from_epoch(self._clock.now()) - _KEPT,
                    ScanBy="TimestampDescending",
                    PaginationConfig={"PageSize": min(limit, _MOST_RECORDS), "MaxItems": limit},
                )
            )
            for page in pages:
                changes += [change_in(self.model.name, item) for item in page["AlarmHistoryItems"]]
        return [change for change in changes if change.old != change.new]


def change_in(name: str, item: Mapping[str, Any]) -> AlarmChange:
    """The change in an item of the alarm's history: `HistoryData` is JSON, with both states and what led to the new
    one."""
    at: datetime = item["Timestamp"]
    data = _read(item.get("HistoryData"))
    old, new = (_part(data, key) for key in ("oldState", "newState"))
    return AlarmChange(
        number=round(at.timestamp() * 1000),
        alarm=name,
        at=at.timestamp(),
        old=_state(old.get("stateValue")),
        new=_state(new.get("stateValue")),
        value=newest_value(_part(new, "stateReasonData")),
        reason=str(new.get("stateReason") or ""),
    )


def newest_value(reason: Mapping[str, Any]) -> float | None:
    """The value that was compared last, of the data of a state's reason; None where there was none.

    `evaluatedDatapoints` have their times, and those that are missing no value; `recentDatapoints`, which older alarms
    have alone, go from the oldest to the newest.
    """
    evaluated = [one for one in reason.get("evaluatedDatapoints") or () if one.get("value") is not None]
    if evaluated:
        return float(max(evaluated, key=lambda one: str(one.get("timestamp", "")))["value"])
    recent = [value for value in reason.get("recentDatapoints") or () if value is not None]
    return float(recent[-1]) if recent else None


def _read(text: object) -> Mapping[str, Any]:
    """A JSON object in a text; an empty one where there is none, as before an alarm's first evaluation."""
    try:
        found = json.loads(text) if isinstance(text, str) else {}
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _part(data: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    """An object in an object, which CloudWatch writes now as one and now as a text."""
    part = data.get(key)
    return part if isinstance(part, dict) else _read(part)


def _state(text: object) -> AlarmState:
    return cast(AlarmState, text) if text in get_args(AlarmState) else "INSUFFICIENT_DATA"
