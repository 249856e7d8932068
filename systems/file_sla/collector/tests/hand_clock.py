"""A clock that tests move by hand: waiting takes no time, and is written down."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

START = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


class HandClock:
    """Both times move together with `wait` and `advance`; `set_wall` moves only the wall clock."""

    def __init__(self, start: datetime = START) -> None:
        self._wall = start
        self._monotonic = 1000.0
        self.waits: list[float] = []
        self.stopped = False

    def now(self) -> datetime:
        return self._wall

    def monotonic(self) -> float:
        return self._monotonic

    def wait(self, seconds: float) -> bool:
        if seconds > 0 and not self.stopped:
            self.waits.append(seconds)
            self.advance(seconds)
        return self.stopped

    def advance(self, seconds: float) -> None:
        self._wall += timedelta(seconds=seconds)
        self._monotonic += seconds

    def set_wall(self, moment: datetime) -> None:
        self._wall = moment
