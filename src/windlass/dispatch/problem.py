"""Exceptions as answers: RFC 9457 problem details, with nothing internal in them."""

from __future__ import annotations

import math
from typing import Any

import msgspec

from windlass.errors import (
    EngineUnavailable,
    GatewayTimeout,
    HandlerTimeout,
    MethodNotAllowed,
    Misuse,
    Problem,
    ServiceUnavailable,
    Unauthorized,
)
from windlass.ports.api import Response

__all__ = ["as_problem", "problem_response"]


def as_problem(error: BaseException) -> Problem:
    """The answer for any exception of a handler; what is not meant for the caller becomes a bare 500."""
    if isinstance(error, Problem) and not isinstance(error, Misuse):
        return error
    if isinstance(error, EngineUnavailable):
        return ServiceUnavailable("the service cannot do this now; try again", retry_after=1)
    if isinstance(error, HandlerTimeout):
        return GatewayTimeout("the request took too long and was given up")
    return Problem("an internal fault; it was logged under this trace id")


def problem_response(problem: Problem, trace_id: str) -> Response:
    """`problem` as an HTTP response (application/problem+json, RFC 9457)."""
    # A number that is none in HTTP ends the process inside granian.
    status = problem.status if 200 <= problem.status <= 599 else 500
    content: dict[str, Any] = {
        "type": "about:blank",
        "title": problem.title,
        "status": status,
        "detail": problem.detail or problem.title,
        "trace_id": trace_id,
    }
    if problem.errors:
        content["errors"] = [{"field": error.field, "message": error.message} for error in problem.errors]
    headers = [("content-type", "application/problem+json"), ("cache-control", "no-store")]
    if problem.retry_after is not None and math.isfinite(problem.retry_after):
        headers.append(("retry-after", str(max(1, math.ceil(problem.retry_after)))))
    if isinstance(problem, Unauthorized):
        headers.append(("www-authenticate", "Bearer"))
    if isinstance(problem, MethodNotAllowed):
        headers.append(("allow", ", ".join(problem.allow)))
    try:
        body = msgspec.json.encode(content)
    except (TypeError, ValueError):  # a detail that quotes invalid text, or is none
        content["detail"] = problem.title
        content.pop("errors", None)
        body = msgspec.json.encode(content)
    return Response(status, headers, body)
