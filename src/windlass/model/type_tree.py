"""All types inside a type, and what a decoded value of it still lacks."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

import msgspec
from msgspec import inspect

__all__ = ["completer", "types_within"]


def types_within(kind: inspect.Type) -> Iterator[inspect.Type]:
    """`kind` and every type that it is made of, each once."""
    seen: set[int] = set()
    left = [kind]
    while left:
        found = left.pop()
        if id(found) in seen:
            continue
        seen.add(id(found))
        yield found
        left += _parts(found)


def _parts(kind: inspect.Type) -> list[inspect.Type]:
    match kind:
        case inspect.Metadata():
            return [kind.type]
        case inspect.UnionType():
            return list(kind.types)
        case inspect.DictType():
            return [kind.key_type, kind.value_type]
        case inspect.TupleType():
            return list(kind.item_types)
        case inspect.CollectionType():
            return [kind.item_type]
        case inspect.DataclassType() | inspect.StructType() | inspect.TypedDictType() | inspect.NamedTupleType():
            return [field.type for field in kind.fields]
    return []


def completer(kind: Any) -> Callable[[Any], None] | None:
    """What gives decoded values of `kind` the defaults that they lack; None when nothing can lack any.

    msgspec leaves a default of a dataclass without slots where it is, on the class, and then does not encode it
    again: the attribute would be missing in the stored item and in the answer.
    """
    for found in types_within(inspect.type_info(kind)):
        if (
            isinstance(found, inspect.DataclassType)
            and found.cls.__dictoffset__
            and any(field.default is not msgspec.NODEFAULT for field in found.fields)
        ):
            return _complete
    return None


def _complete(value: Any) -> None:
    if isinstance(value, list | tuple | set | frozenset):
        for part in value:
            _complete(part)
    elif isinstance(value, dict):
        for part in value.values():
            _complete(part)
    else:
        held = getattr(value, "__dict__", {})
        kind: Any = type(value)  # mypy takes no type[Any] for Hashable
        for name in _field_names(kind):
            part = getattr(value, name)
            held.setdefault(name, part)
            _complete(part)


@cache
def _field_names(kind: type[Any]) -> tuple[str, ...]:
    if dataclasses.is_dataclass(kind):
        return tuple(field.name for field in dataclasses.fields(kind))
    if issubclass(kind, msgspec.Struct):
        return kind.__struct_fields__
    return ()
