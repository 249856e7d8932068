"""A handler: a function, what triggers it, and what it may use."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any, Literal

import msgspec

from windlass.errors import DeclarationError
from windlass.model.resource import Resource, check_duration, grants_of
from windlass.ports.binding import Grant

__all__ = ["Function", "Handler", "TriggerKind", "check_timeout", "declare"]

Function = Callable[..., Any]
TriggerKind = Literal["route", "authorizer", "queue", "schedule"]

_NAME = re.compile(r"[a-z][a-z0-9_]{0,39}\Z")


class Handler(msgspec.Struct, frozen=True):
    """`trigger` names what starts it: `api GET /todos/{id}`, `queue jobs`, `schedule nightly`. `owners` are
    the resources that `grants` are for, in the same order. `timeout` is in seconds."""

    name: str
    function: Function
    kind: TriggerKind
    trigger: str
    grants: tuple[Grant, ...]
    owners: tuple[Resource, ...]
    timeout: float


def check_timeout(timeout: timedelta, most: timedelta, *, where: str) -> float:
    """`timeout` in seconds. Raises DeclarationError unless it is above 0 and at most `most`."""
    check_duration(timeout, "timeout", where=where)
    if not timedelta(0) < timeout <= most:
        raise DeclarationError(
            f"timeout={timeout} is out of range", where=where, fix=f"give more than 0 and at most {most}"
        )
    return timeout.total_seconds()


def declare(
    system: str,
    function: Function,
    kind: TriggerKind,
    trigger: str,
    uses: Sequence[object],
    timeout: timedelta,
    most: timedelta,
) -> Handler:
    """A Handler for `function`. Raises DeclarationError for what cannot be one."""
    name = getattr(function, "__name__", "")
    where = f"{system}.{name or repr(function)}"
    if not _NAME.match(name):
        raise DeclarationError(
            f"{name or function!r} cannot be a handler's name",
            where=where,
            fix="decorate a function whose name is 1 to 40 lower-case letters, digits and underscores",
        )
    code = getattr(function, "__code__", None)
    if code is not None and code.co_flags & 0x280:  # CO_COROUTINE, CO_ASYNC_GENERATOR
        raise DeclarationError(
            "handlers are synchronous, and this one is a coroutine",
            where=where,
            fix="write `def` without `async`: the engine runs handlers beside each other by itself",
        )
    if code is not None and code.co_flags & 0x20:  # CO_GENERATOR
        raise DeclarationError(
            "handlers return what they answer, and this one yields it",
            where=where,
            fix="build a list and return it",
        )
    grants = grants_of(uses, where=where)
    return Handler(
        name,
        function,
        kind,
        trigger,
        tuple(grants),
        tuple(grants.values()),
        check_timeout(timeout, most, where=where),
    )
