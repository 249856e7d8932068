"""Which fields may be keys, and which values: DynamoDB's rules, checked before any engine is asked.

https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Constraints.html
"""

from __future__ import annotations

import difflib
import math
from typing import Any

from msgspec import inspect

from windlass.errors import DeclarationError, InvalidItem
from windlass.model.shape import Shape
from windlass.ports.table import All, AnyOf, Compare, Condition, KeyCondition, Not

__all__ = [
    "KeyRule",
    "check_apart",
    "check_key_field",
    "check_number_field",
    "check_sort_condition",
    "check_step",
    "check_ttl_field",
    "checked_condition",
    "condition_fields",
]


def _bare(kind: inspect.Type) -> tuple[inspect.Type, bool]:
    """The type without its metadata and without None, and whether None was there."""
    while isinstance(kind, inspect.Metadata):
        kind = kind.type
    if isinstance(kind, inspect.UnionType):
        parts = [part for part in kind.types if not isinstance(part, inspect.NoneType)]
        if len(parts) == 1 and len(parts) < len(kind.types):
            return _bare(parts[0])[0], True
    return kind, False


def _field(shape: Shape[Any], name: str, what: str, where: str) -> inspect.Field:
    if name not in shape.fields:
        near = difflib.get_close_matches(name, shape.fields, 1)
        raise DeclarationError(
            f"{shape.kind.__name__} has no field {name!r} to be the {what}",
            where=where,
            fix=f"did you mean {near[0]!r}?" if near else f"name one of: {', '.join(shape.fields)}",
        )
    return shape.fields[name]


def check_key_field(shape: Shape[Any], name: str, what: str, *, where: str, optional: bool = False) -> None:
    """Raises DeclarationError unless the field `name` can be a key: text or integer, and not None unless
    `optional`. UUIDs, datetimes and dates are text when stored."""
    kind, nullable = _bare(_field(shape, name, what, where).type)
    if nullable and not optional:
        raise DeclarationError(
            f"{name!r} may be None, and the {what} of a table may not", where=where, fix=f"declare {name}: str"
        )
    if not isinstance(
        kind,
        inspect.StrType
        | inspect.IntType
        | inspect.UUIDType
        | inspect.DateTimeType
        | inspect.DateType
        | inspect.EnumType
        | inspect.LiteralType,
    ):
        raise DeclarationError(
            f"{name!r} cannot be the {what}: it is neither text nor an integer", where=where, fix=f"declare {name}: str"
        )


def check_apart(key: str, sort: str, *, where: str) -> None:
    """Raises DeclarationError when the partition and the sort key are the same field."""
    if key == sort:
        raise DeclarationError(
            f"{key!r} is both the key and the sort", where=where, fix="drop sort=, or name another field"
        )


def check_number_field(shape: Shape[Any], name: str, what: str, *, where: str) -> None:
    """Raises DeclarationError unless the field `name` holds numbers."""
    kind, _ = _bare(_field(shape, name, what, where).type)
    if not isinstance(kind, inspect.IntType | inspect.FloatType) or (
        what == "version" and not isinstance(kind, inspect.IntType)
    ):
        raise DeclarationError(
            f"{name!r} cannot be used for {what}: it is not a number", where=where, fix=f"declare {name}: int = 0"
        )


def check_step(shape: Shape[Any], name: str, step: object, *, where: str) -> None:
    """Raises InvalidItem unless `step` can be added to the field `name`: a whole number where it holds those."""
    kind, _ = _bare(shape.fields[name].type)
    whole = isinstance(kind, inspect.IntType)
    if isinstance(step, bool) or not isinstance(step, int if whole else int | float):
        raise InvalidItem(
            f"{where}: add= takes a {'whole ' if whole else ''}number for {name!r}, not {step!r}", field=name
        )
    if isinstance(step, float) and not math.isfinite(step):
        raise InvalidItem(f"{where}: {step} cannot be added to {name!r}", field=name)


def check_ttl_field(shape: Shape[Any], name: str, *, where: str) -> None:
    """Raises DeclarationError unless the field `name` can be a time to live: epoch seconds as int, or a
    datetime; None means for ever."""
    kind, _ = _bare(_field(shape, name, "ttl", where).type)
    if not isinstance(kind, inspect.IntType):
        raise DeclarationError(
            f"{name!r} cannot be the ttl: it is not epoch seconds",
            where=where,
            fix=f"declare {name}: int | None = None and set it to int(time) + seconds",
        )


class KeyRule:
    """What a value of the key field `name` must be: 1 to `size` bytes of UTF-8, or an integer of 64 bits, whichever
    the field is; `number` says which. Made once, since every read and write asks."""

    __slots__ = ("_name", "_size", "_surely", "number")

    def __init__(self, shape: Shape[Any], name: str, size: int) -> None:
        kind, _ = _bare(shape.fields[name].type)
        self._name, self._size, self._surely = name, size, size // 4
        self.number = (
            isinstance(kind, inspect.IntType)
            or (isinstance(kind, inspect.EnumType) and issubclass(kind.cls, int))
            or (isinstance(kind, inspect.LiteralType) and isinstance(kind.values[0], int))
        )

    def check(self, value: object) -> None:
        """Raises InvalidItem unless `value` can be stored."""
        name = self._name
        if self.number:
            if type(value) is not int or not -(2**63) <= value < 2**63:
                raise InvalidItem(f"{name} must be a whole number of at most 64 bits", field=name)
        elif type(value) is not str:
            raise InvalidItem(f"{name} must be a text", field=name)
        elif not value:
            raise InvalidItem(f"{name} must not be empty", field=name)
        elif not value.isascii() or len(value) > self._surely:
            try:
                length = len(value.encode())
            except UnicodeEncodeError:
                raise InvalidItem(f"{name} is not valid Unicode", field=name) from None
            if length > self._size:
                raise InvalidItem(f"{name} must have at most {self._size} bytes", field=name)


def condition_fields(condition: Condition) -> set[str]:
    """The fields that `condition` reads."""
    if isinstance(condition, Compare):
        return {condition.name}
    if isinstance(condition, Not):
        return condition_fields(condition.part)
    return {name for part in condition.parts for name in condition_fields(part)}


def check_sort_condition(condition: object, *, where: str) -> None:
    """Raises DeclarationError for what is no condition on a sort key, such as its bare value."""
    if not isinstance(condition, KeyCondition):
        raise DeclarationError(
            f"sort={condition!r} is not a condition on the sort key", where=where, fix=f"sort=equal({condition!r})"
        )


def checked_condition(shape: Shape[Any], condition: Condition, *, where: str) -> Condition:
    """`condition` with its values as they are stored. Raises DeclarationError for an unknown field and
    InvalidItem for a value that cannot be compared."""
    if isinstance(condition, All):
        return All(tuple(checked_condition(shape, part, where=where) for part in condition.parts))
    if isinstance(condition, AnyOf):
        return AnyOf(tuple(checked_condition(shape, part, where=where) for part in condition.parts))
    if isinstance(condition, Not):
        return Not(checked_condition(shape, condition.part, where=where))
    if not isinstance(condition, Compare):
        raise DeclarationError(
            f"{condition!r} is not a condition", where=where, fix='write field("sla") > 20, combined with &, | and ~'
        )
    _field(shape, condition.name, "subject of a condition", where)
    value = condition.value
    if value is None and condition.op not in ("exists", "absent"):
        raise DeclarationError(
            f"{condition.name!r} is compared with None, which no value is equal to",
            where=where,
            fix=f'write field("{condition.name}").absent(), or .exists()',
        )
    if condition.op in ("between", "in"):
        value = tuple(shape.value(part) for part in value)
        if condition.op == "in" and not 1 <= len(value) <= 100:
            raise InvalidItem(f"{where}: is_in takes 1 to 100 values, not {len(value)}")
    elif condition.op not in ("exists", "absent"):
        value = shape.value(value)
    return Compare(condition.op, condition.name, value)
