"""Token families: what became of each sign-in.

All tokens that come of one sign-in carry its family's id as `origin_jti`, as Cognito's do
(https://docs.aws.amazon.com/cognito/latest/developerguide/token-revocation.html). A family is one row, and revoking
is deleting it.

Refresh tokens rotate (RFC 9700, 4.14.2). A row knows the refresh token that is valid and the one before. The one
before may come again for RETRY_GRACE seconds, from a client that lost the answer or asked twice at once, and gets the
same successor once more; every other spent token ends the family, since two hold it and one of them stole it.
"""

from __future__ import annotations

import sqlite3
import uuid
from dataclasses import dataclass, replace

from windlass.engines.embedded.store import Row, Store

__all__ = ["MOST_FAMILIES", "RETRY_GRACE", "Family", "TokenFamilies"]

RETRY_GRACE = 10.0
"""How long a spent refresh token may come again, in seconds; Cognito's RetryGracePeriodSeconds takes 0 to 60."""

MOST_FAMILIES = 1000
"""The most sign-ins of one user that are valid at once; the oldest gives way."""

_MOST_ISSUERS = 32

_TABLES = (
    """
    create table if not exists user_pool_families (
      system text not null, pool text not null, id text not null, user_id text not null, event_id text not null,
      auth_time integer not null, ends_at integer not null,
      refresh_id text not null, refreshed_at real not null, spent_id text,
      primary key (system, pool, id)
    )
    """,
    "create index if not exists user_pool_families_user on user_pool_families (system, pool, user_id, auth_time)",
    "create index if not exists user_pool_families_end on user_pool_families (system, pool, ends_at)",
    """
    create table if not exists user_pool_issuers (
      system text not null, pool text not null, issuer text not null, used_at real not null,
      primary key (system, pool, issuer)
    ) without rowid
    """,
)

_FIND = """
select id, user_id, event_id, auth_time, ends_at, refresh_id, refreshed_at, spent_id
from user_pool_families where system = ? and pool = ? and id = ?
"""
_LIVE = """
select 1 from user_pool_families f
join user_pool_users u on u.system = f.system and u.pool = f.pool and u.id = f.user_id
where f.system = ? and f.pool = ? and f.id = ? and f.user_id = ? and u.enabled
"""


@dataclass(frozen=True, slots=True)
class Family:
    """A sign-in. `auth_time` and `ends_at`, when its refresh tokens expire, are in whole epoch seconds;
    `refresh_id` is the `jti` of the refresh token that is valid, issued at `refreshed_at`; `spent_id` is that of the
    one before."""

    id: str
    user_id: str
    event_id: str
    auth_time: int
    ends_at: int
    refresh_id: str
    refreshed_at: float
    spent_id: str | None = None

    @classmethod
    def of(cls, row: Row) -> Family:
        return cls(*row)


class TokenFamilies:
    """The families of one pool, and the issuers under which its tokens were issued. Changes go into the caller's
    transaction. `longest_token` is the longest life of an access token, in seconds."""

    def __init__(self, store: Store, *, system: str, pool: str, longest_token: float) -> None:
        self._store, self._longest_token = store, longest_token
        self._pool = (system, pool)
        with store.write() as db:
            for statement in _TABLES:
                db.execute(statement)

    def is_live(self, family_id: str, user_id: str) -> bool:
        """Whether the family is there, and its user is there and enabled."""
        return self._store.read_one(_LIVE, (*self._pool, family_id, user_id)) is not None

    def find(self, family_id: str) -> Family | None:
        """The family with that id."""
        row = self._store.read_one(_FIND, (*self._pool, family_id))
        return None if row is None else Family.of(row)

    def begin(self, db: sqlite3.Connection, user_id: str, *, now: float, life: float) -> Family:
        """A new family, whose refresh tokens end after `life` seconds. The oldest of a user who has too many gives
        way."""
        family = Family(
            id=str(uuid.uuid4()),
            user_id=user_id,
            event_id=str(uuid.uuid4()),
            auth_time=int(now),
            ends_at=int(now + life),
            refresh_id=str(uuid.uuid4()),
            refreshed_at=now,
        )
        db.execute(
            "delete from user_pool_families where rowid in (select rowid from user_pool_families"
            " where system = ? and pool = ? and user_id = ? order by auth_time desc, rowid desc limit -1 offset ?)",
            (*self._pool, user_id, MOST_FAMILIES - 1),
        )
        db.execute(
            "insert into user_pool_families"
            " (system, pool, id, user_id, event_id, auth_time, ends_at, refresh_id, refreshed_at)"
            " values (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                *self._pool,
                family.id,
                user_id,
                family.event_id,
                family.auth_time,
                family.ends_at,
                family.refresh_id,
                now,
            ),
        )
        return family

    def spend(self, db: sqlite3.Connection, family: Family, refresh_id: str, now: float) -> Family | None:
        """The family after one of its refresh tokens came; None when that ended it."""
        if refresh_id == family.refresh_id:
            family = replace(family, refresh_id=str(uuid.uuid4()), refreshed_at=now, spent_id=refresh_id)
            db.execute(
                "update user_pool_families set refresh_id = ?, refreshed_at = ?, spent_id = ?"
                " where system = ? and pool = ? and id = ?",
                (family.refresh_id, now, refresh_id, *self._pool, family.id),
            )
            return family
        if refresh_id == family.spent_id and now - family.refreshed_at <= RETRY_GRACE:
            return family
        self.end(db, family.id)
        return None

    def end(self, db: sqlite3.Connection, family_id: str) -> None:
        """Revokes one family."""
        db.execute("delete from user_pool_families where system = ? and pool = ? and id = ?", (*self._pool, family_id))

    def end_all(self, db: sqlite3.Connection, user_id: str) -> None:
        """Revokes all families of a user."""
        db.execute(
            "delete from user_pool_families where system = ? and pool = ? and user_id = ?", (*self._pool, user_id)
        )

    def clock_went_back(self, db: sqlite3.Connection, seconds: float, now: float) -> None:
        """Keeps the grace of spent refresh tokens as short as it was. When families end is wall time, as the tokens
        say it."""
        db.execute(
            "update user_pool_families set refreshed_at = refreshed_at - ? where system = ? and pool = ?"
            " and refreshed_at > ?",
            (seconds, *self._pool, now),
        )

    def remove_expired(self, db: sqlite3.Connection, now: float) -> None:
        """Deletes families of which no token is valid any more. The last access token may outlive the refresh token
        that it was got with."""
        db.execute(
            "delete from user_pool_families where system = ? and pool = ? and ends_at <= ?",
            (*self._pool, now - self._longest_token),
        )

    # ---- issuers

    def has_issued_as(self, issuer: str) -> bool:
        """Whether tokens were issued under that issuer, one of the 32 used last."""
        row = self._store.read_one(
            "select 1 from user_pool_issuers where system = ? and pool = ? and issuer = ?", (*self._pool, issuer)
        )
        return row is not None

    def issue_as(self, db: sqlite3.Connection, issuer: str, now: float) -> None:
        """Remembers that tokens are issued under `issuer`."""
        db.execute(
            "insert into user_pool_issuers (system, pool, issuer, used_at) values (?, ?, ?, ?)"
            " on conflict do update set used_at = excluded.used_at",
            (*self._pool, issuer, now),
        )
        db.execute(
            "delete from user_pool_issuers where system = ? and pool = ? and issuer in (select issuer"
            " from user_pool_issuers where system = ? and pool = ? order by used_at desc limit -1 offset ?)",
            (*self._pool, *self._pool, _MOST_ISSUERS),
        )
