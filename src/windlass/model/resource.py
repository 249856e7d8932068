"""What all nouns share: a name, a system, and operations that can be granted."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from windlass.errors import DeclarationError
from windlass.ports.binding import Grant

if TYPE_CHECKING:
    from windlass.model.system import System

__all__ = ["Operation", "Resource", "check_duration", "check_list", "check_name", "grants_of", "operation"]

Operation = Callable[..., Any]
F = TypeVar("F", bound=Callable[..., Any])

_NAME = re.compile(r"[a-z][a-z0-9_]{0,39}\Z")


def operation(method: F) -> F:
    """Marks a method as one that `uses=[...]` can grant."""
    method.__windlass_operation__ = True  # type: ignore[attr-defined]
    return method


def check_name(name: object, what: str) -> str:
    """`name` if it can name a `what`: 1 to 40 of a-z, 0-9 and _, starting with a letter, so that it fits
    everything that it names on AWS. Raises DeclarationError."""
    if not isinstance(name, str) or not _NAME.match(name):
        article = "an" if what[0] in "aeio" else "a"
        raise DeclarationError(
            f"{name!r} cannot name {article} {what}",
            fix="use 1 to 40 lower-case letters, digits and underscores, starting with a letter",
        )
    return name


def check_duration(value: object, what: str, *, where: str) -> None:
    """Raises DeclarationError for what is not a timedelta: a number does not say of what."""
    if not isinstance(value, timedelta):
        raise DeclarationError(
            f"{what}={value!r} is not a timedelta",
            where=where,
            fix=f"say of what: {what}=timedelta(seconds=...), or minutes=, from datetime",
        )


def check_list(values: object, what: str, *, where: str, example: str) -> None:
    """Raises DeclarationError for what is not a list or a tuple: a text would be taken letter by letter."""
    if isinstance(values, str) or not isinstance(values, Sequence | set | frozenset):
        raise DeclarationError(f"{what} is not a list", where=where, fix=f"{what}=[{example}]")


class Resource:
    """Something that exists: it has a name that is unique in its system, and a noun."""

    noun: ClassVar[str]

    def __init__(self, system: System, name: str) -> None:
        self.system = system
        self.name = check_name(name, self.noun)
        self.address = self.name

    def __repr__(self) -> str:
        return f"<{self.noun} {self.system.name}.{self.address}>"

    @property
    def where(self) -> str:
        """How an error names this resource."""
        return f"{self.system.name}.{self.address}"


def grants_of(uses: Iterable[object], *, where: str) -> dict[Grant, Resource]:
    """The grants that a `uses=[...]` list asks for, each with the resource that it is for. Raises
    DeclarationError for what is not a bound operation."""
    check_list(uses, "uses", where=where, example="items.put, items.query")
    grants: dict[Grant, Resource] = {}
    for use in uses:
        owner, function = getattr(use, "__self__", None), getattr(use, "__func__", None)
        if isinstance(use, Resource):
            raise DeclarationError(
                f"uses has the {use.noun} {use.name!r} itself, which would grant everything",
                where=where,
                fix=f"name the operations: uses=[{use.name}.{_example(use)}]",
            )
        if not isinstance(owner, Resource) or not getattr(function, "__windlass_operation__", False):
            known = ""
            if isinstance(owner, Resource):
                known = f" ({owner.name} has {', '.join(operations_of(type(owner)))})"
            raise DeclarationError(
                f"uses has {_described(use)}, which is not an operation of a resource{known}",
                where=where,
                fix="list bound methods of resources, as in uses=[items.put, items.query]",
            )
        grant = Grant(owner.address, getattr(function, "__name__", ""))
        grants[grant] = owner
    return grants


def operations_of(kind: type[Resource]) -> list[str]:
    """The names of the operations of a noun that can be granted."""
    return sorted(name for name in dir(kind) if getattr(getattr(kind, name, None), "__windlass_operation__", False))


def _example(resource: Resource) -> str:
    names = operations_of(type(resource))
    return names[0] if names else "operation"


def _described(use: object) -> str:
    return getattr(use, "__qualname__", None) or repr(use)
