"""What is done when the machine's clock is set back.

Timers are kept as wall times: when a message can be received, when a lease ends. A clock that goes back by an hour
would put all of them off by an hour. So the engine compares the wall clock with the machine's steady one, and when
the first has gone back against the second by TOLERANCE or more, it moves every timer back by as much, in one
transaction.

Moved are: messages that are hidden or delayed, and when they were sent, FIFO deduplication, the next firing of a rate,
retries and leases of ticks, leases of idempotency keys, lockouts, the grace of spent refresh tokens, retries of mail.
What a cron rule does is in `schedule`. Not moved is what was meant as a time of day, or promised to others as one:
what was stored (`created_at`, the times of mails), the end of tokens and sign-ins, TTLs of items, retention, how long
answers are kept.

A clock that goes ahead needs nothing: timers come due at once, early rather than late.

Until the timers are moved, within a second or so, the engine's own clock goes on as if nothing had happened, so that
no time is read on one scale and compared on the other. The difference between the two clocks is kept in the state:
all processes of the machine agree by it, and one of them moves the timers. When the machine was off, the steady clock
began anew; so the time is kept too, once a minute and at the end, and the next start compares with that. After a kill
it may be a minute old, and timers late by as much.
"""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Callable, Iterable
from typing import Any, Protocol, runtime_checkable

from windlass.engines.embedded.damage import Faults
from windlass.engines.embedded.store import Store
from windlass.errors import EngineUnavailable
from windlass.ports.clock import Clock

__all__ = ["TOLERANCE", "ClockJump", "EngineClock", "Timers"]

logger = logging.getLogger("windlass")

TOLERANCE = 3.0
"""Seconds by which the clock may be behind before timers are moved: what a time service does in small steps."""

_LATE_AFTER = (1.0, 5.0)
"""When to look for timers that were stored late, in seconds after the others were moved: a commit takes less."""

_OFFSET = "clock.offset"
_SEEN = "clock.seen"


class Timers(Protocol):
    """Something that keeps wall times of what is to happen."""

    def clock_went_back(self, seconds: float) -> None:
        """Moves its timers back by `seconds`; those in the past may stay. The clock shows the new time already.
        Called in an open transaction, in which it must write what it writes."""
        ...


@runtime_checkable
class LateTimers(Timers, Protocol):
    """Timers that can be stored some moments after they were made."""

    def late_for_jump(self, seconds: float) -> None:
        """Moves those by `seconds` that were made before the clock went back and stored after `clock_went_back`."""
        ...


class EngineClock:
    """The wall clock, but that it goes back only when the timers have been moved."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._wall, self._steady = clock.now, clock.steady  # asked several times for each request
        self._offset = self.offset()
        self._agreed: Callable[[], float | None] = lambda: None

    def now(self) -> float:
        wall = self._wall()
        if self._steady() + self._offset - wall < TOLERANCE:
            return wall
        held = self._steady() + self._offset
        # Another process may have moved the timers already.
        agreed = self._agreed()
        if agreed is not None and agreed - self.offset() < TOLERANCE:
            self.adopt()
            return self._clock.now()
        return held

    def steady(self) -> float:
        return self._clock.steady()

    def offset(self) -> float:
        """How far the wall clock is ahead of the steady one, in seconds."""
        return self._clock.now() - self._clock.steady()

    def adopt(self, offset: float | None = None) -> float:
        """Goes by the wall clock as it is now, or by an earlier `offset`; returns the offset that it went by."""
        before, self._offset = self._offset, self.offset() if offset is None else offset
        return before

    def agree_by(self, agreed: Callable[[], float | None]) -> None:
        """`agreed` tells the offset by which all timers in the state are kept."""
        self._agreed = agreed


class ClockJump:
    """Watches the clock of a namespace for the `timers` in it, to which more may be added."""

    def __init__(self, store: Store, clock: EngineClock, timers: Iterable[Timers]) -> None:
        self._store, self._clock = store, clock
        self.timers = list(timers)
        self._known: float | None = None
        self._late: list[tuple[float, float]] = []  # when to look for late timers (steady), and by how much to move
        clock.agree_by(self._agreed)

    def begin(self) -> None:
        """At the start of a server, before anything is delivered: moves the timers when the clock is behind the
        time that was seen last."""
        self._clock.adopt()
        offset = self._clock.offset()

        def behind_last() -> float:
            seen = self._read(_SEEN)
            return 0.0 if seen is None else seen - self._clock.now()

        behind = self._move(offset, behind_last)
        self._known = offset
        if behind >= TOLERANCE:
            _tell(behind, "while the server did not run")

    @property
    def noticed(self) -> bool:
        """Whether the clock was set since the last `check`, or a while ago, so that one is due. Costs nothing."""
        return (
            self._known is None
            or abs(self._clock.offset() - self._known) >= TOLERANCE
            or (bool(self._late) and self._late[0][0] <= self._clock.steady())
        )

    def check(self) -> None:
        """Moves the timers when the clock went back, unless another process has done so. To be called once a second
        and before timers are looked at. Raises EngineUnavailable when that cannot be stored; then nothing has
        changed, and the next check tries again."""
        if not self.noticed:
            return
        self._move_late()
        offset = self._clock.offset()
        before = self._clock.adopt(offset)

        def behind_agreed() -> float:
            known = self._read(_OFFSET)
            return 0.0 if known is None else known - offset

        try:
            behind = self._move(offset, behind_agreed)
        except BaseException:
            self._clock.adopt(before)
            raise
        self._known = offset
        if behind >= TOLERANCE:
            _tell(behind, "")
            now = self._clock.steady()
            self._late += [(now + after, behind) for after in _LATE_AFTER]

    def _move_late(self) -> None:
        """Moves what was on its way into the state when the timers were moved."""
        while self._late and self._late[0][0] <= self._clock.steady():
            for timers in self.timers:
                if isinstance(timers, LateTimers):
                    try:
                        timers.late_for_jump(self._late[0][1])
                    except EngineUnavailable as error:
                        if not _is_damage(error):
                            raise
                        logger.error("late timers of %s could not be moved: %s", type(timers).__name__, error)
            self._store.flush()
            del self._late[0]

    def remember(self) -> None:
        """Keeps the time, for the next start to compare with."""
        self._keep(_SEEN, self._clock.now())

    def _move(self, offset: float, measure: Callable[[], float]) -> float:
        """Moves the timers by what `measure` says, if that is enough, and keeps the `offset`, all in one transaction;
        returns by how much. Timers in a damaged part of the state are left out: they cannot be used anyway."""
        timers = list(self.timers)
        while True:
            present: Timers | None = None
            try:
                self._store.apply()
                with self._store.atomic():  # nobody reads or writes a timer meanwhile
                    behind = measure()
                    if behind >= TOLERANCE:
                        for present in timers:
                            present.clock_went_back(behind)
                    present = None
                    self._keep(_OFFSET, offset)
                self._store.flush()
                return behind
            except EngineUnavailable as error:
                if present is None or not _is_damage(error):
                    raise
                logger.error("the timers of %s could not be moved back: %s", type(present).__name__, error)
                timers.remove(present)

    def _agreed(self) -> float | None:
        try:
            return self._read(_OFFSET)
        except EngineUnavailable as error:
            logger.debug("it is not known whether the timers were moved: %s", error)
            return None

    def _read(self, key: str) -> float | None:
        row = self._store.read_one("select value from meta where key = ?", (key,))
        return None if row is None else float(row[0])

    def _keep(self, key: str, value: Any) -> None:
        self._store.execute("insert or replace into meta (key, value) values (?, ?)", (key, value))


def _is_damage(error: EngineUnavailable) -> bool:
    cause = error.__cause__
    return isinstance(cause, sqlite3.DatabaseError) and Faults.is_damage(cause)


def _tell(seconds: float, when: str) -> None:
    logger.warning(
        "the clock went back by %.0f seconds%s: delays, retries, leases, rates and lockouts were moved back with it; "
        "the ends of tokens, TTLs and retention stay at their time of day",
        seconds,
        f" {when}" if when else "",
    )
