"""The port of an HTTP API: requests, responses and callers as plain data, the same on every engine."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from windlass.errors import Problem
from windlass.ports.telemetry import Span

__all__ = ["ApiPort", "Caller", "Request", "Response"]


@dataclass(frozen=True, slots=True)
class Caller:
    """Who calls: `id` is the token's `sub`; `roles` are the groups or roles that the token carries."""

    id: str
    username: str = ""
    roles: frozenset[str] = frozenset()
    claims: Mapping[str, Any] = field(default_factory=dict, repr=False)


@dataclass(slots=True)
class Request:
    """An HTTP request. `path` is below the system's prefix, percent-decoded and starts with `/`; `query` is the text
    after the `?`, as it was sent; header names are in lower case. `span` was begun by who received it. `caller` is who
    calls, or why nobody may, where something in front has found that out already: API Gateway's authorizer."""

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    body: bytes
    remote: str = ""
    trace_id: str = ""
    span: Span | None = field(default=None, repr=False)
    caller: Caller | Problem | None = field(default=None, repr=False)


@dataclass(slots=True)
class Response:
    """An HTTP response. Header names are in lower case."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes = b""


class ApiPort(Protocol):
    def url(self) -> str:
        """Where the API answers, without a slash at the end."""
        ...
