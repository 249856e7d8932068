"""Time, as an argument."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import Protocol

__all__ = ["Clock", "ManualClock", "SystemClock", "from_epoch", "iso"]


class Clock(Protocol):
    """What tells the time."""

    def now(self) -> float:
        """Seconds since 1970-01-01 UTC, with a fraction."""
        ...


class SystemClock:
    """The machine's clock."""

    def now(self) -> float:
        return time.time()


class ManualClock:
    """A clock that stands still until it is told to go on; it never goes back."""

    def __init__(self, start: datetime | None = None) -> None:
        self._now = (start or datetime(2024, 6, 12, 9, 0, tzinfo=UTC)).timestamp()

    def now(self) -> float:
        return self._now

    def set(self, now: float) -> None:
        """Moves to `now`, in seconds since the epoch. An earlier time than the present one raises ValueError."""
        if now < self._now:
            raise ValueError(f"a clock does not go back: {from_epoch(now)} is before {from_epoch(self._now)}")
        self._now = now

    def advance(self, step: timedelta) -> None:
        """Moves on by `step`."""
        self.set(self._now + step.total_seconds())


def from_epoch(seconds: float) -> datetime:
    """The aware UTC datetime for `seconds` since the epoch."""
    return datetime.fromtimestamp(seconds, UTC)


def iso(seconds: float) -> str:
    """ISO 8601 in UTC with microseconds and a `Z`: its text order is its time order."""
    return from_epoch(seconds).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
