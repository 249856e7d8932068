"""Lockout: who failed to sign in too often has to wait.

The rule is Cognito's: after `limit` failures a name is locked for `first` seconds, doubling with each further
failure up to 15 minutes; attempts while it is locked change nothing; success, or 15 minutes without an attempt that
counts, ends it (https://docs.aws.amazon.com/cognito/latest/developerguide/authentication.html, "Lockout behavior
for failed sign-in attempts"). Names that nobody has are locked too, so that a lock says nothing about who exists.
"""

from __future__ import annotations

import hashlib
import hmac
import sqlite3

from windlass.engines.embedded.store import Store
from windlass.errors import LockedOut
from windlass.ports.clock import Clock

__all__ = ["LONGEST", "MOST_NAMES", "Lockout"]

LONGEST = 900.0
"""The longest lock, and how long failures are remembered after the last one, or after the lock: seconds."""

MOST_NAMES = 100_000
"""More names than can fail within LONGEST at the speed of Argon2, so that nobody can push a name out."""

_TABLES = (
    """
    create table if not exists user_pool_failures (
      system text not null, pool text not null, name blob not null,
      failures integer not null, locked_until real not null, expires_at real not null,
      primary key (system, pool, name)
    ) without rowid
    """,
    "create index if not exists user_pool_failures_expiry on user_pool_failures (system, pool, expires_at)",
)


class Lockout:
    """The failures of one pool's names. Names are kept as an HMAC under `key`: what somebody typed into the wrong
    field is not to be read in the state."""

    def __init__(
        self,
        store: Store,
        clock: Clock,
        *,
        system: str,
        pool: str,
        key: bytes,
        limit: int,
        first: float,
        most_names: int = MOST_NAMES,
    ) -> None:
        self._store, self._clock, self._key = store, clock, key
        self._pool = (system, pool)
        self._limit, self._first, self._most_names = limit, first, most_names
        with store.write() as db:
            for statement in _TABLES:
                db.execute(statement)

    def locked_until(self, name: str) -> float | None:
        """When `name` is free again, in epoch seconds; None when it is free now."""
        row = self._store.read_one(
            "select locked_until from user_pool_failures where system = ? and pool = ? and name = ?",
            (*self._pool, self._digest(name)),
        )
        return row[0] if row is not None and row[0] > self._clock.now() else None

    def check(self, name: str) -> None:
        """Raises LockedOut while `name` is locked."""
        until = self.locked_until(name)
        if until is not None:
            raise LockedOut("too many failed sign-ins; wait", retry_after=until - self._clock.now())

    def failed(self, name: str) -> None:
        """Counts a failed sign-in, and locks `name` when there were too many."""
        digest = self._digest(name)
        with self._store.atomic() as db:
            now = self._clock.now()
            row = db.execute(
                "select failures, expires_at from user_pool_failures where system = ? and pool = ? and name = ?",
                (*self._pool, digest),
            ).fetchone()
            failures = 1 if row is None or row[1] <= now else row[0] + 1
            locked_until = now + self._lock_time(failures)
            db.execute(
                "insert or replace into user_pool_failures (system, pool, name, failures, locked_until, expires_at)"
                " values (?, ?, ?, ?, ?, ?)",
                (*self._pool, digest, failures, locked_until, locked_until + LONGEST),
            )
            if row is None:
                self._shed(db)

    def clear(self, db: sqlite3.Connection, name: str) -> None:
        """Forgets the failures of `name`, in the caller's transaction."""
        db.execute(
            "delete from user_pool_failures where system = ? and pool = ? and name = ?",
            (*self._pool, self._digest(name)),
        )

    def clock_went_back(self, seconds: float) -> None:
        """Keeps locks, and the memory of failures, as long as they were."""
        with self._store.write() as db:
            db.execute(
                "update user_pool_failures set locked_until = locked_until - ?, expires_at = expires_at - ?"
                " where system = ? and pool = ? and expires_at > ?",
                (seconds, seconds, *self._pool, self._clock.now()),
            )

    def remove_expired(self, db: sqlite3.Connection, now: float) -> None:
        """Deletes what is remembered no longer."""
        db.execute(
            "delete from user_pool_failures where system = ? and pool = ? and expires_at <= ?", (*self._pool, now)
        )

    def _lock_time(self, failures: int) -> float:
        if failures < self._limit:
            return 0.0
        doublings = min(failures - self._limit, 40)  # more would overflow nothing but patience
        return min(self._first * 2.0**doublings, max(LONGEST, self._first))

    def _shed(self, db: sqlite3.Connection) -> None:
        (count,) = db.execute(
            "select count(*) from user_pool_failures where system = ? and pool = ?", self._pool
        ).fetchone()
        if count > self._most_names:
            db.execute(
                "delete from user_pool_failures where system = ? and pool = ? and name in (select name from"
                " user_pool_failures where system = ? and pool = ? order by expires_at limit ?)",
                (*self._pool, *self._pool, count - self._most_names),
            )

    def _digest(self, name: str) -> bytes:
        return hmac.digest(self._key, name.encode("utf-8", "surrogatepass"), hashlib.sha256)[:16]
