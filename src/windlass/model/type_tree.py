"""All types inside a type, and what a decoded value of it still lacks."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any, get_origin

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
    return _complete if any(map(_may_lack, types_within(inspect.type_info(kind)))) else None


def _may_lack(kind: inspect.Type) -> bool:
    return (
        isinstance(kind, inspect.DataclassType)
        and bool((get_origin(kind.cls) or kind.cls).__dictoffset__)
        and any(field.default is not msgspec.NODEFAULT for field in kind.fields)
    )


def _complete(value: Any) -> None:
    if isinstance(value, list | tuple | set | frozenset):
        for part in value:
            _complete(part)
    elif isinstance(value, dict):
        for part in value.values():
            _complete(part)
    else:
        kind: Any = type(value)  # mypy takes no type[Any] for Hashable
        defaults, inner = _plan(kind)
        if defaults:
            held = value.__dict__
            for name, default in defaults:
                if name not in held:
                    held[name] = default
        for name in inner:
            _complete(getattr(value, name))


@cache
def _plan(kind: type[Any]) -> tuple[tuple[tuple[str, Any], ...], tuple[str, ...]]:
    """The defaults of a class that its values may lack, and the fields in which something may lack some."""
    if not (dataclasses.is_dataclass(kind) or issubclass(kind, msgspec.Struct)):
        return (), ()
    info = inspect.type_info(kind)
    assert isinstance(info, inspect.DataclassType | inspect.StructType)
    defaults = [(field.name, field.default) for field in info.fields if field.default is not msgspec.NODEFAULT]
    # The parameter of a generic class is any type here.
    inner = [
        field.name
        for field in info.fields
        if any(_may_lack(part) or isinstance(part, inspect.AnyType) for part in types_within(field.type))
    ]
    return tuple(defaults) if _may_lack(info) else (), tuple(inner)
