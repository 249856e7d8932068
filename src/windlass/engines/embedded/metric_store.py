"""Metrics in SQLite: a row for each series and minute, and the totals of all time.

Several processes write to one file. What they write is added to what is there, in one short transaction each time.
"""

from __future__ import annotations

import logging
import os
import sqlite3
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import closing, suppress
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from windlass.dispatch.metrics import BOUNDS, Deltas, Distribution, Series
from windlass.errors import EngineUnavailable

__all__ = ["MetricStore"]

T = TypeVar("T")

_VERSION = 1
_MOST_BYTES = 128 * 1024 * 1024
_BUSY_SECONDS = 5.0
_DAMAGED = ("malformed", "not a database")
_SCHEMA = """
create table if not exists series (
    id integer primary key, name text not null, labels text not null, unique (name, labels));
create table if not exists minutes (
    series integer not null, minute integer not null, count integer not null, total real not null, least real not null,
    greatest real not null, buckets blob not null, primary key (series, minute)) without rowid;
create index if not exists minutes_by_minute on minutes (minute);
create table if not exists totals (
    series integer primary key, count integer not null, total real not null, least real not null,
    greatest real not null, buckets blob not null);
"""
_VALUES = "count, total, least, greatest, buckets"

logger = logging.getLogger("windlass")

_encode = msgspec.msgpack.Encoder().encode
_decode_buckets = msgspec.msgpack.Decoder(dict[int, int]).decode
_decode_labels = msgspec.json.Decoder(dict[str, str]).decode


class MetricStore:
    """The metrics of one namespace, at `path`. Its methods may be called from any thread.

    A file that is damaged, or of another version, is moved aside and a new one begun, with a warning: metrics are
    never a reason not to serve. With `read_only`, for those who only look, the file must exist and stays as it is.
    It is opened when it is first used; all methods raise EngineUnavailable while it can be neither read nor written.
    """

    def __init__(self, path: Path, *, read_only: bool = False, most_bytes: int = _MOST_BYTES) -> None:
        """`most_bytes` is how large it may be before `remove_before` removes more than it was asked for."""
        self.path, self._read_only, self._most_bytes = path, read_only, most_bytes
        self._lock = threading.RLock()
        self._ids: dict[Series, int] = {}
        self._db: sqlite3.Connection | None = None
        self._inode = 0
        self._closed = False

    # ---- writing

    def merge(self, deltas: Deltas) -> None:
        """Adds distributions to their minutes, and to the totals of all time, which never shrink; all of them or
        none."""
        if not deltas:
            return
        totals: dict[Series, Distribution] = {}
        for (_, series), delta in deltas.items():
            totals.setdefault(series, Distribution()).merge(delta)

        def write(db: sqlite3.Connection) -> None:
            with _transaction(db):
                ids = {series: self._id(db, series) for series in totals}
                minutes = [((ids[series], minute), delta) for (minute, series), delta in deltas.items()]
                _add(db, "minutes", ("series", "minute"), minutes)
                _add(db, "totals", ("series",), [((ids[series],), delta) for series, delta in totals.items()])

        self._run(write)

    def _id(self, db: sqlite3.Connection, series: Series) -> int:
        known = self._ids.get(series)
        if known is None:
            name, labels = series[0], _encoded_labels(series[1])
            db.execute("insert or ignore into series (name, labels) values (?, ?)", (name, labels))
            row = db.execute("select id from series where name = ? and labels = ?", (name, labels)).fetchone()
            known = self._ids[series] = int(row[0])
        return known

    def remove_before(self, minute: int) -> int:
        """Deletes the minutes before `minute`, and more of the oldest while the file is larger than it may be;
        the totals stay. Returns how many rows were deleted."""

        def write(db: sqlite3.Connection) -> int:
            with _transaction(db):
                removed = db.execute("delete from minutes where minute < ?", (minute,)).rowcount
            while _size(db) > self._most_bytes:
                first, last = db.execute("select min(minute), max(minute) from minutes").fetchone()
                if first is None:
                    break
                with _transaction(db):
                    oldest = first + max(1, (last - first) // 8)
                    removed += db.execute("delete from minutes where minute < ?", (oldest,)).rowcount
            if removed:
                db.execute("pragma incremental_vacuum")
            return removed

        return self._run(write)

    # ---- reading

    def window(
        self, name: str, labels: Mapping[str, str], first_minute: int, minutes: int
    ) -> list[Distribution | None]:
        """For each of `minutes` minutes from `first_minute` on, all series of that name that carry these labels as
        one distribution; None where there is nothing."""
        together: list[Distribution | None] = [None] * minutes
        for found in self.listing(name, labels, first_minute, minutes).values():
            for number, distribution in enumerate(found):
                if distribution is not None:
                    merged = together[number]
                    if merged is None:
                        merged = together[number] = Distribution()
                    merged.merge(distribution)
        return together

    def listing(
        self, name: str | None, labels: Mapping[str, str], first_minute: int, minutes: int, step: int = 1
    ) -> dict[Series, list[Distribution | None]]:
        """Each series of that name, or of any, that carries these labels and has something in the `minutes` minutes
        from `first_minute` on: a distribution for every `step` minutes, None where there is nothing."""

        def read(db: sqlite3.Connection) -> dict[Series, list[Distribution | None]]:
            length = -(-minutes // step)
            listed: dict[Series, list[Distribution | None]] = {}
            sql = f"select minute, {_VALUES} from minutes where series = ? and minute >= ? and minute < ?"
            for series, number in self._series(db, name, labels):
                for minute, *values in db.execute(sql, (number, first_minute, first_minute + minutes)):
                    steps = listed.setdefault(series, [None] * length)
                    place = (minute - first_minute) // step
                    merged = steps[place]
                    if merged is None:
                        steps[place] = _distribution(values)
                    else:
                        merged.merge(_distribution(values))
            return listed

        return self._run(read)

    def totals(self) -> dict[Series, Distribution]:
        """Everything since the file was begun, also what `remove_before` has deleted since."""

        def read(db: sqlite3.Connection) -> dict[Series, Distribution]:
            sql = f"select name, labels, {_VALUES} from totals join series on series.id = totals.series"
            return {
                (name, tuple(sorted(_decode_labels(labels).items()))): _distribution(values)
                for name, labels, *values in db.execute(sql)
            }

        return self._run(read)

    def latest_minute(self) -> int | None:
        """The last minute that has something; None when none has."""

        def read(db: sqlite3.Connection) -> int | None:
            latest: int | None = db.execute("select max(minute) from minutes").fetchone()[0]
            return latest

        return self._run(read)

    def names(self) -> list[str]:
        """The names of all series, sorted."""
        return self._run(lambda db: [row[0] for row in db.execute("select distinct name from series order by name")])

    @staticmethod
    def _series(db: sqlite3.Connection, name: str | None, labels: Mapping[str, str]) -> Iterable[tuple[Series, int]]:
        where, bound = ("", ()) if name is None else ("where name = ?", (name,))
        wanted = labels.items()
        for number, found, text in db.execute(f"select id, name, labels from series {where}", bound).fetchall():
            have = _decode_labels(text)
            if wanted <= have.items():
                yield (found, tuple(sorted(have.items()))), number

    # ---- the file

    def close(self) -> None:
        """Closes the file; it can be used no more."""
        with self._lock:
            self._closed = True
            self._forget()

    def _run(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """What `work` returns. Where it finds the file damaged, it is done once more on a new file."""
        with self._lock:
            try:
                try:
                    return work(self._opened())
                except (sqlite3.DatabaseError, msgspec.MsgspecError, _OfAnotherVersion) as error:
                    if self._read_only or not _is_damage(error):
                        raise
                    self._move_aside(error)
                    return work(self._opened())
            except (sqlite3.Error, msgspec.MsgspecError, OSError, _OfAnotherVersion) as error:
                raise EngineUnavailable(f"{self.path} cannot be used now: {error}") from error

    def _opened(self) -> sqlite3.Connection:
        if self._closed:
            raise EngineUnavailable("the engine is stopping")
        # Another process may have moved the file aside, or a `windlass reset` removed it.
        if self._db is not None and self._inode != _inode(self.path):
            self._forget()
        if self._db is None:
            self._db = self._open()
        return self._db

    def _open(self) -> sqlite3.Connection:
        if self._read_only:
            target = f"{self.path.absolute().as_uri()}?mode=rw"
        else:
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            os.close(os.open(self.path, os.O_RDWR | os.O_CREAT, 0o600))
            target = self.path.absolute().as_uri()
        self._inode = _inode(self.path)
        db = sqlite3.connect(target, uri=True, isolation_level=None, check_same_thread=False, timeout=_BUSY_SECONDS)
        try:
            _prepare(db, read_only=self._read_only)
        except BaseException:
            db.close()
            raise
        return db

    def _forget(self) -> None:
        self._ids = {}
        if self._db is not None:
            self._db.close()
            self._db = None

    def _move_aside(self, error: Exception) -> None:
        """Makes room for a new file, unless another process has done so already."""
        self._forget()
        if _inode(self.path) != self._inode:
            return
        aside = self.path.with_name(f"{self.path.name}.damaged")
        with suppress(FileNotFoundError):
            self.path.replace(aside)
            for ending in ("-wal", "-shm"):
                self.path.with_name(self.path.name + ending).unlink(missing_ok=True)
            logger.warning("the metrics begin anew: %s (what was there is in %s)", error, aside)


def _inode(path: Path) -> int:
    """Which file is at `path`, 0 when there is none."""
    try:
        return path.stat().st_ino
    except FileNotFoundError:
        return 0


class _OfAnotherVersion(Exception):
    pass


def _prepare(db: sqlite3.Connection, *, read_only: bool) -> None:
    version = db.execute("pragma user_version").fetchone()[0]
    if version not in (0, _VERSION):
        raise _OfAnotherVersion(f"it was written by another version of Windlass (its format is {version})")
    if read_only:
        return
    if version == 0:
        db.execute("pragma auto_vacuum = incremental")  # which takes effect before the first table only
    if db.execute("pragma journal_mode").fetchone()[0] != "wal":
        db.execute("pragma journal_mode = wal")
    db.execute("pragma synchronous = normal")
    if version == 0:
        with _transaction(db):
            for statement in _SCHEMA.split(";"):
                db.execute(statement)
            db.execute(f"pragma user_version = {_VERSION}")


class _transaction:  # noqa: N801
    """A block of statements that another process sees all of, or none."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db

    def __enter__(self) -> None:
        self._db.execute("begin immediate")

    def __exit__(self, kind: type[BaseException] | None, *error: object) -> None:
        if kind is None:
            self._db.execute("commit")
        elif self._db.in_transaction:
            self._db.execute("rollback")


def _add(
    db: sqlite3.Connection, table: str, key: Sequence[str], added: Sequence[tuple[tuple[int, ...], Distribution]]
) -> None:
    """Adds each distribution to the row of its key."""
    where = " and ".join(f"{column} = ?" for column in key)
    rows = []
    for values, delta in added:
        with closing(db.execute(f"select {_VALUES} from {table} where {where}", values)) as found:
            row = found.fetchone()
        merged = delta
        if row is not None:
            merged = _distribution(row)
            merged.merge(delta)
        rows.append(
            (*values, merged.count, merged.total, merged.least, merged.greatest, _encode(merged.buckets)),
        )
    columns = ", ".join([*key, _VALUES])
    marks = ", ".join("?" * (len(key) + 5))
    db.executemany(f"insert or replace into {table} ({columns}) values ({marks})", rows)


def _distribution(values: Sequence[Any]) -> Distribution:
    made = Distribution()
    made.count, made.total, made.least, made.greatest, buckets = values
    made.buckets = _decode_buckets(buckets)
    if made.buckets and not 0 <= min(made.buckets) <= max(made.buckets) <= len(BOUNDS):
        raise msgspec.ValidationError("a distribution is malformed")
    return made


def _encoded_labels(labels: tuple[tuple[str, str], ...]) -> str:
    return msgspec.json.encode(dict(labels)).decode()


def _is_damage(error: Exception) -> bool:
    if isinstance(error, sqlite3.DatabaseError):
        text = str(error)
        return any(sign in text for sign in _DAMAGED) or "no such" in text or "has no column" in text
    return True


def _size(db: sqlite3.Connection) -> int:
    pages, free, size = (
        db.execute(f"pragma {name}").fetchone()[0] for name in ("page_count", "freelist_count", "page_size")
    )
    return int((pages - free) * size)
