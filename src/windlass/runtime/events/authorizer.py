"""API Gateway's Lambda authorizers, format 2.0 with the simple response.

https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-lambda-authorizer.html

API Gateway answers for an authorizer that refuses with a bare 403 of its own, and for one that fails with a bare 500. A
caller should read the same problem on both engines, with its status and why; so a refusal is handed on to the route's
function, which answers it, and runs nothing. API Gateway must not keep these answers: its TTL is to be 0.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from windlass.errors import (
    BadRequest,
    Conflict,
    FieldError,
    Forbidden,
    GatewayTimeout,
    NotFound,
    PayloadTooLarge,
    Problem,
    ServiceUnavailable,
    TooManyRequests,
    Unauthorized,
    Unprocessable,
    WindlassError,
)
from windlass.ports.api import Caller
from windlass.runtime.events.malformed import MalformedEvent

__all__ = ["CallerTooLarge", "caller_in", "decision_of", "refusal_of", "without_body"]

_MOST_BYTES = 10_240
"""API Gateway publishes no quota of its own for an authorizer's context; this is the one for a request's head, which a
context that comes of a token stays below
(https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-quotas.html)."""
_MOST_DETAIL = 2000

_KINDS: Mapping[int, type[Problem]] = {
    kind.status: kind
    for kind in (
        BadRequest,
        Unauthorized,
        Forbidden,
        NotFound,
        Conflict,
        PayloadTooLarge,
        Unprocessable,
        TooManyRequests,
        ServiceUnavailable,
        GatewayTimeout,
    )
}


class CallerTooLarge(WindlassError):
    """A caller that API Gateway may not carry from the authorizer to the route. A fault of the program: 500."""


class _Caller(msgspec.Struct, gc=False):
    id: str
    username: str
    roles: list[str]
    claims: dict[str, Any]


class _Refusal(msgspec.Struct, gc=False):
    status: int
    title: str
    detail: str
    errors: list[tuple[str, str]] = []
    retry_after: float | None = None


_encode = msgspec.json.Encoder().encode
_read_caller = msgspec.json.Decoder(_Caller).decode
_read_refusal = msgspec.json.Decoder(_Refusal).decode


def without_body(event: object) -> object:
    """An authorizer's event as that of a request, which it is but for the body."""
    return {**event, "body": None, "isBase64Encoded": False} if isinstance(event, Mapping) else event


def decision_of(caller: Caller) -> dict[str, Any]:
    """The answer that lets a caller through, who is in its context. Raises CallerTooLarge, and TypeError for claims
    that are not JSON."""
    told = _encode(_Caller(caller.id, caller.username, sorted(caller.roles), dict(caller.claims)))
    if len(told) > _MOST_BYTES:
        raise CallerTooLarge(
            f"the caller has {len(told):,} bytes as JSON; the most that goes from an authorizer to a route is "
            f"{_MOST_BYTES:,}\n  fix: put fewer claims into the Caller, and read the rest in the handler"
        )
    return {"isAuthorized": True, "context": {"caller": told.decode()}}


def refusal_of(problem: Problem) -> dict[str, Any]:
    """The answer that lets the refusal through, for the route to tell."""
    detail = problem.detail.encode(errors="replace").decode()[:_MOST_DETAIL]
    told = _Refusal(problem.status, problem.title, detail, retry_after=problem.retry_after)
    told.errors = [(error.field, error.message) for error in problem.errors]
    text = _encode(told)
    if len(text) > _MOST_BYTES:
        told.errors = []
        text = _encode(told)
    return {"isAuthorized": True, "context": {"refused": text.decode()}}


def caller_in(context: Mapping[str, Any]) -> Caller | Problem:
    """What an authorizer's answer says, as it comes to the route's function. Raises MalformedEvent."""
    caller, refused = context.get("caller"), context.get("refused")
    try:
        if isinstance(caller, str):
            found = _read_caller(caller)
            return Caller(found.id, found.username, frozenset(found.roles), found.claims)
        if isinstance(refused, str):
            return _problem(_read_refusal(refused))
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        raise MalformedEvent("the authorizer's context is not one that Windlass has made") from None
    return Unauthorized("nobody is signed in")


def _problem(told: _Refusal) -> Problem:
    errors = [FieldError(field, message) for field, message in told.errors]
    problem = _KINDS.get(told.status, Problem)(told.detail, errors=errors, retry_after=told.retry_after)
    problem.status, problem.title = told.status, told.title
    return problem
