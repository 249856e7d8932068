"""Schedules: when each fires next is kept in SQLite, so that a restart neither forgets nor repeats.

When the clock is set back, a rate goes on as if nothing had happened, since it counts time that passes: what was to
fire in 20 minutes fires in 20 minutes, and the times of its ticks repeat. Afterwards it finds its way back to whole
multiples of its period, one interval being half to one and a half as long.

A cron rule names times of day, and each of them fires once. Going back by up to three hours, those that come again
have fired already and do not fire again: it is silent until they are over. Going back by more is taken for the
correction of a clock that was wrong, as Vixie cron does (cron(8)): the new time counts at once, but for the moment that
fired last.
"""

from __future__ import annotations

import random
import time
import uuid
from collections.abc import Sequence
from datetime import UTC, datetime

from windlass.dispatch.context import logger
from windlass.dispatch.tick import TickDispatch
from windlass.engines.embedded.namespace import Namespace
from windlass.errors import EngineUnavailable
from windlass.model.schedule import Schedule
from windlass.ports.clock import from_epoch
from windlass.ports.schedule import Tick

__all__ = ["EmbeddedSchedule", "ScheduleSource"]

_RETRY_FIRST = 60.0
_CORRECTION = 3 * 3600.0


class EmbeddedSchedule:
    """Implements `ports.schedule.ScheduleOperator`."""

    def __init__(self, model: Schedule, namespace: Namespace) -> None:
        self.model, self._store, self._clock = model, namespace.store, namespace.clock
        self._key = (model.system.name, model.name)
        rule = f"{model.every or model.cron_text} {model.timezone}"
        with self._store.write() as db:
            db.execute(
                "create table if not exists schedules (system text not null, name text not null, rule text not null, "
                "next_at real, primary key (system, name)) without rowid"
            )
            db.execute(
                "create table if not exists ticks (id text primary key, system text not null, name text not null, "
                "scheduled_at real not null, attempt integer not null, due_at real not null)"
            )
            row = db.execute("select rule from schedules where system = ? and name = ?", self._key).fetchone()
            if row is None or row[0] != rule:
                following = model.next_after(from_epoch(self._clock.now()))
                db.execute(
                    "insert or replace into schedules values (?, ?, ?, ?)",
                    (*self._key, rule, following.timestamp() if following else None),
                )

    def next_at(self) -> float | None:
        row = self._store.read_one("select next_at from schedules where system = ? and name = ?", self._key)
        return None if row is None else row[0]

    def due_at(self) -> float | None:
        """When something is to be done, a firing or another attempt."""
        row = self._store.read_one("select min(due_at) from ticks where system = ? and name = ?", self._key)
        times = [t for t in (self.next_at(), row[0] if row else None) if t is not None]
        return min(times) if times else None

    def take(self, now: float, limit: int, lease: float) -> list[Tick]:
        """The ticks that are due, hidden for `lease` seconds. Of several missed firings only the latest counts. One
        whose last attempt never came to an end, because the process died of it, is given up."""
        with self._store.atomic() as db:
            following = self.next_at()
            if following is not None and following <= now:
                latest = self.model.latest(from_epoch(following), from_epoch(now)).timestamp()
                after = self.model.next_after(from_epoch(max(now, self._end(latest))))
                db.execute(
                    "update schedules set next_at = ? where system = ? and name = ?",
                    (after.timestamp() if after else None, *self._key),
                )
                db.execute("insert into ticks values (?, ?, ?, ?, 0, ?)", (str(uuid.uuid4()), *self._key, latest, now))
            rows = db.execute(
                "update ticks set attempt = attempt + 1, due_at = ? where id in "
                "(select id from ticks where system = ? and name = ? and due_at <= ? order by due_at limit ?) "
                "returning id, scheduled_at, attempt",
                (now + lease, *self._key, now, limit),
            ).fetchall()
            for row in rows:
                if row[2] > self.model.retries + 1:
                    db.execute("delete from ticks where id = ?", (row[0],))
                    logger.error("%s was given up: its handler never came to an end", self.model.where)
        return [
            Tick(row[0], datetime.fromtimestamp(row[1], UTC), row[2])
            for row in rows
            if row[2] <= self.model.retries + 1
        ]

    def _end(self, fired: float) -> float:
        """Before when nothing is to fire after a firing at `fired`: a rate that is not at a multiple of its period
        does not fire at one that is near."""
        every = self.model.every
        return fired if every is None else fired + every.total_seconds() / 2

    def clock_went_back(self, seconds: float) -> None:
        """Moves attempts that are to come, and the next firing by the rule above."""
        now = self._clock.now()
        with self._store.atomic() as db:
            db.execute(
                "update ticks set due_at = due_at - ? where system = ? and name = ? and due_at > ?",
                (seconds, *self._key, now),
            )
            following = self.next_at()
            if following is None or following <= now:
                return
            if self.model.every is not None:
                moved: float | None = following - seconds
            elif seconds <= _CORRECTION:
                return
            else:
                moved = self._corrected(now, following)
            db.execute("update schedules set next_at = ? where system = ? and name = ?", (moved, *self._key))

    def _corrected(self, now: float, following: float) -> float | None:
        """When a cron rule fires next that was to fire at `following` by a clock that was wrong."""
        first = self.model.next_after(from_epoch(now))
        if first is None or first.timestamp() >= following:
            return following
        last = self.model.latest(first, from_epoch(following - 1))  # `following` is the one after it
        if first == last:
            return following
        return first.timestamp()

    def mark(self) -> int:
        """To be taken before a tick is handled, and given to `settle`."""
        return self._store.mark()

    def settle(self, tick: Tick, ok: bool, since: int | None = None) -> None:
        """Ends a tick, or puts it off to its next attempt: after one minute, then twice as long each time. Raises
        EngineUnavailable when what the handler wrote after the mark `since` is lost."""
        with self._store.write(since) as db:
            if ok or tick.attempt > self.model.retries:
                db.execute("delete from ticks where id = ?", (tick.id,))
            else:
                wait = min(_RETRY_FIRST * 2 ** (tick.attempt - 1), 3600.0)
                db.execute(
                    "update ticks set due_at = ? where id = ? and attempt = ?",
                    (self._clock.now() + wait, tick.id, tick.attempt),
                )


class ScheduleSource:
    """A schedule as a source of work; with `chaos`, some ticks come twice, as EventBridge may deliver them."""

    concurrency = 1

    def __init__(
        self, schedule: EmbeddedSchedule, dispatch: TickDispatch, *, chaos: random.Random | None = None
    ) -> None:
        self.schedule, self.dispatch, self.chaos = schedule, dispatch, chaos
        assert schedule.model.handler is not None
        self._timeout = schedule.model.handler.timeout

    def due_at(self) -> float | None:
        return self.schedule.due_at()

    def claim(self, now: float, room: int) -> Sequence[ScheduleWork]:
        ticks = self.schedule.take(now, room, self._timeout + 1)
        return [ScheduleWork(self, tick, self._timeout) for tick in ticks]


class ScheduleWork:
    """One tick on its way through the handler."""

    def __init__(self, source: ScheduleSource, tick: Tick, timeout: float) -> None:
        self._source, self._tick = source, tick
        self.timeout = timeout
        self._expired = False

    def run(self) -> None:
        deadline = time.monotonic() + self.timeout
        mark = self._source.schedule.mark()
        ok = self._source.dispatch.handle(self._tick, deadline)
        if self._source.chaos is not None and ok and self._source.chaos.random() < 0.25:
            self._source.dispatch.handle(self._tick, deadline)
        if not self._expired:
            try:
                self._source.schedule.settle(self._tick, ok, mark)
            except EngineUnavailable:
                return  # it comes again when its lease ends

    def expire(self) -> None:
        self._expired = True
        try:
            self._source.schedule.settle(self._tick, ok=False)
        except EngineUnavailable:
            return  # it comes again when its lease ends
