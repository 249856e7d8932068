"""A table: items with a partition key, perhaps a sort key, and secondary indexes."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, NoReturn, TypeVar

import msgspec

from windlass.errors import (
    BadRequest,
    Conflict,
    DeclarationError,
    InvalidItem,
    InvalidState,
    Misuse,
    TransactionConflict,
)
from windlass.model import cursor
from windlass.model.index import Index, TableIndex, check_indexes
from windlass.model.keys import (
    KeyRule,
    check_apart,
    check_key_field,
    check_number_field,
    check_sort_condition,
    check_step,
    check_ttl_field,
    checked_condition,
)
from windlass.model.resource import Resource, operation
from windlass.model.shape import Shape
from windlass.model.transaction import TableWrite, transact
from windlass.ports.binding import current, port
from windlass.ports.table import (
    All,
    Attributes,
    Check,
    Compare,
    Condition,
    Delete,
    Key,
    KeyCondition,
    KeyValue,
    Put,
    Query,
    Slice,
    TablePort,
    Update,
)

if TYPE_CHECKING:
    from windlass.model.system import System

__all__ = ["Page", "Table"]

T = TypeVar("T")

MAX_PAGE = 1000
MAX_PARTITION = 2048
MAX_SORT = 1024


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """Part of an answer. `next` and `previous` are cursors to pass as `after=`, or None at either end."""

    items: list[T]
    next: str | None = None
    previous: str | None = None


class Table(Resource, Generic[T]):
    """Declared with `system.table(name, Item, key="owner", sort="id")`.

    `key` and `sort` name fields of type str or int. `ttl` names an int field with the epoch seconds after
    which an item is absent (None: never). `version` names an int field for optimistic locking: a put must carry the
    stored version (0 for a new item) and returns the item with the next one.
    """

    noun = "table"

    def __init__(
        self,
        system: System,
        name: str,
        item: type[T],
        *,
        key: str,
        sort: str | None = None,
        indexes: Mapping[str, Index] | None = None,
        ttl: str | None = None,
        version: str | None = None,
    ) -> None:
        super().__init__(system, name)
        self.shape = Shape(item, where=self.where, noun="table")
        self.item, self.key, self.sort, self.ttl, self.version = item, key, sort, ttl, version
        check_key_field(self.shape, key, "key", where=self.where)
        if sort is not None:
            check_key_field(self.shape, sort, "sort", where=self.where)
            check_apart(key, sort, where=self.where)
        if ttl is not None:
            check_ttl_field(self.shape, ttl, where=self.where)
        if version is not None:
            check_number_field(self.shape, version, "version", where=self.where)
        self.absent = Compare("absent", key)
        self._rules: dict[tuple[str, int], KeyRule] = {}
        self.indexes: dict[str, TableIndex[T]] = {}
        check_indexes(indexes or {}, where=self.where)
        for index_name, index in (indexes or {}).items():
            made = TableIndex(self, index_name, index)
            where = f"{self.where}.{index_name}"
            check_key_field(self.shape, index.key, "key of an index", where=where, optional=True)
            if index.sort is not None:
                check_key_field(self.shape, index.sort, "sort of an index", where=where, optional=True)
                check_apart(index.key, index.sort, where=where)
            for kept in index.fields or ():
                self._check_field(kept, where)
            if index.fields is not None:
                self._check_required([*made.key_names(), *index.fields], where)
            self.indexes[index_name] = made

    def index(self, name: str) -> TableIndex[T]:
        """The index `name`, to query it and to grant that. Raises DeclarationError for an unknown one."""
        try:
            return self.indexes[name]
        except KeyError:
            near = difflib.get_close_matches(name, self.indexes, 1)
            known = ", ".join(self.indexes) or "none"
            raise DeclarationError(
                f"the table has no index {name!r} (it has: {known})",
                where=self.where,
                fix=f"did you mean {near[0]!r}?" if near else f'declare indexes={{"{name}": Index(key="...")}}',
            ) from None

    # ---- reading

    @operation
    def get(self, partition: KeyValue, sort: KeyValue | None = None) -> T | None:
        """The item with this key, as it is after every write answered before; None when there is none."""
        table: TablePort = port(self.name, "get")
        attributes = table.get(self._key(partition, sort))
        return None if attributes is None else self.shape.decode(attributes)

    @operation
    def get_many(self, keys: Iterable[KeyValue | tuple[KeyValue, KeyValue]]) -> list[T | None]:
        """The items with these keys, in the order of the keys; None where there is none."""
        table: TablePort = port(self.name, "get_many")
        wanted = [self._key(*key) if isinstance(key, tuple) else self._key(key) for key in keys]
        return [None if found is None else self.shape.decode(found) for found in table.get_many(wanted)]

    @operation
    def query(
        self,
        partition: KeyValue,
        *,
        sort: KeyCondition | None = None,
        where: Condition | None = None,
        limit: int = 50,
        descending: bool = False,
        after: str | None = None,
        fields: Sequence[str] | None = None,
    ) -> Page[T]:
        """A page of the items of one partition, in the order of the sort key.

        `sort` narrows by the sort key (`between(a, b)`, `begins_with("x")`, ...); `where` filters what was read;
        `limit` (1 to 1000) counts the items returned; `after` is a cursor of an earlier page of the same query.
        With `fields`, only those attributes are read, and fields that are left out take their defaults: a field
        without a default must be among them. Raises BadRequest for a forged cursor.
        """
        return self._page(port(self.name, "query"), None, partition, sort, where, limit, descending, after, fields)

    @operation
    def scan(
        self,
        *,
        where: Condition | None = None,
        limit: int = 50,
        after: str | None = None,
        fields: Sequence[str] | None = None,
    ) -> Page[T]:
        """A page of all items, in an order that means nothing. It reads the whole table, page by page: for
        exports and repairs, not for requests."""
        table: TablePort = port(self.name, "scan")
        self._check_limit(limit)
        scope = f"{self.system.name}/{self.name}/scan"
        start = None if after is None else cursor.verify(current().signing_key, scope, after)[0]
        found = table.scan(where=self._condition(where), limit=limit, start=start, fields=self._fields(fields))
        items = [self.shape.decode(item) for item in found.items]
        following = None
        if found.more and found.positions:
            following = cursor.sign(current().signing_key, scope, found.positions[1], backward=False)
        return Page(items, following)

    # ---- writing

    @operation
    def put(self, item: T, *, if_absent: bool = False, when: Condition | None = None) -> T:
        """Stores `item` whole; returns it, with its next version where the table has one.

        With `if_absent`, raises Conflict when the key is taken; with `when`, when the stored item does not meet
        the condition; with a version, when the stored version is not the item's. An item is at most 400 KB, as
        DynamoDB counts it: more raises InvalidItem.
        """
        table: TablePort = port(self.name, "put")
        write, stored = self._put(item, if_absent, when)
        try:
            table.write(write)
        except Conflict as error:
            if self.version and not if_absent and when is None:
                raise Conflict(f"the item of {self.name} was changed meanwhile; read it again and repeat") from error
            raise
        return stored

    @operation
    def put_many(self, items: Iterable[T]) -> None:
        """Stores all `items`, in any order and not as one unit. With a version field, use `put` or `transact`."""
        table: TablePort = port(self.name, "put_many")
        if self.version:
            raise Misuse(f"{self.where} keeps versions, which put_many cannot check; use put or transact")
        table.write_many([self._put(item, False, None)[0] for item in items])

    @operation
    def update(
        self,
        partition: KeyValue,
        sort: KeyValue | None = None,
        *,
        set: Mapping[str, Any] | None = None,
        add: Mapping[str, int | float] | None = None,
        remove: Sequence[str] = (),
        when: Condition | None = None,
        default: T | None = None,
    ) -> T:
        """Changes some fields in one atomic step and returns the item as it is then.

        `set` gives new values, `add` sums numbers (the way to count), `remove` puts fields back to their
        defaults. An absent item raises NotFound, unless `default` is what it starts as. Raises Conflict when
        `when` does not hold.
        """
        table: TablePort = port(self.name, "update")
        changed = table.write(self._update(self._key(partition, sort), set, add, remove, when, default))
        if changed is None:
            raise InvalidState(f"{self.where}: an update returned no item")
        return self.shape.decode(changed)

    @operation
    def delete(self, partition: KeyValue, sort: KeyValue | None = None, *, when: Condition | None = None) -> T | None:
        """Removes an item and returns what it was, None when there was none. Raises Conflict when `when` does
        not hold."""
        table: TablePort = port(self.name, "delete")
        removed = table.write(Delete(self._key(partition, sort), self._condition(when)))
        return None if removed is None else self.shape.decode(removed)

    @operation
    def delete_many(self, keys: Iterable[KeyValue | tuple[KeyValue, KeyValue]]) -> None:
        """Removes the items with these keys, in any order and not as one unit."""
        table: TablePort = port(self.name, "delete_many")
        wanted = [self._key(*key) if isinstance(key, tuple) else self._key(key) for key in keys]
        table.write_many([Delete(key) for key in wanted])

    @operation
    def check(self, partition: KeyValue, sort: KeyValue | None = None, *, when: Condition) -> None:
        """Raises Conflict unless the stored item meets `when`; an absent item has no attributes.

        Mostly for transactions (`to_check`), where nothing can change between the check and the writes.
        """
        self._run_transaction([self.to_check(partition, sort, when=when)])

    # ---- writes for `transact`

    def to_put(self, item: T, *, if_absent: bool = False, when: Condition | None = None) -> TableWrite:
        """`put` as part of a transaction."""
        return TableWrite(self.name, "put", self._put(item, if_absent, when)[0])

    def to_update(
        self,
        partition: KeyValue,
        sort: KeyValue | None = None,
        *,
        set: Mapping[str, Any] | None = None,
        add: Mapping[str, int | float] | None = None,
        remove: Sequence[str] = (),
        when: Condition | None = None,
        default: T | None = None,
    ) -> TableWrite:
        """`update` as part of a transaction."""
        update = self._update(self._key(partition, sort), set, add, remove, when, default)
        return TableWrite(self.name, "update", update)

    def to_delete(
        self, partition: KeyValue, sort: KeyValue | None = None, *, when: Condition | None = None
    ) -> TableWrite:
        """`delete` as part of a transaction."""
        return TableWrite(self.name, "delete", Delete(self._key(partition, sort), self._condition(when)))

    def to_check(self, partition: KeyValue, sort: KeyValue | None = None, *, when: Condition) -> TableWrite:
        """`check` as part of a transaction."""
        condition = self._condition(when)
        assert condition is not None
        return TableWrite(self.name, "check", Check(self._key(partition, sort), condition))

    # ---- inside

    def _run_transaction(self, writes: Sequence[TableWrite]) -> None:
        try:
            transact(*writes)
        except TransactionConflict as error:
            raise Conflict("the condition does not hold") from error

    def _key(self, partition: KeyValue, sort: KeyValue | None = None) -> Key:
        self._rule(self.key).check(partition)
        if self.sort is not None:
            self._rule(self.sort, MAX_SORT).check(sort)
        elif sort is not None:
            raise Misuse(f"{self.where} has no sort key, but one was given")
        return Key(partition, sort)

    def is_number(self, field: str) -> bool:
        """Whether a field that is a key holds whole numbers, rather than text."""
        return self._rule(field).number

    def _rule(self, name: str, size: int = MAX_PARTITION) -> KeyRule:
        rule = self._rules.get((name, size))
        if rule is None:
            rule = self._rules[name, size] = KeyRule(self.shape, name, size)
        return rule

    def _key_of(self, attributes: Attributes) -> Key:
        return self._key(attributes[self.key], attributes[self.sort] if self.sort else None)

    def _put(self, item: T, if_absent: bool, when: Condition | None) -> tuple[Put, T]:
        attributes = self.shape.encode(item)
        key = self._key_of(attributes)
        conditions = [self._condition(when)] if when is not None else []
        if if_absent:
            conditions.append(self.absent)
        stored = item
        if self.version:
            held = attributes[self.version]
            conditions.append(Compare("eq", self.version, held) if held else self.absent)
            attributes[self.version] = held + 1
            stored = self.shape.decode(attributes)
        parts = tuple(c for c in conditions if c is not None)
        return Put(key, attributes, parts[0] if len(parts) == 1 else All(parts) if parts else None), stored

    def _update(
        self,
        key: Key,
        set: Mapping[str, Any] | None,
        add: Mapping[str, int | float] | None,
        remove: Sequence[str],
        when: Condition | None,
        default: T | None,
    ) -> Update:
        set, add = dict(set or {}), dict(add or {})
        touched = [*set, *add, *remove]
        for name in touched:
            self._check_field(name, self.where)
            if name in (self.key, self.sort):
                raise Misuse(f"{self.where}: {name!r} is part of the key, which an update cannot change")
        if not touched:
            raise Misuse(f"{self.where}: an update that changes nothing; give set=, add= or remove=")
        if len({*touched}) != len(touched):
            raise Misuse(f"{self.where}: an update names a field twice")
        for name in remove:
            if self.shape.fields[name].required:
                raise Misuse(f"{self.where}: {name!r} has no default, so it cannot be removed")
        for name, step in add.items():
            check_number_field(self.shape, name, "add", where=self.where)
            check_step(self.shape, name, step, where=self.where)
        if self.version and self.version not in touched:
            add[self.version] = 1
        start = None
        if default is not None:
            start = self.shape.encode(default)
            if self._key_of(start) != key:
                raise Misuse(f"{self.where}: default= has another key than the item to update")
        values = {name: self._field_value(name, value) for name, value in set.items()}
        return Update(key, values, add, tuple(remove), self._condition(when), start)

    def _field_value(self, name: str, value: Any) -> Any:
        encoded = self.shape.value(value)
        try:
            msgspec.convert({name: encoded}, self.shape.partial(name), str_keys=True)
        except msgspec.ValidationError as error:
            raise InvalidItem(f"{self.where}: {error}", field=name) from error
        return encoded

    def _page(
        self,
        table: TablePort,
        index: TableIndex[T] | None,
        partition: KeyValue,
        sort: KeyCondition | None,
        where: Condition | None,
        limit: int,
        descending: bool,
        after: str | None,
        fields: Sequence[str] | None,
    ) -> Page[T]:
        self._check_limit(limit)
        key, sort_name = (index.index.key, index.index.sort) if index else (self.key, self.sort)
        self._rule(key).check(partition)
        if sort is not None:
            self._check_sort(sort, sort_name)
        scope = "/".join(
            (self.system.name, index.address if index else self.name, repr(partition), repr(sort), repr(descending))
        )
        signing_key = current().signing_key
        start, backward = (None, False) if after is None else cursor.verify(signing_key, scope, after)
        found: Slice = table.query(
            Query(
                partition,
                index=index.name if index else None,
                sort=sort,
                where=self._condition(where),
                limit=limit,
                descending=descending != backward,
                start=start,
                fields=self._fields(fields),
            )
        )
        rows = found.items[::-1] if backward else found.items
        page_items = [self.shape.decode(item) for item in rows]
        if found.positions is None:
            return Page(page_items)
        first, last = found.positions[::-1] if backward else found.positions
        has_next = backward or found.more
        has_previous = found.more if backward else after is not None
        return Page(
            page_items,
            cursor.sign(signing_key, scope, last, backward=False) if has_next else None,
            cursor.sign(signing_key, scope, first, backward=True) if has_previous else None,
        )

    def _check_sort(self, sort: KeyCondition, sort_name: str | None) -> None:
        if sort_name is None:
            raise Misuse(f"{self.where}: a condition on a sort key, but there is none here")
        check_sort_condition(sort, where=self.where)
        self._rule(sort_name, MAX_SORT).check(sort.low)
        if sort.op == "between":
            self._rule(sort_name, MAX_SORT).check(sort.high)
        if sort.op == "begins_with" and not isinstance(sort.low, str):
            raise Misuse(f"{self.where}: begins_with needs a text, and {sort_name!r} is a number")

    @staticmethod
    def _check_limit(limit: int) -> None:
        if not 1 <= limit <= MAX_PAGE:
            raise BadRequest(f"limit must be from 1 to {MAX_PAGE}", field="limit")

    def _check_field(self, name: str, where: str) -> None:
        if name not in self.shape.fields:
            near = difflib.get_close_matches(name, self.shape.fields, 1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            _refuse_field(f"{self.shape.kind.__name__} has no field {name!r}{hint}", where)

    def _condition(self, condition: Condition | None) -> Condition | None:
        return None if condition is None else checked_condition(self.shape, condition, where=self.where)

    def _fields(self, fields: Sequence[str] | None) -> tuple[str, ...] | None:
        if fields is None:
            return None
        for name in fields:
            self._check_field(name, self.where)
        self._check_required(fields, self.where)
        return tuple(dict.fromkeys(fields))

    def _check_required(self, fields: Sequence[str], where: str) -> None:
        missing = [n for n, f in self.shape.fields.items() if f.required and n not in fields]
        if missing:
            raise DeclarationError(
                f"fields leaves out {', '.join(missing)}, which {self.shape.kind.__name__} requires",
                where=where,
                fix="name them too, or give them defaults",
            )


def _refuse_field(summary: str, where: str) -> NoReturn:
    raise DeclarationError(summary, where=where, fix="name a field of the item's type, as it is stored")
