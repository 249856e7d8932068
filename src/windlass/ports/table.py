"""The port of a table: keys, conditions, writes and queries as plain data.

Attributes are JSON types only. What may be a key, and the sizes, are DynamoDB's:
https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Constraints.html
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, NamedTuple, NoReturn, Protocol, cast

import msgspec

from windlass.errors import DeclarationError

__all__ = [
    "All",
    "AnyOf",
    "Attributes",
    "Check",
    "Compare",
    "Condition",
    "Delete",
    "Key",
    "KeyCondition",
    "KeyValue",
    "Not",
    "Put",
    "Query",
    "Slice",
    "TablePort",
    "Update",
    "Write",
]

Attributes = dict[str, Any]
KeyValue = str | int


class Key(NamedTuple):
    """A partition key value and, where the table has one, a sort key value."""

    partition: KeyValue
    sort: KeyValue | None = None


class KeyCondition(msgspec.Struct, frozen=True):
    """A condition on the sort key. `high` is for `between`, whose two ends are included."""

    op: Literal["equal", "less", "less_equal", "greater", "greater_equal", "between", "begins_with"]
    low: KeyValue
    high: KeyValue | None = None


class _Combinable:
    """What all conditions share: `&`, `|` and `~`, and that they are neither true nor false by themselves."""

    __slots__ = ()

    def __bool__(self) -> NoReturn:
        # `a and b` would silently be `b`, and `0 < field("x") < 9` its second half.
        raise DeclarationError(
            "a condition is neither true nor false until it is compared with an item",
            fix='combine conditions with &, | and ~, each in brackets: (field("a") == 1) & (field("b") == 2)',
        )

    def __and__(self, other: Condition) -> All:
        return All((cast("Condition", self), other))

    def __or__(self, other: Condition) -> AnyOf:
        return AnyOf((cast("Condition", self), other))

    def __invert__(self) -> Not:
        return Not(cast("Condition", self))


class Compare(_Combinable, msgspec.Struct, frozen=True):
    """One test on one top-level attribute. An absent attribute fails every test but `absent` and `ne`."""

    op: Literal["eq", "ne", "lt", "le", "gt", "ge", "between", "begins_with", "contains", "in", "exists", "absent"]
    name: str
    value: Any = None


class All(_Combinable, msgspec.Struct, frozen=True):
    """Every part holds."""

    parts: tuple[Condition, ...]


class AnyOf(_Combinable, msgspec.Struct, frozen=True):
    """At least one part holds."""

    parts: tuple[Condition, ...]


class Not(_Combinable, msgspec.Struct, frozen=True):
    """The part does not hold."""

    part: Condition


Condition = Compare | All | AnyOf | Not


class Put(msgspec.Struct, frozen=True):
    """Writes the whole item; `when` is tested against the stored one (an absent item has no attributes)."""

    key: Key
    attributes: Attributes
    when: Condition | None = None


class Update(msgspec.Struct, frozen=True):
    """Changes some attributes of an item. `default` holds what an absent item starts as; without it, an absent
    item raises NotFound. `add` sums numbers."""

    key: Key
    set: Attributes = msgspec.field(default_factory=dict)
    add: dict[str, int | float] = msgspec.field(default_factory=dict)
    remove: tuple[str, ...] = ()
    when: Condition | None = None
    default: Attributes | None = None


class Delete(msgspec.Struct, frozen=True):
    """Removes an item; removing an absent one is not an error unless `when` says so."""

    key: Key
    when: Condition | None = None


class Check(msgspec.Struct, frozen=True):
    """Changes nothing; inside a transaction, refuses it unless `when` holds."""

    key: Key
    when: Condition


Write = Put | Update | Delete | Check


class Query(msgspec.Struct, frozen=True):
    """Items of one partition of the table or of an index, in sort key order.

    `start` is the position after which to go on: the key attributes of the last item seen. `fields` names the
    top-level attributes to return (None: all). `limit` counts the items returned, after `where`.
    """

    partition: KeyValue
    index: str | None = None
    sort: KeyCondition | None = None
    where: Condition | None = None
    limit: int = 50
    descending: bool = False
    start: Attributes | None = None
    fields: tuple[str, ...] | None = None


class Slice(msgspec.Struct, frozen=True):
    """Part of a query's answer. `positions` holds the key attributes of the first and the last item, so that a
    cursor can be made even when `fields` left the keys out; `more` says whether items follow."""

    items: list[Attributes]
    positions: tuple[Attributes, Attributes] | None
    more: bool


class TablePort(Protocol):
    """What an engine does for one table. Items whose time to live has passed are absent everywhere."""

    def get(self, key: Key) -> Attributes | None: ...

    def get_many(self, keys: Sequence[Key]) -> list[Attributes | None]: ...

    def write(self, write: Put | Update | Delete) -> Attributes | None:
        """Applies one write. Returns what is stored now, or for a Delete what was stored (None: nothing was).
        Raises Conflict, NotFound, InvalidItem."""
        ...

    def write_many(self, writes: Sequence[Put | Delete]) -> None:
        """Applies writes without conditions, in any order, not as one unit."""
        ...

    def transact(self, writes: Sequence[tuple[str, Write]]) -> None:
        """Applies all or none; each write names its table, of the same system. Raises TransactionConflict."""
        ...

    def query(self, query: Query) -> Slice: ...

    def scan(
        self, *, where: Condition | None, limit: int, start: Attributes | None, fields: tuple[str, ...] | None
    ) -> Slice:
        """Items of all partitions, in an order that is stable but means nothing."""
        ...
