"""How a function takes what starts it: a consumer its messages, a task its tick, an authorizer its request."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, get_args, get_origin

from windlass.errors import DeclarationError
from windlass.graph.annotation import spelled, with_article
from windlass.model.queue import Batch, Message
from windlass.model.signature import MISSING, Parameter, parameters, return_type, without_none
from windlass.ports.api import Caller, Request
from windlass.ports.schedule import Tick

__all__ = ["Receives", "check_authorizer", "receives", "takes_tick"]

Receives = Literal["one", "message", "batch"]
_STYLES: dict[Any, Receives] = {Message: "message", Batch: "batch"}


def receives(function: Callable[..., Any], message: type[Any], where: str) -> Receives:
    """How a consumer takes messages of the type `message`: `one` (the message itself), `message` (`Message[M]`),
    or `batch` (`Batch[M]`). Raises DeclarationError for a function that takes anything else."""
    name = message.__name__
    example = f"def {function.__name__}(job: {name}) -> None"
    taken = parameters(function, frozenset(), where=where)
    if len(taken) != 1:
        raise DeclarationError(
            f"a consumer takes exactly one parameter, and this one takes {_count(taken)}",
            where=where,
            fix=f"write {example}, or take Message[{name}] or Batch[{name}]",
        )
    kind = taken[0].kind
    if kind is message:
        return "one"
    style = _STYLES.get(get_origin(kind) or kind)
    if style is not None and get_args(kind) == (message,):
        return style
    fix = f"annotate it as {name}, Message[{name}] or Batch[{name}]"
    outer = get_origin(kind) or kind
    if style is not None or outer in (list, tuple):
        fix = f"annotate it as {outer.__name__ if style else 'Batch'}[{name}]"
    raise DeclarationError(
        f"the queue holds {name}, and the parameter {taken[0].name!r} is {with_article(spelled(kind))}",
        where=where,
        fix=fix,
    )


def takes_tick(function: Callable[..., Any], where: str) -> bool:
    """Whether a schedule's function wants the Tick. Raises DeclarationError for one that takes anything else."""
    taken = parameters(function, frozenset(), where=where)
    if not taken:
        return False
    if len(taken) == 1 and taken[0].kind is Tick:
        return True
    raise DeclarationError(
        f"a schedule's function takes nothing or one Tick, and this one takes {_count(taken)}",
        where=where,
        fix=f"write def {function.__name__}() or def {function.__name__}(tick: Tick); "
        f"read anything else from a resource",
    )


def check_authorizer(function: Callable[..., Any], where: str) -> None:
    """Raises DeclarationError unless `function` takes one Request and returns a Caller."""
    taken = parameters(function, frozenset(), where=where)
    example = f"def {function.__name__}(request: Request) -> Caller"
    if [parameter.kind for parameter in taken] != [Request]:
        raise DeclarationError(
            f"an authorizer takes one Request, and this one takes {_count(taken)}",
            where=where,
            fix=f"write {example}",
        )
    returned = return_type(function, where=where)
    if returned is not Caller:
        if without_none(returned) == (Caller, True):
            says = "may answer with None"
        elif returned is MISSING:
            says = "does not say what it answers"
        else:
            says = f"answers with {with_article(spelled(returned))}"
        raise DeclarationError(
            f"an authorizer answers with the Caller, and this one {says}",
            where=where,
            fix=f"write {example}; raise Unauthorized() for a request that it refuses",
        )


def _count(taken: tuple[Parameter, ...]) -> str:
    if not taken:
        return "none"
    return ", ".join(f"{parameter.name}: {spelled(parameter.kind)}" for parameter in taken)
