"""Time, as an argument."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import Protocol

__all__ = ["Clock", "ManualClock", "SystemClock", "from_epoch", "iso"]


class Clock(Protocol):
    """What tells the time."""

    def now(self) -> float:
        """Seconds since 1970-01-01 UTC, with a fraction. It may go back: somebody sets the machine's clock."""
        ...

    def steady(self) -> float:
        """Seconds since some moment, the same for all processes of the machine while it is on. It never goes back."""
        ...


class SystemClock:
    """The machine's clock."""

    now = staticmethod(time.time)
    steady = staticmethod(time.monotonic)


class ManualClock:
    """A clock that stands still until it is told to go on; it goes back only by `set_back`."""

    def __init__(self, start: datetime | None = None) -> None:
        self._now = (start or datetime(2024, 6, 12, 9, 0, tzinfo=UTC)).timestamp()
        self._set_back = 0.0

    def now(self) -> float:
        return self._now

    def steady(self) -> float:
        return self._now + self._set_back

    def set(self, now: float) -> None:
        """Moves to `now`, in seconds since the epoch. An earlier time than the present one raises ValueError."""
        if now < self._now:
            raise ValueError(f"a clock does not go back: {from_epoch(now)} is before {from_epoch(self._now)}")
        self._now = now

    def advance(self, step: timedelta) -> None:
        """Moves on by `step`."""
        self.set(self._now + step.total_seconds())

    def set_back(self, step: timedelta) -> None:
        """Puts the clock back by `step`, as an operator does to a machine's clock that was ahead: no time passes."""
        if step < timedelta():
            raise ValueError("a clock is set back by a positive step; use advance to move it on")
        self._now -= step.total_seconds()
        self._set_back += step.total_seconds()


def from_epoch(seconds: float) -> datetime:
    """The aware UTC datetime for `seconds` since the epoch."""
    return datetime.fromtimestamp(seconds, UTC)


def iso(seconds: float) -> str:
    """ISO 8601 in UTC with microseconds and a `Z`: its text order is its time order."""
    return from_epoch(seconds).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
