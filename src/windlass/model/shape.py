"""The type of an item, a message or a body: what it may be, and its way to JSON attributes and back.

Times are kept as ISO 8601 in UTC with six decimals, so that the order of the text is the order in time on every
engine. msgspec does the work; https://jcristharif.com/msgspec/supported-types.html lists what it takes.
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import is_dataclass
from datetime import UTC, datetime
from functools import cached_property
from typing import Any, Generic, TypedDict, TypeVar, get_type_hints

import msgspec
from msgspec import inspect

from windlass.errors import DeclarationError, InvalidItem, InvalidState, Misuse
from windlass.model.type_tree import completer, types_within

__all__ = ["Shape"]

T = TypeVar("T")


class Shape(Generic[T]):
    """What is known of `kind`, a dataclass or a msgspec Struct."""

    def __init__(self, kind: type[T], *, where: str, noun: str) -> None:
        self.kind, self.where = kind, where
        given: object = kind
        if not isinstance(given, type) or not (is_dataclass(given) or issubclass(given, msgspec.Struct)):
            raise DeclarationError(
                f"{kind!r} cannot be the type of a {noun}",
                where=where,
                fix="declare a @dataclass (or a msgspec.Struct) with a type for each field",
            )
        try:
            info = inspect.type_info(kind)
            self._decoder = msgspec.json.Decoder(kind)
        except (TypeError, NameError, AttributeError) as error:
            raise DeclarationError(
                f"{kind.__name__} has a field that cannot be decoded: {error}",
                where=where,
                fix="use str, int, float, bool, datetime, Decimal, UUID, Enum, list, dict, or dataclasses of these",
            ) from error
        assert isinstance(info, inspect.DataclassType | inspect.StructType)
        self.info = info
        self._partials: dict[str, Any] = {}
        self._complete = completer(kind)

    @cached_property
    def fields(self) -> dict[str, inspect.Field]:
        """The fields by the names under which they are stored and sent."""
        return {field.encode_name: field for field in self.info.fields}

    @cached_property
    def _careful(self) -> bool:
        """Whether values need a walk: times to make canonical, floats to check."""
        return any(isinstance(kind, _CAREFUL) for kind in types_within(self.info))

    def partial(self, name: str) -> Any:
        """A type with the one field `name`, to check a value that is about to be set."""
        if name not in self._partials:
            field = next(f for f in _type_fields(self.kind) if f[0] == name)
            self._partials[name] = TypedDict("Partial", {field[0]: field[1]})  # type: ignore[operator]
        return self._partials[name]

    def encode(self, item: T) -> dict[str, Any]:
        """`item` as JSON attributes, canonical. Raises InvalidItem, also for what could not be decoded again: a
        dataclass takes any value for any field."""
        if not isinstance(item, self.kind):
            raise Misuse(f"{self.where} holds {self.kind.__name__}, not {type(item).__name__}")
        if self._complete is not None:
            self._complete(item)
        attributes: dict[str, Any] = self.value(item)
        try:
            msgspec.convert(attributes, self.kind, str_keys=True)
        except msgspec.ValidationError as error:
            raise Misuse(f"{self.where} cannot hold this {self.kind.__name__}: {error}") from error
        return attributes

    def json(self, item: T) -> bytes:
        """`item` as JSON text, of the attributes that `encode` gives. Raises as it does, and ValueError for text that
        is not Unicode."""
        if self._careful or self._complete is not None or not isinstance(item, self.kind):
            return msgspec.json.encode(self.encode(item))
        try:
            text = msgspec.json.encode(item)
            self._decoder.decode(text)
        except UnicodeError:
            raise
        except (TypeError, ValueError, OverflowError):
            return msgspec.json.encode(self.encode(item))  # which says what is wrong
        return text

    def value(self, value: object) -> Any:
        """Any value of a field as JSON types, canonical. Raises InvalidItem."""
        if not self._careful and type(value) in _PLAIN:
            return value
        try:
            if not self._careful:
                return msgspec.to_builtins(value, str_keys=True)
            return _canonical(msgspec.to_builtins(value, builtin_types=(datetime,), str_keys=True))
        except (TypeError, ValueError, OverflowError) as error:
            raise InvalidItem(f"{self.where} cannot hold this value: {error}") from error

    def decode(self, attributes: dict[str, Any]) -> T:
        """The item that `attributes` hold. Raises InvalidState when they do not fit the type."""
        try:
            item = msgspec.convert(attributes, self.kind, str_keys=True)
        except msgspec.ValidationError as error:
            raise InvalidState(
                f"an item stored in {self.where} no longer fits {self.kind.__name__}: {error}\n"
                f"  fix: give new fields a default, or migrate the stored items"
            ) from error
        if self._complete is not None:
            self._complete(item)
        return item


_CAREFUL = (inspect.DateTimeType, inspect.FloatType, inspect.AnyType, inspect.RawType)
_PLAIN = (str, int, bool, type(None))


def _canonical(value: Any) -> Any:
    kind = type(value)
    if kind is datetime:
        if value.tzinfo is None:
            raise ValueError("a datetime without a time zone; use datetime.now(UTC)")
        return value.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"
    if kind is float:
        if not math.isfinite(value):
            raise ValueError(f"{value} is not a number that JSON or DynamoDB can hold")
        return value
    if kind is dict:
        return {key: _canonical(inner) for key, inner in value.items()}
    if kind is list or kind is tuple:
        return [_canonical(inner) for inner in value]
    return value


def _type_fields(kind: Any) -> list[tuple[str, Any]]:
    """Each field's stored name and its annotation."""
    hints = get_type_hints(kind, include_extras=True)
    if issubclass(kind, msgspec.Struct):
        return [(field.encode_name, hints[field.name]) for field in msgspec.structs.fields(kind)]
    return [(field.name, hints[field.name]) for field in dataclasses.fields(kind)]
