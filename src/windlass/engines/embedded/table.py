"""Tables in SQLite: a row for each item, its key and index keys in columns of their own, the rest as JSON."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Any, TypeVar

import msgspec

from windlass.engines.embedded.namespace import Namespace
from windlass.engines.embedded.store import Insert
from windlass.errors import Conflict, InvalidItem, InvalidState, NotFound, TransactionConflict
from windlass.model.filter import holds
from windlass.model.item_size import check_numbers, check_size
from windlass.model.table import Table
from windlass.ports.table import (
    Attributes,
    Condition,
    Delete,
    Key,
    KeyCondition,
    KeyValue,
    Put,
    Query,
    Slice,
    Update,
    Write,
)

__all__ = ["EmbeddedTable"]

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(dict[str, Any]).decode
_CHUNK = 256
T = TypeVar("T")


class _Columns:
    """The columns of the table itself or of an index that a query orders by."""

    __slots__ = ("names", "order", "partition", "sort")

    def __init__(self, partition: str, sort: str | None, order: Sequence[str], names: Sequence[str]) -> None:
        self.partition, self.sort = partition, sort
        self.order = tuple(order)
        self.names = tuple(names)


class EmbeddedTable:
    """Implements `ports.table.TablePort`."""

    def __init__(self, model: Table[Any], namespace: Namespace, siblings: dict[str, EmbeddedTable]) -> None:
        """`siblings` are the tables of the system by name, for transactions; this one adds itself."""
        self._model, self._store, self._clock = model, namespace.store, namespace.clock
        self._siblings = siblings
        siblings[model.name] = self
        self._key, self._sort, self._ttl = model.key, model.sort, model.ttl
        self._where = model.where
        self._table = f'"t.{model.system.name}.{model.name}"'
        own = [name for name in (model.key, model.sort) if name]
        order = ["p", "s"] if model.sort else ["p"]
        self._by: dict[str | None, _Columns] = {None: _Columns("p", "s" if model.sort else None, order[1:], own)}
        self._index_fields: list[tuple[str, str | None]] = []
        for index in model.indexes.values():
            n = len(self._index_fields)
            self._index_fields.append((index.index.key, index.index.sort))
            sort = f"x{n}s" if index.index.sort else None
            names = [*([index.index.sort] if index.index.sort else []), *own]
            self._by[index.name] = _Columns(f"x{n}p", sort, [*([sort] if sort else []), *order], names)
        self._prepare()
        columns = ["p", "s", "body", "expires"]
        for n in range(len(self._index_fields)):
            columns += [f"x{n}p", f"x{n}s"]
        marks = ", ".join("?" * len(columns))
        changes = ", ".join(f"{column} = excluded.{column}" for column in columns[2:])
        head, tail = f"insert into {self._table} ({', '.join(columns)}) values", "on conflict (p, s) do"
        self._put = Insert(head, len(columns), f"{tail} update set {changes}")
        self._upsert = f"{head} ({marks}) {tail} update set {changes}"
        self._insert = f"{head} ({marks}) {tail} nothing"
        self._select = f"select body, expires from {self._table} where p = ? and s = ?"
        self._remove = f"delete from {self._table} where p = ? and s = ?"

    # ---- schema

    def _prepare(self) -> None:
        """Makes the table and its index columns; fills those of an index that is new or declared otherwise."""
        layout = _encode([self._key, self._sort, self._ttl, self._index_fields]).decode()
        with self._store.atomic() as db:
            db.execute("create table if not exists layouts (name text primary key, layout text not null)")
            db.execute(
                f"create table if not exists {self._table} "
                "(p not null, s not null, body blob not null, expires integer, primary key (p, s))"
            )
            row = db.execute("select layout from layouts where name = ?", (self._table,)).fetchone()
            if row is not None and row[0] == layout:
                return
            if row is not None:
                key, sort = msgspec.json.decode(row[0])[:2]
                if (key, sort) != (self._key, self._sort):
                    raise InvalidState(
                        f"{self._where} is stored with the key ({key}, {sort}) and now declares "
                        f"({self._key}, {self._sort})\n"
                        f"  fix: give the table another name and copy the items, or empty it with `windlass reset`"
                    )
            have = {column[1] for column in db.execute(f"pragma table_info({self._table})")}
            for n in range(len(self._index_fields)):
                columns = self._by[list(self._model.indexes)[n]]
                for column in (f"x{n}p", f"x{n}s"):
                    if column not in have:
                        db.execute(f"alter table {self._table} add column {column}")
                name = f'"{self._table[1:-1]}.x{n}"'
                db.execute(f"drop index if exists {name}")
                listed = ", ".join((columns.partition, *columns.order))
                db.execute(f"create index {name} on {self._table} ({listed}) where {columns.partition} is not null")
            if row is not None:
                self._fill(db)
            db.execute("insert or replace into layouts values (?, ?)", (self._table, layout))

    def _fill(self, db: sqlite3.Connection) -> None:
        changes = ["expires = ?"]
        for n in range(len(self._index_fields)):
            changes += [f"x{n}p = ?", f"x{n}s = ?"]
        sql = f"update {self._table} set {', '.join(changes)} where p = ? and s = ?"
        for p, s, body in db.execute(f"select p, s, body from {self._table}").fetchall():
            row = self._row(Key(p, s), _decode(body), body)
            db.execute(sql, (*row[3:], p, s))

    # ---- reading

    def get(self, key: Key) -> Attributes | None:
        self._store.apply()
        row = self._store.read_one(self._select, self._at(key))
        return None if row is None or self._expired(row[1]) else _decode(row[0])

    def get_many(self, keys: Sequence[Key]) -> list[Attributes | None]:
        return [self.get(key) for key in keys]

    def query(self, query: Query) -> Slice:
        by = self._by[query.index]
        clauses, values = [f"{by.partition} = ?"], [query.partition]
        if query.sort is not None and by.sort is not None:
            clause, more = _sort_clause(by.sort, query.sort)
            clauses.append(clause)
            values += more
        return self._slice(by, clauses, values, query.where, query.limit, query.descending, query.start, query.fields)

    def scan(
        self, *, where: Condition | None, limit: int, start: Attributes | None, fields: tuple[str, ...] | None
    ) -> Slice:
        names = [name for name in (self._key, self._sort) if name]
        by = _Columns("p", None, ["p", "s"] if self._sort else ["p"], names)
        return self._slice(by, [], [], where, limit, False, start, fields)

    def _slice(
        self,
        by: _Columns,
        clauses: list[str],
        values: list[Any],
        where: Condition | None,
        limit: int,
        descending: bool,
        start: Attributes | None,
        fields: tuple[str, ...] | None,
    ) -> Slice:
        names = by.names[len(by.names) - len(by.order) :]
        direction = " desc" if descending else ""
        order = ", ".join(column + direction for column in by.order)
        found: list[Attributes] = []
        position = start
        chunk = limit + 1 if where is None else max(limit + 1, _CHUNK)
        self._store.apply()
        while True:
            parts, given = ["(expires is null or expires > ?)", *clauses], [self._clock.now(), *values]
            if position is not None and by.order:
                parts.append(f"({', '.join(by.order)}) {'<' if descending else '>'} ({', '.join('?' * len(by.order))})")
                given += [position[name] for name in names]
            elif position is not None:
                break  # one item at most has this key, and it was seen
            sql = f"select body from {self._table} where {' and '.join(parts)}"
            if order:
                sql += f" order by {order}"
            rows = self._store.read(f"{sql} limit ?", (*given, chunk))
            for row in rows:
                attributes = _decode(row[0])
                if where is None or holds(where, attributes):
                    found.append(attributes)
                    if len(found) > limit:
                        break
            if len(found) > limit or len(rows) < chunk:
                break
            position = _decode(rows[-1][0])
        more = len(found) > limit
        items = found[:limit]
        positions = None
        if items:
            first, last = ({name: item[name] for name in by.names} for item in (items[0], items[-1]))
            positions = (first, last)
        if fields is not None:
            items = [{name: item[name] for name in fields if name in item} for item in items]
        return Slice(items, positions, more)

    # ---- writing

    def write(self, write: Put | Update | Delete) -> Attributes | None:
        if type(write) is Put:
            row = self._row(write.key, write.attributes)
            if write.when is None:
                self._store.defer(self._put, [row])
                return write.attributes
            self._store.apply()
            if write.when is self._model.absent and self._store.execute(self._insert, row):
                return write.attributes
        self._store.apply()
        with self._store.write() as db:
            return self._apply(db, write)

    def write_many(self, writes: Sequence[Put | Delete]) -> None:
        if all(type(write) is Put and write.when is None for write in writes):
            self._store.defer(self._put, [self._row(put.key, put.attributes) for put in writes if type(put) is Put])
            return
        self._store.apply()
        with self._store.atomic() as db:
            for write in writes:
                self._apply(db, write)

    def transact(self, writes: Sequence[tuple[str, Write]]) -> None:
        reasons: list[str | None] = []
        self._store.apply()
        with self._store.atomic() as db:
            for name, write in writes:
                try:
                    self._siblings[name]._apply(db, write)
                    reasons.append(None)
                except (Conflict, NotFound) as error:
                    reasons.append(error.detail)
            if any(reasons):
                told = "; ".join(f"write {n + 1}: {reason}" for n, reason in enumerate(reasons) if reason)
                raise TransactionConflict(f"the transaction was refused: {told}", reasons)

    def _apply(self, db: sqlite3.Connection, write: Write) -> Attributes | None:
        at = self._at(write.key)
        row = db.execute(self._select, at).fetchone()
        held: Attributes | None = None if row is None or self._expired(row[1]) else _decode(row[0])
        if held is None and isinstance(write, Update) and write.default is None:
            raise NotFound(f"{self._model.name} has no item with this key")
        if write.when is not None and not holds(write.when, held or {}):
            raise Conflict(self._refusal(write, held))
        if isinstance(write, Put):
            db.execute(self._upsert, self._row(write.key, write.attributes))
            return write.attributes
        if isinstance(write, Update):
            changed = _changed(write, held if held is not None else write.default or {})
            db.execute(self._upsert, self._row(write.key, changed))
            return changed
        if isinstance(write, Delete) and row is not None:
            db.execute(self._remove, at)
        return held

    def _refusal(self, write: Write, held: Attributes | None) -> str:
        if held is not None and write.when is self._model.absent:
            return f"{self._model.name} has an item with this key already"
        return f"the condition on the item of {self._model.name} does not hold"

    # ---- rows

    def _at(self, key: Key) -> tuple[KeyValue, KeyValue]:
        return (key.partition, "" if key.sort is None else key.sort)

    def _row(self, key: Key, attributes: Attributes, body: bytes | None = None) -> tuple[Any, ...]:
        if body is None:
            try:
                body = _encode(attributes)
            except (ValueError, OverflowError) as error:  # not Unicode, or too many digits even for Python
                raise InvalidItem(f"an item of {self._where} cannot be stored: {error}") from None
            check_size(attributes, body, self._where)
            check_numbers(attributes, body, self._where)
        expires = attributes.get(self._ttl) if self._ttl else None
        self._check_integer(expires, self._ttl)
        row: list[Any] = [*self._at(key), body, expires]
        for name, sort in self._index_fields:
            partition, by = attributes.get(name), attributes.get(sort) if sort else None
            for value, limit, field in ((partition, 2048, name), (by, 1024, sort)):
                self._check_integer(value, field)
                if value == "" or (isinstance(value, str) and len(value.encode()) > limit):
                    raise InvalidItem(f"{field} is an index key: it must have 1 to {limit} bytes", field=field)
            listed = partition is not None and (sort is None or by is not None)
            row += [partition, by] if listed else [None, None]
        return tuple(row)

    def _check_integer(self, value: Any, field: str | None) -> None:
        """SQLite has integers of 64 bits; one that is larger would fail at the commit, with all that is beside it."""
        if isinstance(value, int) and not -(2**63) <= value < 2**63:
            raise InvalidItem(f"{field} of {self._where} must be an integer of 64 bits", field=field)

    def _expired(self, expires: float | None) -> bool:
        return expires is not None and expires <= self._clock.now()

    def remove_expired(self) -> int:
        """Deletes what the time to live ended; returns how many items."""
        if not self._ttl:
            return 0
        self._store.apply()
        with self._store.write() as db:
            sql = f"delete from {self._table} where expires <= ?"
            return db.execute(sql, (self._clock.now(),)).rowcount


def _changed(update: Update, held: Attributes) -> Attributes:
    changed = {**held, **update.set}
    for name, step in update.add.items():
        changed[name] = (changed.get(name) or 0) + step
    for name in update.remove:
        changed.pop(name, None)
    return changed


def _sort_clause(column: str, condition: KeyCondition) -> tuple[str, list[KeyValue]]:
    low, high = condition.low, condition.high
    if condition.op == "between":
        assert high is not None
        return f"{column} between ? and ?", [low, high]
    if condition.op == "begins_with":
        assert isinstance(low, str)
        after = _after_prefix(low)
        return (f"{column} >= ?", [low]) if after is None else (f"{column} >= ? and {column} < ?", [low, after])
    sign = {"equal": "=", "less": "<", "less_equal": "<=", "greater": ">", "greater_equal": ">="}[condition.op]
    return f"{column} {sign} ?", [low]


def _after_prefix(prefix: str) -> str | None:
    """The least text after all that begin with `prefix`, None when there is none. SQLite compares UTF-8 bytes,
    whose order is that of the code points."""
    for end in range(len(prefix) - 1, -1, -1):
        code = ord(prefix[end])
        if code < 0x10FFFF:
            following = 0xE000 if code == 0xD7FF else code + 1
            return prefix[:end] + chr(following)
    return None
