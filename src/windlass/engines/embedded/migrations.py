"""State versions: what an older Windlass has written is brought up to date when it is opened.

A step runs alone and whole: on a connection that has the database for itself (SQLite's exclusive locking mode, which
also sees a process that never took the namespace's lock), all steps in one transaction with the version number. One
that fails leaves the state as it was.

The transaction, not a copy, is what protects from a step that fails. A copy is for going back to the older Windlass,
and is made where it is cheap: `state.sqlite.version-1` beside a state of up to 256 MiB. A larger one would hold up
the start for minutes and need its size again on the disk, so for that `windlass backup`, which migrates nothing, is to
be run before; the log says so.

Tables of nouns are made by the nouns, when they are first declared. A step changes those that are there already;
those that are not will be made as the present version makes them.
"""

from __future__ import annotations

import logging
import os
import sqlite3
from collections.abc import Callable, Mapping
from contextlib import closing
from pathlib import Path

from windlass.errors import HomeError

__all__ = ["SCHEMA_VERSION", "begin_state", "migrate", "state_version"]

logger = logging.getLogger("windlass")

SCHEMA_VERSION = 2

_COPY_UP_TO = 256 * 2**20
_WAIT_SECONDS = 10.0

_META = "create table if not exists meta (key text primary key, value) without rowid"

Step = Callable[[sqlite3.Connection], None]


def _from_1(db: sqlite3.Connection) -> None:
    """Reservations of idempotency keys know who holds them; the state has a place for facts about itself."""
    if _columns(db, "idempotency"):
        db.execute("alter table idempotency add column owner text")
        db.execute("alter table idempotency add column reservation text")
    db.execute(_META)


_STEPS: Mapping[int, Step] = {1: _from_1}


def begin_state(db: sqlite3.Connection) -> None:
    """Gives a new database its version, and the tables that belong to no noun."""
    if _version(db) == 0:
        db.execute("begin immediate")
        try:
            if _version(db) == 0:  # another process may have been faster
                db.execute(_META)
                db.execute(f"pragma user_version = {SCHEMA_VERSION}")
            db.execute("commit")
        except BaseException:
            if db.in_transaction:
                db.execute("rollback")
            raise


def state_version(path: Path) -> int:
    """The version of the state at `path`; 0 when there is none yet. Raises HomeError for what is no state, or of a
    newer Windlass."""
    if not path.is_file():
        return 0
    try:
        with closing(sqlite3.connect(path, isolation_level=None, timeout=_WAIT_SECONDS)) as db:
            version = _version(db)
    except sqlite3.DatabaseError as error:
        raise HomeError(
            f"{path} cannot be used as state: {error}\n"
            f"  fix: restore it from a backup, use another --home, or empty it with `windlass reset`"
        ) from error
    if version > SCHEMA_VERSION:
        raise HomeError(
            f"{path} was written by a newer Windlass (state version {version}, this one reads {SCHEMA_VERSION})\n"
            f"  fix: run the newer version, or use another --home"
        )
    return version


def migrate(
    path: Path, steps: Mapping[int, Step] = _STEPS, *, copy_up_to: int = _COPY_UP_TO, wait: float = _WAIT_SECONDS
) -> None:
    """Brings the state at `path` to the present version, if it is older. Raises HomeError, with the state as it was,
    when another process has it open for longer than `wait` seconds, when there is no room, or when a step fails."""
    version = state_version(path)
    if version in (0, SCHEMA_VERSION):
        return
    db = sqlite3.connect(path, isolation_level=None, timeout=wait)
    try:
        # Before anything is read: a connection that has begun to share cannot change its mind.
        db.execute("pragma locking_mode = exclusive")
        db.execute("begin exclusive")
        db.execute("commit")
        version = _version(db)
        if version >= SCHEMA_VERSION:
            return
        copy = _copied(db, path, version, copy_up_to)
        db.execute("begin exclusive")
        for number in range(version, SCHEMA_VERSION):
            steps[number](db)
        db.execute(f"pragma user_version = {SCHEMA_VERSION}")
        db.execute("commit")
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode & 0xFF in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
            if state_version(path) == SCHEMA_VERSION:  # another process of the same server was faster
                return
            raise HomeError(
                f"{path} is of an older Windlass, and another process has it open, so it cannot be migrated now\n"
                f"  fix: stop the server and the commands of the older Windlass, then try again"
            ) from error
        raise _failed(path, version, error) from error
    except HomeError:
        raise
    except Exception as error:
        raise _failed(path, version, error) from error
    finally:
        if db.in_transaction:
            db.execute("rollback")
        db.close()
    kept = f"a copy of the old one is {copy}" if copy else "it is large, so no copy of the old one was made"
    logger.warning("%s was migrated from version %d to %d; %s", path, version, SCHEMA_VERSION, kept)


def _failed(path: Path, version: int, error: Exception) -> HomeError:
    return HomeError(
        f"{path} could not be migrated from version {version} to {SCHEMA_VERSION}, and is as it was: {error}\n"
        f"  fix: if the disk is full, make room; else run the Windlass that wrote it, make a `windlass backup`, and "
        f"report this"
    )


def _copied(db: sqlite3.Connection, path: Path, version: int, up_to: int) -> Path | None:
    """Where a copy of the state was put, None when that would take too long. One of an earlier attempt gives way: it
    was made of the same state."""
    pages, size = (db.execute(f"pragma {name}").fetchone()[0] for name in ("page_count", "page_size"))
    if pages * size > up_to:
        return None
    copy = path.with_name(f"{path.name}.version-{version}")
    part = copy.with_name(f"{copy.name}.part")
    try:
        part.unlink(missing_ok=True)
        os.close(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
        db.execute("vacuum into ?", (str(part),))
        part.replace(copy)
    finally:
        part.unlink(missing_ok=True)
    return copy


def _version(db: sqlite3.Connection) -> int:
    version: int = db.execute("pragma user_version").fetchone()[0]
    return version


def _columns(db: sqlite3.Connection, table: str) -> list[str]:
    """The names of a table's columns; none when there is no such table."""
    return [row[0] for row in db.execute("select name from pragma_table_info(?)", (table,))]
