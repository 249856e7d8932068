"""Which handler runs now, on which engine, and what it may do.

A resource's operation asks `port()` for the engine's implementation. That is the one place where a grant is
checked, so no engine can forget it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from typing import Any

import msgspec

from windlass.errors import Denied, HandlerTimeout, NotBound
from windlass.ports.clock import Clock
from windlass.ports.telemetry import Origin

__all__ = ["Grant", "Invocation", "current", "invocation_origin", "invocation_trace", "invoked", "port", "running"]


class Grant(msgspec.Struct, frozen=True, order=True):
    """Permission for one operation on one resource: `Grant("errors/by_day", "query")`."""

    resource: str
    operation: str

    def __str__(self) -> str:
        return f"{self.resource}.{self.operation}"


class Invocation(msgspec.Struct):
    """One delivery being handled by one function.

    `grants` is None only for the engine's own calls (tests' set-up, the command line), which may do everything.
    `deadline` is on `time.monotonic`'s scale. `ports` maps a resource's name to the engine's implementation.
    `span_id` is the span that the handler's calls belong to, and `epoch` the time on `clock` at which
    `time.perf_counter()` was 0, as of its start; `measure(name, value)` takes its own metrics.
    """

    system: str
    handler: str
    ports: Mapping[str, Any]
    clock: Clock
    signing_key: bytes
    trace_id: str
    span_id: str = ""
    grants: frozenset[tuple[str, str]] | None = None
    deadline: float | None = None
    used: set[tuple[str, str]] = msgspec.field(default_factory=set)
    measure: Callable[[str, float], None] | None = None
    epoch: float = 0.0


_current: ContextVar[Invocation | None] = ContextVar("windlass_invocation", default=None)


running = _current.get


def current() -> Invocation:
    """The running invocation. Raises NotBound outside a handler."""
    invocation = running()
    if invocation is None:
        raise NotBound(
            "no handler is running here, so no engine is bound\n"
            "  fix: use resources inside a handler; in a test, inside `with system.run_embedded(path) as app` use "
            "`with app.bound():`; in a thread of your own, run it with contextvars.copy_context().run(...)"
        )
    return invocation


def port(resource: str, operation: str, address: str | None = None) -> Any:
    """The engine's implementation of `resource`, after checking that the running handler may call `operation`.

    `address` is what the grant names when that is not the resource itself (an index: `errors/by_day`). The result
    is Any because a resource knows which Protocol it asked for. Raises Denied, HandlerTimeout, NotBound.
    """
    invocation = current()
    if invocation.deadline is not None and time.monotonic() > invocation.deadline:
        raise HandlerTimeout(f"{invocation.handler} ran past its deadline; {resource}.{operation} was not called")
    wanted = (address or resource, operation)
    if invocation.grants is not None:
        if wanted not in invocation.grants:
            raise Denied(invocation.handler, *wanted)
        invocation.used.add(wanted)
    try:
        return invocation.ports[resource]
    except KeyError:
        raise NotBound(
            f"{resource} is not part of the system {invocation.system!r} that runs here\n"
            f"  fix: use the resources that {invocation.system!r} declares"
        ) from None


class invoked:  # noqa: N801 - it reads as a verb: `with invoked(invocation):`
    """Makes `invocation` the running one inside the `with` block."""

    __slots__ = ("_invocation", "_token")

    def __init__(self, invocation: Invocation) -> None:
        self._invocation = invocation

    def __enter__(self) -> Invocation:
        self._token = _current.set(self._invocation)
        return self._invocation

    def __exit__(self, *error: object) -> None:
        _current.reset(self._token)


def invocation_trace() -> str | None:
    """The running invocation's trace id, None outside one."""
    invocation = running()
    return None if invocation is None else invocation.trace_id


def invocation_origin() -> Origin | None:
    """What causes whatever the running invocation sends, None outside one."""
    invocation = running()
    return None if invocation is None else Origin(invocation.trace_id, invocation.span_id)
