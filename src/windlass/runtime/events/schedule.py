"""EventBridge Scheduler: a firing, in the input that the Terraform gives it.

`{"windlass": {"schedule": "nightly", "id": "<aws.scheduler.execution-id>", "at": "<aws.scheduler.scheduled-time>",
"attempt": "<aws.scheduler.attempt-number>"}}`, whose context attributes Scheduler fills in:
https://docs.aws.amazon.com/scheduler/latest/UserGuide/managing-schedule-context-attributes.html
"""

from __future__ import annotations

from datetime import UTC, datetime

import msgspec

from windlass.ports.schedule import Tick
from windlass.runtime.events.malformed import MalformedEvent, reader

__all__ = ["tick_of"]


class _Firing(msgspec.Struct, gc=False):
    schedule: str
    id: str
    at: str
    attempt: int | str = 1


class _Event(msgspec.Struct, gc=False):
    windlass: _Firing


_read = reader(_Event, "a firing of a schedule")


def tick_of(event: object) -> tuple[str, Tick]:
    """The schedule's name and its firing. Raises MalformedEvent."""
    told = _read(event).windlass
    try:
        at, attempt = datetime.fromisoformat(told.at), int(told.attempt)
        at = at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
    except (ValueError, OverflowError):
        raise MalformedEvent(
            "the event is not a firing of a schedule: `at` must be an ISO 8601 time, `attempt` a number\n"
            "  fix: let Scheduler fill in <aws.scheduler.scheduled-time> and <aws.scheduler.attempt-number>"
        ) from None
    return told.schedule, Tick(told.id, at, max(1, attempt))
