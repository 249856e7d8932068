"""What an annotation says: how its author spelled it, whether JSON can carry it, whether text can."""

from __future__ import annotations

import re
from typing import Any, get_args, get_origin

import msgspec
from msgspec import inspect

from windlass.model.api import Reply
from windlass.model.signature import MISSING

__all__ = ["answer", "json_fault", "spelled", "text_fault", "with_article"]

_TEXT = (
    inspect.AnyType
    | inspect.BoolType
    | inspect.DateTimeType
    | inspect.DateType
    | inspect.DecimalType
    | inspect.EnumType
    | inspect.FloatType
    | inspect.IntType
    | inspect.LiteralType
    | inspect.NoneType
    | inspect.StrType
    | inspect.TimeDeltaType
    | inspect.TimeType
    | inspect.UUIDType
)
_LISTS = inspect.ListType | inspect.SetType | inspect.FrozenSetType | inspect.VarTupleType
_MODULE = re.compile(r"('[^']*')|(?:[\w<>]+\.)+(?=\w)")  # what a Literal quotes is left as it is


def spelled(kind: Any) -> str:
    """A type as its author wrote it: `NewTodo`, `list[str]`, `str | None`; `nothing` where there is none."""
    if kind is MISSING:
        return "nothing"
    if isinstance(kind, type) and not get_args(kind):
        return kind.__name__
    return _MODULE.sub(r"\1", str(kind))


def with_article(name: str) -> str:
    """`a Job`, `an Order`; English hears `user_pool` with a consonant."""
    return f"an {name}" if name[:1].lower() in set("aeio") else f"a {name}"


def answer(kind: Any) -> Any:
    """What a route's return type puts into the body: `Reply[T]` is T, and no annotation is Any."""
    if kind is Reply or kind is MISSING:
        return Any
    return get_args(kind)[0] if get_origin(kind) is Reply else kind


def json_fault(kind: Any) -> str | None:
    """Why JSON cannot carry a value of the type `kind` both ways; None where it can.

    A Decoder would be made for any class, only to refuse each value: a schema is not, so it is what decides.
    """
    try:
        msgspec.json.schema_components([kind])
    except (TypeError, NameError, AttributeError, ValueError) as error:
        return str(error).splitlines()[-1]
    return None


def text_fault(kind: Any, *, many: bool) -> str | None:
    """Why one text (or, where `many`, a list of texts) cannot be read as `kind`; None where it can. Only for a
    kind without a `json_fault`."""
    for part in _parts(inspect.type_info(kind)):
        # In `list[str] | None` too: a parameter that is not sent is None.
        items = _parts(part.item_type) if many and isinstance(part, _LISTS) else [part]
        if not all(isinstance(item, _TEXT) for item in items):
            return f"{spelled(kind)} is more than one text can hold"
    return None


def _parts(kind: inspect.Type) -> list[inspect.Type]:
    """The members of a union, or the one type that it is; without metadata."""
    while isinstance(kind, inspect.Metadata):
        kind = kind.type
    return [p for part in kind.types for p in _parts(part)] if isinstance(kind, inspect.UnionType) else [kind]
