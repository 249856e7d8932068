"""An HTTP API: routes, who may call them, and how often."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Generic, TypedDict, TypeVar, Unpack

import msgspec

from windlass.errors import DeclarationError
from windlass.model.handler import Function, Handler, declare
from windlass.model.resource import Resource, check_duration, check_list
from windlass.model.user_pool import UserPool
from windlass.ports.api import ApiPort
from windlass.ports.binding import current

if TYPE_CHECKING:
    from windlass.model.system import System

__all__ = ["Api", "Reply", "Route", "RouteOptions", "Throttle"]

F = TypeVar("F", bound=Callable[..., Any])
R = TypeVar("R")

METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
MAX_TIMEOUT = timedelta(seconds=29)
MAX_BODY = 6 * 1024 * 1024
_SEGMENT = re.compile(r"[A-Za-z0-9._~-]+\Z")
_PARAMETER = re.compile(r"\{([a-z][a-z0-9_]*)(\+?)\}\Z")


@dataclass(frozen=True, slots=True)
class Throttle:
    """A token bucket: `rate` requests a second on average, `burst` at once."""

    rate: float
    burst: int


@dataclass(frozen=True, slots=True)
class Reply(Generic[R]):
    """An answer with headers, or with another status than the route's own."""

    body: R
    status: int | None = None
    headers: Mapping[str, str] = field(default_factory=dict)


class Route(msgspec.Struct, frozen=True):
    """One method and path and the handler behind them. `throttle` bounds all callers together,
    `throttle_per_caller` each one; `max_body` is in bytes; `idempotent` is how long an answer is kept for an
    `Idempotency-Key`, in seconds."""

    api: Api
    method: str
    path: str
    handler: Handler
    status: int
    roles: frozenset[str]
    public: bool
    throttle: Throttle | None
    throttle_per_caller: Throttle | None
    max_body: int
    idempotent: float | None

    @property
    def parameters(self) -> frozenset[str]:
        """The names in the path."""
        return frozenset(match.group(1) for part in self.path.split("/") if (match := _PARAMETER.match(part)))

    @property
    def auth(self) -> UserPool | Function | None:
        """What decides who calls, None where everybody may."""
        return None if self.public else self.api.auth


class RouteOptions(TypedDict, total=False):
    """What `Api.route` takes besides method and path."""

    status: int
    uses: Sequence[object]
    roles: Sequence[str]
    public: bool
    throttle: float | Throttle | None
    throttle_per_caller: float | Throttle | None
    timeout: timedelta
    max_body: int | None
    idempotent: timedelta | None


class Api(Resource):
    """Declared with `system.api(name, ...)`.

    `auth` is a user pool, whose access and ID tokens are then taken as bearer tokens, or an authorizer function.
    `cors` lists the origins that a browser may call from (`"*"`: any). `throttle` (requests a second, or a
    `Throttle`) holds for each route, `throttle_per_caller` for each caller of a route.
    """

    noun = "api"

    def __init__(
        self,
        system: System,
        name: str,
        *,
        auth: UserPool | Function | None = None,
        cors: Sequence[str] = (),
        throttle: float | Throttle | None = None,
        throttle_per_caller: float | Throttle | None = None,
        max_body: int = 1024 * 1024,
        title: str | None = None,
        description: str = "",
    ) -> None:
        super().__init__(system, name)
        check_list(cors, "cors", where=self.where, example='"https://app.example.com"')
        self.auth, self.cors, self.max_body = auth, tuple(cors), max_body
        self.title, self.description = title or system.title, description
        self.throttle = _throttle(throttle, self.where)
        self.throttle_per_caller = _throttle(throttle_per_caller, self.where)
        self.routes: list[Route] = []
        for origin in self.cors:
            if origin != "*" and not re.match(r"https?://[^/?#\s]+\Z", origin):
                raise DeclarationError(
                    f"cors has {origin!r}, which is not an origin", where=self.where, fix='"https://app.example.com"'
                )
        self._check_body(max_body, self.where)

    def url(self) -> str:
        """Where this API answers, without a slash at the end; needs no grant."""
        api: ApiPort = current().ports[self.name]
        return api.url()

    def route(
        self,
        method: str,
        path: str,
        *,
        status: int = 200,
        uses: Sequence[object] = (),
        roles: Sequence[str] = (),
        public: bool = False,
        throttle: float | Throttle | None = None,
        throttle_per_caller: float | Throttle | None = None,
        timeout: timedelta = timedelta(seconds=10),
        max_body: int | None = None,
        idempotent: timedelta | None = None,
    ) -> Callable[[F], F]:
        """Makes a function the handler of `method` and `path`.

        `path` may hold parameters, `/todos/{id}`, and end in a greedy one, `/files/{path+}`. A caller needs one
        of `roles`, where there are any. With `idempotent`, a request that repeats an `Idempotency-Key` gets the
        first answer again for that long, and the handler does not run. `timeout` is at most 29 seconds.
        """
        if not isinstance(path, str):
            raise DeclarationError(
                f"{method} has {getattr(path, '__name__', path)!r} where its path should be",
                where=self.where,
                fix=f'write the path above the function: @{self.name}.{method.lower()}("/todos")',
            )

        def register(function: F) -> F:
            where = f"{self.where} {method} {path}"
            self._check_route(method, path, status, where)
            check_list(roles, "roles", where=where, example='"staff"')
            if public and roles:
                raise DeclarationError("a public route has no caller to have roles", where=where, fix="drop one")
            if roles and self.auth is None:
                raise DeclarationError("roles need to know the caller", where=where, fix="give the api auth=...")
            if idempotent is not None:
                check_duration(idempotent, "idempotent", where=where)
            if idempotent is not None and not timedelta(minutes=1) <= idempotent <= timedelta(days=7):
                raise DeclarationError("idempotent is out of range", where=where, fix="give 1 minute to 7 days")
            handler = declare(
                self.system.name, function, "route", f"{self.name} {method} {path}", uses, timeout, MAX_TIMEOUT
            )
            if max_body is not None:
                self._check_body(max_body, where)
            self.routes.append(
                Route(
                    self,
                    method,
                    path,
                    handler,
                    status,
                    frozenset(roles),
                    public or self.auth is None,
                    _throttle(throttle, where) or self.throttle,
                    _throttle(throttle_per_caller, where) or self.throttle_per_caller,
                    max_body or self.max_body,
                    None if idempotent is None else idempotent.total_seconds(),
                )
            )
            self.system.add_handler(handler)
            return function

        return register

    def get(self, path: str, **options: Unpack[RouteOptions]) -> Callable[[F], F]:
        """`route("GET", path, ...)`."""
        return self.route("GET", path, **options)

    def post(self, path: str, **options: Unpack[RouteOptions]) -> Callable[[F], F]:
        """`route("POST", path, ...)`."""
        return self.route("POST", path, **options)

    def put(self, path: str, **options: Unpack[RouteOptions]) -> Callable[[F], F]:
        """`route("PUT", path, ...)`."""
        return self.route("PUT", path, **options)

    def patch(self, path: str, **options: Unpack[RouteOptions]) -> Callable[[F], F]:
        """`route("PATCH", path, ...)`."""
        return self.route("PATCH", path, **options)

    def delete(self, path: str, **options: Unpack[RouteOptions]) -> Callable[[F], F]:
        """`route("DELETE", path, ...)`."""
        return self.route("DELETE", path, **options)

    @staticmethod
    def _check_body(max_body: int, where: str) -> None:
        if not 0 < max_body <= MAX_BODY:
            raise DeclarationError(
                f"max_body={max_body} is out of range", where=where, fix="give 1 byte to 6 MiB, Lambda's own limit"
            )

    @staticmethod
    def _check_route(method: str, path: str, status: int, where: str) -> None:
        if method not in METHODS:
            raise DeclarationError(f"{method!r} is not a method", where=where, fix=f"use one of {', '.join(METHODS)}")
        if not 200 <= status <= 299:
            raise DeclarationError(
                f"status={status} is not a success", where=where, fix="raise NotFound() and the like for other answers"
            )
        segments = path.split("/")[1:]
        names = [match.group(1) for part in segments if (match := _PARAMETER.match(part))]
        greedy = [part for part in segments if part.endswith("+}")]
        bad = [part for part in segments if not _SEGMENT.match(part) and not _PARAMETER.match(part)]
        if not path.startswith("/") or (bad and path != "/") or len(set(names)) < len(names):
            raise DeclarationError(f"{path!r} is not a path", where=where, fix='"/todos" or "/todos/{id}"')
        if greedy and segments[-1:] != greedy:
            raise DeclarationError("only the last part of a path can be greedy", where=where, fix='"/files/{path+}"')
        if path.startswith("/_"):
            raise DeclarationError("paths that begin with /_ are the engine's own", where=where, fix="rename it")


def _throttle(value: float | Throttle | None, where: str) -> Throttle | None:
    if value is None:
        return None
    if not isinstance(value, int | float | Throttle):
        raise DeclarationError(
            f"throttle={value!r} is not a number", where=where, fix="throttle=100, which is in requests a second"
        )
    made = value if isinstance(value, Throttle) else Throttle(float(value), max(1, int(value)))
    if made.rate <= 0 or made.burst < 1:
        raise DeclarationError(f"throttle={value!r} lets nothing through", where=where, fix="give a rate above 0")
    return made
