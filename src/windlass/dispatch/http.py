"""An HTTP request -> one handler -> an HTTP response."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import msgspec

from windlass.dispatch.bind import Binder
from windlass.dispatch.context import Context, logger
from windlass.dispatch.problem import as_problem, problem_response
from windlass.dispatch.routing import Router
from windlass.dispatch.telemetry import told
from windlass.errors import (
    BadRequest,
    Conflict,
    EngineUnavailable,
    Forbidden,
    HandlerTimeout,
    PayloadTooLarge,
    Problem,
    ServiceUnavailable,
    TooManyRequests,
    Unauthorized,
    Unprocessable,
)
from windlass.model.api import Api, Reply, Route
from windlass.model.handler import Handler
from windlass.model.signature import parameters
from windlass.model.user_pool import UserPool
from windlass.ports.api import Caller, Request, Response
from windlass.ports.telemetry import Origin, Span

if TYPE_CHECKING:
    from windlass.ports.idempotency import IdempotencyPort
    from windlass.ports.user_pool import UserPoolPort

__all__ = ["Admit", "HttpDispatch", "Match", "Target", "caller_of", "encoded"]

Admit = Callable[[Route, str | None], float]
_JSON = [("content-type", "application/json")]
_BYTES = [("content-type", "application/octet-stream")]
_HEADER = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+\Z")
_HEADER_VALUE = re.compile(r"[^\x00-\x08\x0a-\x1f\x7f\ud800-\udfff]*\Z")
# What says where an answer ends and the next begins is the server's to say.
_FRAMING = frozenset({"connection", "content-length", "keep-alive", "transfer-encoding", "upgrade"})
_encode = msgspec.json.Encoder().encode


class Target:
    """A route with what was compiled for it."""

    __slots__ = ("bind", "name", "route")

    def __init__(self, route: Route) -> None:
        self.route = route
        self.name = f"{route.method} {route.path}"
        where = f"{route.api.where} {route.method} {route.path}"
        self.bind = Binder(parameters(route.handler.function, route.parameters, where=where))


Match = tuple[Target, Mapping[str, str]]


class HttpDispatch:
    """All routes of a system.

    `admit(route, caller_id)` returns 0, or after how many seconds to come again; it is asked once for the route
    (None) and once for the caller. `idempotency` keeps answers for routes that are idempotent; None where none is.
    `only` names the one handler whose routes are served, where each has a function of its own.
    """

    def __init__(
        self, context: Context, *, admit: Admit, idempotency: IdempotencyPort | None, only: str | None = None
    ) -> None:
        self._context, self._admit, self._idempotency = context, admit, idempotency
        self._authorizers = context.system.authorizers
        self._said_at: dict[str, float] = {}
        self._router: Router[Target] = Router(
            (route.method, route.path, Target(route))
            for api in context.system.of(Api)
            for route in api.routes
            if only in (None, route.handler.name)
        )

    def allowed(self, path: str) -> list[str]:
        """The methods that are offered at `path`."""
        return self._router.allowed(path)

    def match(self, method: str, path: str) -> Match:
        """The route that serves, with the values in the path. Raises NotFound, MethodNotAllowed, BadRequest."""
        return self._router.find(method, path)

    def handle(self, request: Request, deadline: float | None = None, match: Match | None = None) -> Response:
        """Serves a request; every exception becomes a response. `deadline` (on `time.monotonic`'s scale) is the
        route's own timeout from now where it is None; `match` is given by who has found the route already. Who has
        begun the request's span also ends it."""
        telemetry, given = self._context.telemetry, request.span
        span = given or telemetry.begin_request(request.method, request.headers, request.trace_id)
        span.system, request.trace_id = self._context.system.name, span.trace
        response = self._answer(request, span, deadline, match)
        if given is None:
            span.status = response.status
            telemetry.end(span)
        return response

    def _answer(self, request: Request, span: Span, deadline: float | None, match: Match | None) -> Response:
        try:
            target, values = match or self.match(request.method, request.path)
            route = target.route
            span.name, span.resource, span.handler = target.name, route.api.name, route.handler.name
            return self._serve(target, values, request, span, deadline)
        except Exception as error:
            if span.outcome == "ok":
                told(span, error)
            problem = as_problem(error)
            if isinstance(error, EngineUnavailable | ServiceUnavailable):
                self._unavailable(error, span)
            elif problem.status >= 500 and error is not request.caller:  # the authorizer has logged that
                level = "timed out" if isinstance(error, HandlerTimeout) else "failed"
                logger.error(
                    "%s %s",
                    span.name,  # the route, not the path, in which there may be what is nobody's business
                    level,
                    exc_info=error,
                    extra={"trace_id": span.trace, "system": span.system, "handler": span.handler or "-"},
                )
            return problem_response(problem, span.trace)

    def _unavailable(self, error: EngineUnavailable | ServiceUnavailable, span: Span) -> None:
        """Says that a handler, or what it rests on, could not serve: at most once a second, however many ask."""
        now = time.monotonic()
        if now - self._said_at.get(span.name, -1.0) >= 1.0:
            self._said_at[span.name] = now
            extra = {"trace_id": span.trace, "system": span.system, "handler": span.handler or "-"}
            logger.error("%s was answered with 503: %s", span.name, error, extra=extra)

    def _serve(
        self, target: Target, values: Mapping[str, str], request: Request, span: Span, deadline: float | None
    ) -> Response:
        route = target.route
        if deadline is None:
            deadline = time.monotonic() + route.handler.timeout
        if route.throttle is not None:
            self._pass_throttle(route, None)
        caller = self._caller(route, request, span, deadline)
        if route.throttle_per_caller is not None:
            self._pass_throttle(route, caller.id if caller else request.remote)
        if len(request.body) > route.max_body:
            raise PayloadTooLarge(f"the body has {len(request.body):,} bytes; the most is {route.max_body:,}")
        arguments = target.bind(request, values, caller)
        if route.idempotent is not None and (key := request.headers.get("idempotency-key")) is not None:
            return self._once(route, route.idempotent, key, caller, request, arguments, span, deadline)
        return self._run(route, arguments, span, deadline)

    def _pass_throttle(self, route: Route, caller_id: str | None) -> None:
        wait = self._admit(route, caller_id)
        if wait > 0:
            raise TooManyRequests("too many requests; slow down", retry_after=wait)

    def _caller(self, route: Route, request: Request, span: Span, deadline: float) -> Caller | None:
        auth = route.auth
        if auth is None:
            return None
        if request.caller is not None:
            if isinstance(request.caller, Problem):
                raise request.caller
            caller = request.caller
        elif isinstance(auth, UserPool):
            caller = caller_of(self._verified(auth, request))
        else:
            handler = self._authorizers[auth]
            limit = min(deadline, time.monotonic() + handler.timeout)
            caller = self.authorize(handler, request, limit, Origin(span.trace, span.id))
        if route.roles and not route.roles & caller.roles:
            raise Forbidden(f"this needs the role {' or '.join(sorted(route.roles))}")
        return caller

    def authorize(self, handler: Handler, request: Request, deadline: float, cause: Origin | None = None) -> Caller:
        """Who calls, as an authorizer of the system's own finds out. Raises what it raises."""
        telemetry = self._context.telemetry
        span = telemetry.begin("authorizer", handler.name, self._context.system.name, cause)
        try:
            caller = self._context.call(handler, span, deadline, lambda: handler.function(request))
        finally:
            telemetry.end(span)
        if not isinstance(caller, Caller):
            raise TypeError(f"the authorizer {handler.name} returned {type(caller).__name__}, not a Caller")
        return caller

    def _verified(self, auth: UserPool, request: Request) -> Mapping[str, Any]:
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not token:
            raise Unauthorized("send Authorization: Bearer and an access token")
        pool: UserPoolPort = self._context.ports[auth.name]
        return pool.verify(token.strip())

    def _run(self, route: Route, arguments: dict[str, Any], span: Span, deadline: float) -> Response:
        function = route.handler.function
        result = self._context.call(route.handler, span, deadline, lambda: function(**arguments))
        return encoded(result, route.status)

    def _once(
        self,
        route: Route,
        keep: float,
        key: str,
        caller: Caller | None,
        request: Request,
        arguments: dict[str, Any],
        span: Span,
        deadline: float,
    ) -> Response:
        import hashlib  # few routes are idempotent, and a function's start pays for every import

        from windlass.ports.idempotency import Fresh, Running

        if not 1 <= len(key) <= 255 or not key.isascii() or not key.isprintable():
            raise BadRequest("must be 1 to 255 printable ASCII characters", field="header.idempotency-key")
        scope = f"{self._context.system.name}/{route.handler.name}/{caller.id if caller else ''}"
        fingerprint = hashlib.sha256(f"{request.path}?{request.query}\n".encode() + request.body).digest()
        store = self._idempotency
        assert store is not None
        begun = store.begin(scope, key, fingerprint, route.handler.timeout + 1)
        if isinstance(begun, Running):
            raise Conflict("a request with this Idempotency-Key is still running", retry_after=begun.seconds)
        if not isinstance(begun, Fresh):
            if not begun.same:
                raise Unprocessable("this Idempotency-Key was used for another request; use a new one")
            again = begun.response
            return Response(again.status, [*again.headers, ("idempotency-replayed", "true")], again.body)
        try:
            response = self._run(route, arguments, span, deadline)
        except BaseException:
            store.abandon(scope, key, begun)
            raise
        store.finish(scope, key, begun, response, keep)
        return response


def caller_of(claims: Mapping[str, Any]) -> Caller:
    """The caller that a user pool's claims describe."""
    groups = claims.get("cognito:groups", ())
    username = claims.get("username") or claims.get("cognito:username") or ""
    return Caller(str(claims["sub"]), str(username), frozenset(groups), claims)


def encoded(result: Any, status: int) -> Response:
    """What a handler returned, as a response: JSON, or nothing for None, or bytes as they are."""
    extra: list[tuple[str, str]] = []
    if isinstance(result, Reply):
        extra = _checked(result.headers)
        if result.status is not None:
            status = _status(result.status)
        result = result.body
    if result is None:
        return Response(status, extra)
    kind, body = (_BYTES, result) if isinstance(result, bytes) else (_JSON, _encode(result))
    named = any(name == "content-type" for name, _ in extra)
    return Response(status, extra if named else [*kind, *extra], body)


def _status(status: Any) -> int:
    """A handler's own status; any other than these ends the process inside granian, or the connection."""
    if not isinstance(status, int) or not 200 <= status <= 599:
        raise ValueError(f"{status!r} is not the status of an answer")
    return int(status)


def _checked(headers: Mapping[str, Any]) -> list[tuple[str, str]]:
    """A handler's own headers, for the wire. What does not belong there fails here, where it is logged: granian
    drops it and says nothing."""
    checked = []
    for name, value in headers.items():
        if not _HEADER.match(name) or not isinstance(value, str) or not _HEADER_VALUE.match(value):
            raise ValueError(f"{name!r}: {value!r} cannot be a header of an answer")
        if (lower := name.lower()) in _FRAMING:
            raise ValueError(f"the header {name} is set by the server")
        checked.append((lower, value))
    return checked
