"""The port of a schedule."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

__all__ = ["ScheduleOperator", "Tick"]


@dataclass(frozen=True, slots=True)
class Tick:
    """One firing of a schedule: when it was due (UTC), which attempt this is (from 1), and an id that is the same
    for every attempt and every duplicate of this firing."""

    id: str
    scheduled_at: datetime
    attempt: int = 1


class ScheduleOperator(Protocol):
    def next_at(self) -> float | None:
        """When it fires next, in epoch seconds; None when it never will again."""
        ...
