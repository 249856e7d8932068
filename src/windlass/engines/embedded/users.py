"""The users of a pool in the store."""

from __future__ import annotations

import json
import sqlite3
import uuid
from collections.abc import Sequence
from dataclasses import dataclass

from windlass.engines.embedded.store import Row, Store

__all__ = ["StoredUser", "Users"]

_TABLES = (
    """
    create table if not exists user_pool_users (
      system text not null, pool text not null, username text not null, id text not null, email text,
      groups text not null, enabled integer not null, password text not null, generation integer not null,
      created_at real not null,
      primary key (system, pool, username)
    )
    """,
    "create unique index if not exists user_pool_users_id on user_pool_users (system, pool, id)",
    # A row here says that the pool has had a user.
    """
    create table if not exists user_pool_begun (
      system text not null, pool text not null, primary key (system, pool)
    ) without rowid
    """,
)

_SELECT = "select id, username, email, groups, enabled, password, generation, created_at from user_pool_users"


@dataclass(frozen=True, slots=True)
class StoredUser:
    """A user as it is stored. `password` is a hash; `generation` counts how often it was set anew; `created_at` is
    in epoch seconds."""

    id: str
    username: str
    email: str | None
    groups: tuple[str, ...]
    enabled: bool
    password: str
    generation: int
    created_at: float

    @classmethod
    def of(cls, row: Row) -> StoredUser:
        user_id, username, email, groups, enabled, password, generation, created_at = row
        return cls(user_id, username, email, tuple(json.loads(groups)), bool(enabled), password, generation, created_at)

    def may_go_on(self, later: StoredUser | None) -> bool:
        """Whether a sign-in that was begun with this state may end with that one: the same user, enabled, with the
        password that was verified."""
        return later is not None and later.enabled and (later.id, later.generation) == (self.id, self.generation)


class Users:
    """Finds and changes users by name, which is in canonical form. Changes go into the caller's transaction."""

    def __init__(self, store: Store, *, system: str, pool: str) -> None:
        self._store = store
        self._pool = (system, pool)
        with store.write() as db:
            for statement in _TABLES:
                db.execute(statement)

    def find(self, username: str) -> StoredUser | None:
        """The user of that name."""
        row = self._store.read_one(f"{_SELECT} where system = ? and pool = ? and username = ?", (*self._pool, username))
        return None if row is None else StoredUser.of(row)

    def find_id(self, user_id: str) -> StoredUser | None:
        """The user with that id."""
        row = self._store.read_one(f"{_SELECT} where system = ? and pool = ? and id = ?", (*self._pool, user_id))
        return None if row is None else StoredUser.of(row)

    def all(self) -> list[StoredUser]:
        """All users by name."""
        rows = self._store.read(f"{_SELECT} where system = ? and pool = ? order by username", self._pool)
        return [StoredUser.of(row) for row in rows]

    def begun(self) -> bool:
        """Whether the pool has, or had, a user."""
        row = self._store.read_one("select 1 from user_pool_begun where system = ? and pool = ?", self._pool)
        return row is not None

    def add(
        self,
        db: sqlite3.Connection,
        username: str,
        *,
        email: str | None,
        groups: Sequence[str],
        password: str,
        created_at: float,
    ) -> StoredUser:
        """Stores a new user, enabled and with a new id; the name must be free."""
        user = StoredUser(str(uuid.uuid4()), username, email, tuple(groups), True, password, 0, created_at)
        db.execute("insert or ignore into user_pool_begun (system, pool) values (?, ?)", self._pool)
        db.execute(
            "insert into user_pool_users"
            " (system, pool, id, username, email, groups, enabled, password, generation, created_at)"
            " values (?, ?, ?, ?, ?, ?, 1, ?, 0, ?)",
            (*self._pool, user.id, username, email, json.dumps(groups), password, created_at),
        )
        return user

    def set_enabled(self, db: sqlite3.Connection, username: str, enabled: bool) -> None:
        db.execute(
            "update user_pool_users set enabled = ? where system = ? and pool = ? and username = ?",
            (int(enabled), *self._pool, username),
        )

    def set_groups(self, db: sqlite3.Connection, username: str, groups: Sequence[str]) -> None:
        db.execute(
            "update user_pool_users set groups = ? where system = ? and pool = ? and username = ?",
            (json.dumps(groups), *self._pool, username),
        )

    def set_password(self, db: sqlite3.Connection, username: str, password: str, *, same: bool = False) -> None:
        """Stores a hash; of the `same` password as before, or of a new one."""
        db.execute(
            "update user_pool_users set password = ?, generation = generation + ?"
            " where system = ? and pool = ? and username = ?",
            (password, 0 if same else 1, *self._pool, username),
        )

    def remove(self, db: sqlite3.Connection, username: str) -> None:
        db.execute(
            "delete from user_pool_users where system = ? and pool = ? and username = ?", (*self._pool, username)
        )
