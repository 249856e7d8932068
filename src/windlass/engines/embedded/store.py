"""The state of a namespace: one SQLite database in WAL mode, with group commit.

Writes of concurrent deliveries are executed in one open transaction, and whoever is about to answer commits all of
them at once: `flush()` returns when everything that was executed before it is durable. Nothing is answered,
deleted from a queue or sent before that. `durability` says against what: `process` survives `kill -9`,
`full` also a power loss (fsync before each answer; https://www.sqlite.org/pragma.html#pragma_synchronous).
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

from windlass.errors import EngineUnavailable, HomeError

__all__ = ["Committed", "Durability", "Row", "Store"]

Durability = Literal["process", "full"]
Row = tuple[Any, ...]
Parameters = Sequence[Any] | Mapping[str, Any]
Committed = Callable[[EngineUnavailable | None], None]

SCHEMA_VERSION = 1


class Store:
    """The database of one namespace, shared by all threads of the process.

    Every statement runs under one lock, on one connection, so that a reader sees what was written before it, also
    before it is committed; an answer that rests on an uncommitted read waits for the same commit.
    """

    def __init__(self, path: Path, *, durability: Durability = "process") -> None:
        self.path = path
        self.durability: Durability = durability
        self._lock = threading.RLock()
        self._open = False
        self._closed = False
        self._savepoint_depth = 0
        self._waiting: list[Committed] = []
        try:
            self._db = self._connect(path, durability)
        except sqlite3.DatabaseError as error:
            raise HomeError(
                f"{path} cannot be used as state: {error}\n"
                f"  fix: restore it from a backup, use another --home, or empty it with `windlass reset`"
            ) from error

    @staticmethod
    def _connect(path: Path, durability: Durability) -> sqlite3.Connection:
        db = sqlite3.connect(
            path, isolation_level=None, check_same_thread=False, timeout=10.0, cached_statements=512
        )
        db.execute("pragma journal_mode = wal")
        db.execute(f"pragma synchronous = {'full' if durability == 'full' else 'normal'}")
        db.execute("pragma foreign_keys = on")
        db.execute("pragma cache_size = -16384")
        version = db.execute("pragma user_version").fetchone()[0]
        if version > SCHEMA_VERSION:
            raise HomeError(
                f"{path} was written by a newer Windlass (state version {version}, this one reads {SCHEMA_VERSION})\n"
                f"  fix: run the newer version, or use another --home"
            )
        if version < SCHEMA_VERSION:
            db.execute(f"pragma user_version = {SCHEMA_VERSION}")
        return db

    # ---- statements

    def read(self, sql: str, parameters: Parameters = ()) -> list[Row]:
        """All rows of a SELECT."""
        with self._lock:
            try:
                rows: list[Row] = self._db.execute(sql, parameters).fetchall()
                return rows
            except sqlite3.OperationalError as error:
                raise self._unavailable(error) from error

    def read_one(self, sql: str, parameters: Parameters = ()) -> Row | None:
        """The first row of a SELECT, None when there is none."""
        with self._lock:
            try:
                row: Row | None = self._db.execute(sql, parameters).fetchone()
                return row
            except sqlite3.OperationalError as error:
                raise self._unavailable(error) from error

    @contextmanager
    def write(self) -> Iterator[sqlite3.Connection]:
        """The connection inside the open transaction, to execute one statement, or several of which the last can
        fail. For several that stand or fall together use `atomic`."""
        with self._lock:
            try:
                self._begin()
                yield self._db
            except sqlite3.OperationalError as error:
                raise self._unavailable(error) from error

    @contextmanager
    def atomic(self) -> Iterator[sqlite3.Connection]:
        """Like `write`, but what the block executed is undone when it raises."""
        with self._lock:
            try:
                self._begin()
                name = f"s{self._savepoint_depth}"
                self._db.execute(f"savepoint {name}")
                self._savepoint_depth += 1
                try:
                    yield self._db
                except BaseException:
                    if self._db.in_transaction:  # a full disk may have rolled everything back already
                        self._db.execute(f"rollback to {name}")
                    raise
                finally:
                    self._savepoint_depth -= 1
                    if self._db.in_transaction:
                        self._db.execute(f"release {name}")
            except sqlite3.OperationalError as error:
                raise self._unavailable(error) from error

    def _begin(self) -> None:
        if not self._open:
            if self._closed:
                raise EngineUnavailable("the engine is stopping")
            self._db.execute("begin immediate")
            self._open = True

    def changes(self) -> int:
        """A number that is another one when another process has changed the state."""
        row = self.read_one("pragma data_version")
        return int(row[0]) if row else 0

    # ---- committing

    @property
    def dirty(self) -> bool:
        """Whether something was executed that is not durable yet."""
        return self._open

    def flush(self) -> None:
        """Makes everything that was executed so far durable. Raises EngineUnavailable when it cannot: then none
        of it is stored."""
        if not self._open:
            return
        error: EngineUnavailable | None = None
        with self._lock:
            if not self.dirty:  # another thread has committed
                return
            try:
                self._db.execute("commit")
            except sqlite3.OperationalError as cause:
                error = EngineUnavailable(f"the state cannot be written now: {cause}")
                if self._db.in_transaction:
                    self._db.execute("rollback")
            calls = self._ended()
        for call in calls:
            call(error)
        if error is not None:
            raise error

    def after_commit(self, call: Committed) -> None:
        """Calls `call(None)` when all that was executed so far is durable, or `call(error)` when that failed and
        nothing of it is stored. It must be quick and not raise; it may run on any thread, or at once."""
        with self._lock:
            if self._open:
                self._waiting.append(call)
                return
        call(None)

    def _ended(self) -> list[Committed]:
        """The open transaction has ended; returns who waits for that."""
        self._open = False
        calls, self._waiting = self._waiting, []
        return calls

    def _unavailable(self, cause: sqlite3.OperationalError) -> EngineUnavailable:
        error = EngineUnavailable(f"the state cannot be read or written now: {cause}")
        # A full disk or an I/O error ends the transaction by itself: what it held is gone, so tell those who wait.
        if self._open and not self._db.in_transaction:
            for call in self._ended():
                call(error)
        return error

    def close(self) -> None:
        """Commits and closes; the database can be used no more."""
        try:
            self.flush()
        finally:
            with self._lock:
                already, self._closed = self._closed, True
                if not already:
                    self._db.close()
