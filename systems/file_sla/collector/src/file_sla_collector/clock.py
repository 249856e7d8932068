"""Time as an argument: what the collector asks of a clock, and the clock of the machine."""

from __future__ import annotations

import threading
import time
from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    """What a run needs to know about time. Tests pass one that they move by hand."""

    def now(self) -> datetime:
        """The wall clock, with a time zone. It may jump, also backwards."""
        ...

    def monotonic(self) -> float:
        """Seconds since some moment. It never goes back."""
        ...

    def wait(self, seconds: float) -> bool:
        """Let `seconds` pass. True, at once, when the process was asked to stop."""
        ...


class SystemClock:
    """The clock of the machine. Setting `stop` ends a wait under way and every later one."""

    def __init__(self, stop: threading.Event | None = None) -> None:
        self.stop = stop or threading.Event()

    def now(self) -> datetime:
        return datetime.now(UTC)

    def monotonic(self) -> float:
        return time.monotonic()

    def wait(self, seconds: float) -> bool:
        until = time.monotonic() + seconds
        # In slices: Windows delivers Ctrl-C to Python only between two waits.
        while (left := until - time.monotonic()) > 0:
            if self.stop.wait(min(left, 1.0)):
                return True
        return self.stop.is_set()


def iso(moment: datetime) -> str:
    """ISO 8601 in UTC with microseconds, as `2026-01-31T09:05:00.000000Z`. `moment` has a time zone."""
    return moment.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
