"""JSON attributes as DynamoDB types them, and back: `3` is `{"N": "3"}`.

https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_AttributeValue.html

DynamoDB has one kind of number, a decimal one: 1.0 and 1 are the same to it. A number without a fraction comes back
as an int, which every float field takes; one with a fraction as the float that was stored.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any

import msgspec

from windlass.errors import DeclarationError, InvalidItem, InvalidState
from windlass.model.item_size import check_numbers, check_size, holdable
from windlass.model.table import MAX_PARTITION, MAX_SORT, Table
from windlass.ports.clock import Clock
from windlass.ports.table import Attributes, Compare, Key

__all__ = ["Items", "Typed", "plain", "plain_item", "typed", "typed_item"]

_encode = msgspec.json.Encoder().encode

# Of keys and times to live, which every engine holds as integers.
_LEAST, _GREATEST = -(2**63), 2**63 - 1

Typed = dict[str, Any]
"""One value with its type, the one key: `S`, `N`, `BOOL`, `NULL`, `L` or `M`."""


def typed_item(attributes: Mapping[str, Any]) -> dict[str, Typed]:
    """An item's attributes, typed. Raises InvalidItem for a number that DynamoDB cannot hold."""
    return {name: typed(value) for name, value in attributes.items()}


def typed(value: Any) -> Typed:
    """A JSON value, typed. Raises InvalidItem for a number that DynamoDB cannot hold."""
    if isinstance(value, str):
        return {"S": value}
    if value is None:
        return {"NULL": True}
    if isinstance(value, bool):
        return {"BOOL": value}
    if isinstance(value, int | float):
        return {"N": _number(value)}
    if isinstance(value, Mapping):
        return {"M": typed_item(value)}
    return {"L": [typed(part) for part in value]}


def plain_item(item: Mapping[str, Typed]) -> Attributes:
    """An item of DynamoDB as JSON attributes. Raises InvalidState for a type that Windlass never stores."""
    return {name: plain(value) for name, value in item.items()}


def plain(value: Typed) -> Any:
    """A typed value as JSON. Raises InvalidState for a type that Windlass never stores: a set, or bytes."""
    ((kind, held),) = value.items()
    match kind:
        case "S" | "BOOL":
            return held
        case "N":
            return _int_or_float(held)
        case "NULL":
            return None
        case "L":
            return [plain(part) for part in held]
        case "M":
            return plain_item(held)
    raise InvalidState(
        f"an item in DynamoDB has a value of type {kind}, which Windlass never stores\n"
        f"  fix: store a list for a set, and base64 text for bytes"
    )


def _number(value: float) -> str:
    """The digits of a number, without an exponent; of a float the fewest that are it and no other."""
    if not holdable(value):
        raise InvalidItem(f"a number is too large or has too many digits for DynamoDB: {Decimal(value):.6g}")
    if isinstance(value, int):
        return str(value)
    text = format(Decimal(repr(value)), "f")
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return "0" if text == "-0" else text


def _int_or_float(text: str) -> float:
    if text.lstrip("-").isdigit():
        return int(text)
    number = Decimal(text)
    return int(number) if number == number.to_integral_value() else float(text)


class Items:
    """The items of one table: how their attributes are stored, and what may be.

    An attribute that is None is not stored where it comes back as None anyway: where that is the field's default, and
    where it is the key of an index, which holds no item without it
    (https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/GSI.html). Raises DeclarationError for an index
    whose key may be None and is something else by default: the default would come back.
    """

    def __init__(self, model: Table[Any], clock: Clock) -> None:
        self._model, self._clock, self._where = model, clock, model.where
        self._key, self._sort, self._ttl = model.key, model.sort, model.ttl
        self._index_keys: dict[str, int] = {}
        for index in model.indexes.values():
            for name, size in ((index.index.key, MAX_PARTITION), (index.index.sort, MAX_SORT)):
                if name and name not in (model.key, model.sort):
                    self._index_keys[name] = min(size, self._index_keys.get(name, size))
        fields = model.shape.fields
        self._left_out = {name for name, field in fields.items() if field.default is None} | {*self._index_keys}
        self._put_back = [name for name in self._index_keys if fields[name].required]
        for name in self._index_keys:
            if not fields[name].required and fields[name].default is not None and self._may_be_none(name):
                raise DeclarationError(
                    f"{name!r} is the key of an index and may be None, but is something else by default: DynamoDB "
                    "could not tell the two apart",
                    where=self._where,
                    fix=f"give {name} the default None, or none at all",
                )

    def at(self, key: Key) -> dict[str, Typed]:
        """The key attributes of an item."""
        found = {self._key: typed(key.partition)}
        if self._sort is not None:
            found[self._sort] = typed(key.sort)
        return found

    def key_of(self, item: Mapping[str, Typed]) -> Key:
        """The key of a stored item."""
        return Key(plain(item[self._key]), plain(item[self._sort]) if self._sort else None)

    def stored(self, attributes: Attributes) -> Attributes:
        """`attributes` without each None that is not stored."""
        return {name: value for name, value in attributes.items() if value is not None or name not in self._left_out}

    def item(self, attributes: Attributes) -> dict[str, Typed]:
        """A whole item, to be stored. Raises InvalidItem as `check` does."""
        self.check(attributes)
        return typed_item(self.stored(attributes))

    def read(self, item: Mapping[str, Typed]) -> Attributes:
        """What a stored item holds."""
        attributes = plain_item(item)
        for name in self._put_back:
            attributes.setdefault(name, None)
        return attributes

    def live(self, item: Mapping[str, Typed] | None) -> Attributes | None:
        """What a stored item holds, None where there is none or it has expired."""
        if item is None:
            return None
        attributes = self.read(item)
        expires = attributes.get(self._ttl) if self._ttl else None
        return None if expires is not None and expires <= self._clock.now() else attributes

    def nulls(self, names: Iterable[str]) -> list[str]:
        """Those of `names` that may be stored as a null."""
        return [name for name in names if name not in self._left_out and self._may_be_none(name)]

    def check(self, attributes: Attributes) -> None:
        """Raises InvalidItem for attributes that cannot be stored: larger than an item may be, numbers out of range,
        text that is not Unicode, an index's key that is empty or too long."""
        try:
            text = _encode(attributes)
        except (ValueError, OverflowError) as error:  # not Unicode, or too many digits even for Python
            raise InvalidItem(f"an item of {self._where} cannot be stored: {error}") from None
        check_size(attributes, text, self._where)
        check_numbers(attributes, text, self._where)
        for name in (self._ttl, *self._index_keys):
            value = attributes.get(name) if name else None
            if isinstance(value, int) and not _LEAST <= value <= _GREATEST:
                raise InvalidItem(f"{name} of {self._where} must be an integer of 64 bits", field=name)
        for name, limit in self._index_keys.items():
            value = attributes.get(name)
            if value == "" or (isinstance(value, str) and len(value.encode()) > limit):
                raise InvalidItem(f"{name} is an index key: it must have 1 to {limit} bytes", field=name)

    def too_far(self, name: str, step: float) -> list[Compare]:
        """What holds of an item in which adding `step` to the attribute `name` would leave the range of keys."""
        if not step or name not in (self._ttl, *self._index_keys):
            return []
        return [Compare("gt", name, _GREATEST - step) if step > 0 else Compare("lt", name, _LEAST - step)]

    def _may_be_none(self, name: str) -> bool:
        try:
            msgspec.convert({name: None}, self._model.shape.partial(name), str_keys=True)
        except msgspec.ValidationError:
            return False
        return True
