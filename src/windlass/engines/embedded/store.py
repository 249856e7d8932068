"""The state of a namespace: one SQLite database in WAL mode, with group commit.

Writes of concurrent deliveries are executed in one open transaction, and whoever is about to answer commits all of
them at once: `flush()` returns when everything that was executed before it is durable. Nothing is answered,
deleted from a queue or sent before that. `durability` says against what: `process` survives `kill -9`,
`full` also a power loss (fsync before each answer; https://www.sqlite.org/pragma.html#pragma_synchronous).
"""

from __future__ import annotations

import os
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

from windlass.engines.embedded.damage import Faults
from windlass.engines.embedded.migrations import begin_state, migrate
from windlass.engines.embedded.turn import Turn
from windlass.errors import EngineUnavailable, HomeError

__all__ = ["Committed", "Durability", "Insert", "Row", "Store"]

Durability = Literal["process", "full"]
Row = tuple[Any, ...]
Parameters = Sequence[Any] | Mapping[str, Any]
Committed = Callable[[EngineUnavailable | None], None]


_CHUNKS = (64, 32, 16)
_MOST_DEFERRED = 1000
_LONGEST_TURN = 0.001


class Insert:
    """An INSERT of rows of `width` values each: `head` ends with VALUES, `tail` follows the rows."""

    __slots__ = ("_head", "_marks", "_sql", "_tail")

    def __init__(self, head: str, width: int, tail: str = "") -> None:
        self._head, self._marks, self._tail = head, f"({', '.join('?' * width)})", tail
        self._sql: dict[int, str] = {}

    def execute(self, db: sqlite3.Connection, rows: Sequence[Sequence[Any]]) -> None:
        """Inserts all rows: many with one statement, since each call of SQLite lets another thread run first."""
        done = 0
        while done < len(rows):
            left = len(rows) - done
            # Not any number, so that the statements that are kept compiled stay few.
            count = next((chunk for chunk in _CHUNKS if chunk <= left), left)
            sql = self._sql.get(count)
            if sql is None:
                sql = self._sql[count] = f"{self._head} {', '.join([self._marks] * count)} {self._tail}"
            db.execute(sql, [value for row in rows[done : done + count] for value in row])
            done += count


class Store:
    """The database of one namespace, shared by all threads of the process.

    Every statement runs under one lock, on one connection, so that a reader sees what was written before it, also
    before it is committed; an answer that rests on an uncommitted read waits for the same commit.
    """

    def __init__(self, path: Path, *, durability: Durability = "process", turn: Turn | None = None) -> None:
        """`turn` is given where several processes write much, so that they do so by turns."""
        self.path = path
        self.durability: Durability = durability
        self._lock = threading.RLock()
        self._turn, self._began = turn, 0.0
        self._open = False
        self._closed = False
        self._savepoint_depth = 0
        self._mixed = False
        self._waiting: list[Committed] = []
        self._deferred: dict[Insert, list[Sequence[Any]]] = {}
        self._damaged = False
        self._losses = 0
        self._faults = Faults(path)
        try:
            # Made here, for the owner's eyes only; SQLite gives the files beside it the same rights.
            os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
            self._db = self._connect(path, durability)
        except OSError as error:
            raise HomeError(
                f"{path} cannot be used as state: {error.strerror}\n"
                f"  fix: see to it that you may read and write it, or use another --home"
            ) from error
        except sqlite3.DatabaseError as error:
            raise HomeError(
                f"{path} cannot be used as state: {error}\n"
                f"  fix: restore it from a backup, use another --home, or empty it with `windlass reset`"
            ) from error

    @staticmethod
    def _connect(path: Path, durability: Durability) -> sqlite3.Connection:
        db = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=10.0, cached_statements=512)
        try:
            Store._prepare(db, path, durability)
        except BaseException:
            db.close()
            raise
        return db

    @staticmethod
    def _prepare(db: sqlite3.Connection, path: Path, durability: Durability) -> None:
        migrate(path)  # before this connection shares the file: a migration needs it alone
        db.execute("pragma journal_mode = wal")
        db.execute(f"pragma synchronous = {'full' if durability == 'full' else 'normal'}")
        db.execute("pragma foreign_keys = on")
        db.execute("pragma cache_size = -16384")
        begin_state(db)

    # ---- statements

    def read(self, sql: str, parameters: Parameters = ()) -> list[Row]:
        """All rows of a SELECT."""
        with self._lock:
            self._check_open()
            self._keep_apart()
            try:
                rows: list[Row] = self._db.execute(sql, parameters).fetchall()
                return rows
            except sqlite3.DatabaseError as error:
                raise self._fault(error) from error

    def read_one(self, sql: str, parameters: Parameters = ()) -> Row | None:
        """The first row of a SELECT, None when there is none."""
        with self._lock:
            self._check_open()
            self._keep_apart()
            try:
                row: Row | None = self._db.execute(sql, parameters).fetchone()
                return row
            except sqlite3.DatabaseError as error:
                raise self._fault(error) from error

    def execute(self, sql: str, parameters: Parameters = ()) -> int:
        """Executes one INSERT, UPDATE or DELETE in the open transaction; returns how many rows it changed."""
        with self._lock:
            self._keep_apart()
            try:
                if not self._open:
                    self._begin()
                return self._db.execute(sql, parameters).rowcount
            except sqlite3.DatabaseError as error:
                raise self._fault(error) from error

    @contextmanager
    def write(self, since: int | None = None) -> Iterator[sqlite3.Connection]:
        """The connection inside the open transaction, to execute one statement, or several of which the last can
        fail. For several that stand or fall together use `atomic`. With `since`, a `mark`, raises EngineUnavailable
        when something was lost after it: what is written then would stand without what it rests on."""
        with self._lock:
            self._keep_apart()
            self._check_nothing_lost(since)
            try:
                self._begin()
                yield self._db
            except sqlite3.DatabaseError as error:
                raise self._fault(error) from error

    @contextmanager
    def atomic(self, since: int | None = None) -> Iterator[sqlite3.Connection]:
        """Like `write`, but what the block executed is undone when it raises."""
        with self._lock:
            self._keep_apart()
            self._check_nothing_lost(since)
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
                        if self._mixed:  # what others have deferred was undone with the block
                            self._lose(EngineUnavailable("the state could not be written"))
                    raise
                finally:
                    self._savepoint_depth -= 1
                    self._mixed = self._mixed and self._savepoint_depth > 0
                    if self._db.in_transaction:
                        self._db.execute(f"release {name}")
            except sqlite3.DatabaseError as error:
                raise self._fault(error) from error

    def defer(self, insert: Insert, rows: Sequence[Sequence[Any]]) -> None:
        """Inserts the rows at the next commit, or `apply`: all that were deferred at once, so that it is quick, and the
        database is locked for other processes no longer than that takes. What reads or writes the same table otherwise
        calls `apply` first. SQLite must take every row."""
        with self._lock:
            self._check_open()
            if self._damaged:
                with self.atomic() as db:
                    insert.execute(db, rows)
                return
            deferred = self._deferred.setdefault(insert, [])
            deferred.extend(rows)
        if len(deferred) > _MOST_DEFERRED:
            self.apply()

    def apply(self) -> None:
        """Executes what was deferred, in the open transaction."""
        if self._deferred:
            with self._lock:
                try:
                    self._execute_deferred()
                except (sqlite3.Error, ValueError, OverflowError) as fault:
                    cause = _as_database_error(fault)
                    self._damaged = self._damaged or self._faults.is_damage(cause)
                    error = EngineUnavailable(self._faults.told(cause, "written"))
                    self._lose(error)  # some of the rows may be in: all or none of the transaction stands
                    raise error from fault

    def _lose(self, error: EngineUnavailable) -> None:
        """Undoes the open transaction, and tells those who wait for it."""
        if self._db.in_transaction:
            self._db.execute("rollback")
        self._losses += 1
        for call in self._ended():
            call(error)

    def _execute_deferred(self) -> None:
        if self._deferred:
            self._begin()
            self._mixed = self._savepoint_depth > 0
            for insert, rows in self._deferred.items():
                insert.execute(self._db, rows)
            self._deferred = {}

    def _keep_apart(self) -> None:
        """SQLite undoes the whole transaction in which a damaged page was met, be it by a SELECT. So once there is
        one, what was written before is committed first, and whoever meets it loses nothing of others."""
        if self._damaged and self._savepoint_depth == 0 and self.dirty:
            self.flush()

    def _check_open(self) -> None:
        if self._closed:
            raise EngineUnavailable("the engine is stopping")

    def _begin(self) -> None:
        if not self._open:
            self._check_open()
            if self._turn is not None:
                self._turn.take()
                self._began = time.monotonic()
            try:
                self._db.execute("begin immediate")
            except BaseException:
                if self._turn is not None:
                    self._turn.give()
                raise
            self._open = True

    def changes(self) -> int:
        """A number that is another one when another process has changed the state."""
        row = self.read_one("pragma data_version")
        return int(row[0]) if row else 0

    # ---- committing

    @property
    def dirty(self) -> bool:
        """Whether something was executed or deferred that is not durable yet."""
        return self._open or bool(self._deferred)

    def flush(self) -> None:
        """Makes everything that was executed so far durable. Raises EngineUnavailable when it cannot: then none
        of it is stored."""
        if not self._open and not self._waiting and not self._deferred:
            return
        error: EngineUnavailable | None = None
        with self._lock:
            try:
                self._execute_deferred()
                if self._open:
                    self._db.execute("commit")
            except (sqlite3.Error, ValueError, OverflowError) as fault:
                cause = _as_database_error(fault)
                self._damaged = self._damaged or self._faults.is_damage(cause)
                error = EngineUnavailable(self._faults.told(cause, "written"))
                self._losses += 1
                if self._db.in_transaction:
                    self._db.execute("rollback")
            calls = self._ended()
        for call in calls:
            call(error)
        if error is not None:
            raise error

    def give_way(self) -> None:
        """To be called after a piece of work: where processes write by turns, and this one's has lasted for a
        millisecond, makes what was executed durable and ends it. Raises EngineUnavailable as `flush`."""
        if self._turn is not None and self._open and time.monotonic() - self._began > _LONGEST_TURN:
            self.flush()

    def mark(self) -> int:
        """Taken before a piece of work, and given when it ends: so the store knows whether something that was
        executed meanwhile, by whomever, was lost before it was durable."""
        return self._losses

    def after_commit(self, call: Committed, since: int | None = None, *, together: bool = False) -> None:
        """Calls `call(None)` when all that was executed so far is durable, or `call(error)` when that failed, or
        something was lost since the mark `since`. It must be quick and not raise; it may run on any thread, or at
        once. With `together`, it waits for the next `flush` even when there is nothing to commit."""
        with self._lock:
            try:
                self._check_nothing_lost(since)
            except EngineUnavailable as error:
                lost: EngineUnavailable | None = error
            else:
                lost = None
                if self.dirty or together:
                    self._waiting.append(call)
                    return
        call(lost)

    def _check_nothing_lost(self, since: int | None) -> None:
        if since is not None and since != self._losses:
            raise EngineUnavailable("the state could not be written, and something that this rests on is lost")

    def _ended(self) -> list[Committed]:
        """The open transaction has ended; returns who waits for that."""
        if self._open and self._turn is not None:
            self._turn.give()
        self._open = False
        self._deferred = {}  # empty after a commit; after a loss, it is lost too, as those who wait for it are told
        calls, self._waiting = self._waiting, []
        return calls

    def _fault(self, cause: sqlite3.DatabaseError) -> Exception:
        """What to raise for an error of SQLite: a fault of the disk or the file, or the caller's own."""
        alone = self._damaged
        if self._faults.is_damage(cause):
            self._damaged = True
            if self._db.in_transaction:
                self._db.execute("rollback")  # SQLite would refuse to commit it
        # A full disk or an I/O error ends the transaction by itself: what it held is gone, so tell those who wait.
        lost = self._open and not self._db.in_transaction
        if not lost and not isinstance(cause, sqlite3.OperationalError) and type(cause) is not sqlite3.DatabaseError:
            return cause
        error = EngineUnavailable(self._faults.told(cause))
        if lost:
            if not (alone and self._faults.is_damage(cause)):  # what stood alone is lost to its caller only
                self._losses += 1
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
                    if self._turn is not None:
                        self._turn.close()


def _as_database_error(error: Exception) -> sqlite3.DatabaseError:
    """What SQLite refused to take as a value is no fault of the disk, but loses the transaction like one."""
    return error if isinstance(error, sqlite3.DatabaseError) else sqlite3.OperationalError(str(error))
