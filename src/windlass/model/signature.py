"""What a handler's parameters are bound to, read from its signature once.

A route's parameter is bound by its name and type: a name in the path; `body`; a `Caller` or `Request` by its
type; a header where it says `Annotated[str, Header("x-name")]`; everything else comes from the query string.
"""

from __future__ import annotations

import inspect
import types
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

import msgspec

from windlass.errors import DeclarationError
from windlass.ports.api import Caller, Request

__all__ = ["MISSING", "Header", "Parameter", "QueryName", "Source", "parameters", "return_type", "without_none"]

Source = Literal["path", "query", "header", "body", "caller", "request"]
MISSING: Any = inspect.Parameter.empty


@dataclass(frozen=True, slots=True)
class Header:
    """In `Annotated[str | None, Header("idempotency-key")]`: binds a parameter to a request header."""

    name: str


@dataclass(frozen=True, slots=True)
class QueryName:
    """In `Annotated[str | None, QueryName("from")]`: the name of a query field that Python cannot spell."""

    name: str


class Parameter(msgspec.Struct, frozen=True):
    """One parameter: where its value comes from, under which name it is sent, its type, and its default
    (`MISSING` when it must be sent)."""

    name: str
    source: Source
    wire_name: str
    kind: Any
    default: Any

    @property
    def required(self) -> bool:
        return self.default is MISSING


def without_none(kind: Any) -> tuple[Any, bool]:
    """`kind` without None, and whether it had it: `str | None` gives `(str, True)`."""
    bare = get_args(kind)[0] if get_origin(kind) is Annotated else kind
    if get_origin(bare) in (Union, types.UnionType):
        parts = [part for part in get_args(bare) if part is not type(None)]
        if len(parts) < len(get_args(bare)) and len(parts) == 1:
            return parts[0], True
    return kind, False


def _hints(function: Callable[..., Any], where: str) -> dict[str, Any]:
    try:
        return get_type_hints(function, include_extras=True)
    except (NameError, TypeError) as error:
        raise DeclarationError(
            f"an annotation cannot be read: {error}",
            where=where,
            fix="import the type at the top of the module, not only under TYPE_CHECKING",
        ) from error


def return_type(function: Callable[..., Any], *, where: str) -> Any:
    """The annotated return type, `MISSING` where there is none."""
    return _hints(function, where).get("return", MISSING)


def parameters(function: Callable[..., Any], path_names: frozenset[str], *, where: str) -> tuple[Parameter, ...]:
    """The parameters of a route's handler. Raises DeclarationError for one that cannot be bound or decoded."""
    hints = _hints(function, where)
    found = []
    for parameter in inspect.signature(function).parameters.values():
        found.append(_parameter(parameter, hints, path_names, where))
    missing = path_names - {parameter.name for parameter in found if parameter.source == "path"}
    if missing:
        raise DeclarationError(
            f"the path has {{{', '.join(sorted(missing))}}}, which the function does not take",
            where=where,
            fix=f"add a parameter `{sorted(missing)[0]}: str`",
        )
    return tuple(found)


def _parameter(
    parameter: inspect.Parameter, hints: dict[str, Any], path_names: frozenset[str], where: str
) -> Parameter:
    name, default = parameter.name, parameter.default
    if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD, parameter.POSITIONAL_ONLY):
        raise DeclarationError(
            f"the parameter {name!r} cannot be bound by name", where=where, fix="write plain named parameters"
        )
    if name not in hints:
        raise DeclarationError(f"the parameter {name!r} has no type", where=where, fix=f"annotate it: {name}: str")
    kind = hints[name]
    bare, _ = without_none(kind)
    if bare is Caller:
        return Parameter(name, "caller", name, kind, default)
    if bare is Request:
        return Parameter(name, "request", name, kind, default)
    renamed = next((m for m in getattr(kind, "__metadata__", ()) if isinstance(m, QueryName)), None)
    header = next((m for m in getattr(kind, "__metadata__", ()) if isinstance(m, Header)), None)
    source: Source = "query"
    wire_name = name
    if header is not None:
        source, wire_name = "header", header.name.lower()
    elif renamed is not None:
        wire_name = renamed.name
    elif name in path_names:
        source, default = "path", MISSING
    elif name == "body":
        source = "body"
    if kind is not bytes or source != "body":
        _check_decodable(kind, name, where)
    return Parameter(name, source, wire_name, kind, default)


def _check_decodable(kind: Any, name: str, where: str) -> None:
    try:
        msgspec.json.Decoder(kind)
    except (TypeError, NameError, AttributeError) as error:
        raise DeclarationError(
            f"the type of {name!r} cannot be decoded: {error}",
            where=where,
            fix="use str, int, float, bool, datetime, UUID, Enum, list, dict, or dataclasses of these",
        ) from error
