"""The HTTP server: granian in front, one path prefix for each system, handlers on the workers' threads.

The event loop reads requests and nothing else; a worker thread serves them and hands the answer to granian when
what it rests on is durable.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections import deque
from typing import Any

from granian.rsgi import ProtocolClosed  # type: ignore[attr-defined]

from windlass.dispatch.context import logger
from windlass.dispatch.http import Match, Target
from windlass.dispatch.problem import as_problem, problem_response
from windlass.engines.embedded.api import cors_headers, preflight
from windlass.engines.embedded.engine import EmbeddedEngine, EmbeddedSystem
from windlass.engines.embedded.own_pages import own_page
from windlass.engines.embedded.prometheus import metrics_page
from windlass.engines.embedded.site import site_answer
from windlass.errors import (
    BadRequest,
    EngineUnavailable,
    GatewayTimeout,
    LengthRequired,
    NotFound,
    PayloadTooLarge,
    Problem,
    RequestTimeout,
    ServiceUnavailable,
)
from windlass.model.api import Api
from windlass.ports.api import Request, Response
from windlass.ports.telemetry import Span

__all__ = ["Gateway"]

_BODY_SECONDS = 30.0
_GATHER_SECONDS = 0.004
_ENOUGH = 0.75
_SAFE = [("x-content-type-options", "nosniff")]


class Gateway:
    """The RSGI application over an engine; `ready` turns true when it may serve."""

    def __init__(self, engine: EmbeddedEngine) -> None:
        self._engine = engine
        self.store = engine.namespace.store
        self.workers = engine.workers
        self.telemetry = engine.telemetry
        self._resolver: _Resolver | None = None
        self._reading = _Reading()
        self._gathered = self._answered = 0
        self._timer: asyncio.TimerHandle | None = None
        self.ready = False

    async def __call__(self, scope: Any, proto: Any) -> None:
        """Serves one request. `scope` and `proto` are granian's, which have no public types of their own."""
        headers = _headers(scope.headers)
        span = self.telemetry.begin_request(scope.method, headers)
        try:
            job = await self._job(scope, proto, headers, span)
        except ProtocolClosed:
            logger.debug("%s %s: the client left before its body was here", scope.method, scope.path)
            return
        except Exception as error:
            if not isinstance(error, Problem):
                logger.error("%s failed", span.name, exc_info=error, extra={"trace_id": span.trace})
            self._refuse(scope, proto, as_problem(error), span)
            return
        if isinstance(job, Response):
            # Health and metrics are asked for all the time, and nothing comes of them.
            kept = span.system in self._engine.systems
            self._answer(proto, job, span.trace if kept else "")
            if kept:
                self._end(span, job)
            return
        if not self.workers.enqueue(job):
            busy = ServiceUnavailable("too many requests wait already; come again", retry_after=1)
            self._refuse(scope, proto, busy, span)
            return
        self._gathered += 1
        if self._gathered >= self._answered * _ENOUGH:
            self._kick()
        elif self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(_GATHER_SECONDS, self._kick)
        await job.done
        self._answered += 1

    def _kick(self) -> None:
        """Lets the workers begin with what has gathered.

        Clients that were answered together come again together. A worker that began with the first of them would
        commit for it alone and fight with the event loop for the interpreter; so it waits, for some milliseconds at
        the most, until there are most of those again that were answered since the last time. A client that is alone
        never waits, nor does one beside others whose requests take long.
        """
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._gathered = self._answered = 0
        self.workers.kick()

    def _refuse(self, scope: Any, proto: Any, problem: Problem, span: Span) -> None:
        """Answers a request that no worker takes."""
        response = problem_response(problem, span.trace)
        response.headers += self._early_cors(scope)
        self._answer(proto, response, span.trace)
        span.system = span.system or scope.path.split("/", 2)[1]
        if span.system not in self._engine.systems:
            span.system = "-"
        self._end(span, response)

    def _end(self, span: Span, response: Response) -> None:
        span.status = response.status
        self.telemetry.end(span)

    async def _job(self, scope: Any, proto: Any, headers: dict[str, str], span: Span) -> _RequestJob | Response:
        path: str = scope.path
        _, _, rest = path.partition("/")
        name, slash, below = rest.partition("/")
        system = self._engine.systems.get(name)
        if scope.proto != "http":
            raise NotFound("there are no WebSockets here")
        own = below.startswith("_") or not slash or (not below and system is not None and not system.http.allowed("/"))
        if path == "/_windlass/metrics" and scope.method in ("GET", "HEAD"):
            return await asyncio.to_thread(metrics_page, self._engine)
        if system is None or own:
            page = own_page(self._engine, self.ready, scope.method, path)
            if page is not None:
                if system is not None:
                    span.system, span.name = name, f"{span.name} page"
                return page
        if system is None:
            raise NotFound("there is no system at this path; GET / lists them")
        method: str = scope.method
        inner = "/" + below
        if method == "OPTIONS" and "access-control-request-method" in headers:
            span.system, span.name = name, "preflight"
            return self._preflight(system, inner, headers)
        try:
            match = system.http.match(method, inner)
        except NotFound:
            page = await asyncio.to_thread(site_answer, system.model, system.ports, method, inner, headers)
            span.system = name
            if page is None:
                raise
            span.name = f"{span.name} site"
            return page
        route = match[0].route
        span.system, span.name, span.resource, span.handler = name, match[0].name, route.api.name, route.handler.name
        body = b""
        if method in ("POST", "PUT", "PATCH") or "content-length" in headers or "transfer-encoding" in headers:
            body = await self._body(match[0], headers, proto)
        remote = scope.client.rpartition(":")[0]
        request = Request(method, inner, scope.query_string, headers, body, remote, span.trace, span)
        loop = asyncio.get_running_loop()
        if self._resolver is None:
            self._resolver = _Resolver(loop)
        return _RequestJob(self, system, request, span, match, proto, loop.create_future(), self._resolver)

    async def _body(self, target: Target, headers: dict[str, str], proto: Any) -> bytes:
        """The whole body, of which no more than the route takes is read."""
        route = target.route
        most = route.max_body
        declared = headers.get("content-length")
        if declared is None and target.bind.raw_body:
            # granian does not tell a chunked body that was cut off from one that ended; JSON does.
            raise LengthRequired("send Content-Length: a body of bytes is not taken in chunks")
        if declared is not None:
            if not declared.isdigit() or len(declared) > 15:
                raise BadRequest("Content-Length is not a number", field="header.content-length")
            if int(declared) > most:
                raise PayloadTooLarge(f"the body has {int(declared):,} bytes; the most is {most:,}")
        task = self._reading.begin()
        try:
            if declared is not None:
                whole: bytes = await proto()
                return whole
            chunks, size = [], 0
            async for chunk in proto:
                size += len(chunk)
                if size > most:
                    raise PayloadTooLarge(f"the body has more than {most:,} bytes")
                chunks.append(chunk)
            return b"".join(chunks)
        except asyncio.CancelledError:
            if not self._reading.is_late(task):
                raise
            task.uncancel()
            raise RequestTimeout("the body did not arrive in time") from None
        finally:
            self._reading.end(task)

    def give_up_reading(self) -> None:
        """Cuts off the bodies that are still on their way, with 408; called a while after the server was to stop."""
        self._reading.give_up()

    def _preflight(self, system: EmbeddedSystem, path: str, headers: dict[str, str]) -> Response:
        methods = system.http.allowed(path)
        if not methods:
            raise NotFound("there is nothing at this path")
        route = system.http.match(methods[0], path)[0].route
        wanted = headers.get("access-control-request-headers", "")
        return preflight(route.api, headers.get("origin", ""), methods, wanted)

    def _early_cors(self, scope: Any) -> list[tuple[str, str]]:
        """What lets a browser page read an error that came before a route was known or its handler ran."""
        origin = scope.headers.get("origin")
        system = self._engine.systems.get(scope.path.split("/", 2)[1]) if scope.path.startswith("/") else None
        if origin is None or system is None:
            return []
        return next((headers for api in system.model.of(Api) if (headers := cors_headers(api, origin))), [])

    def _answer(self, proto: Any, response: Response, trace_id: str) -> None:
        headers = [*response.headers, *_SAFE]
        if trace_id:
            headers.append(("x-trace-id", trace_id))
        try:
            if response.body:
                proto.response_bytes(response.status, headers, response.body)
            else:
                proto.response_empty(response.status, headers)
        except Exception as error:
            # The client has gone; what it asked for was done all the same.
            logger.debug("an answer could not be sent: %s", error)


class _RequestJob:
    """A request on the workers' line, answered once: by its outcome, or by its deadline."""

    __slots__ = (
        "_gateway",
        "_match",
        "_once",
        "_proto",
        "_request",
        "_resolver",
        "_response",
        "_span",
        "_system",
        "deadline",
        "done",
        "since",
    )

    def __init__(
        self,
        gateway: Gateway,
        system: EmbeddedSystem,
        request: Request,
        span: Span,
        match: Match,
        proto: Any,
        done: asyncio.Future[None],
        resolver: _Resolver,
    ) -> None:
        self._gateway, self._system, self._request, self._proto = gateway, system, request, proto
        self._span = span
        self._match, self.done, self._resolver = match, done, resolver
        self._once = threading.Lock()
        self._response: Response | None = None
        self.since = time.monotonic()
        self.deadline = self.since + match[0].route.handler.timeout

    def run(self) -> None:
        mark = self._gateway.store.mark()
        response = self._system.http.handle(self._request, self.deadline, self._match)
        origin = self._request.headers.get("origin")
        if origin is not None:
            response.headers = [*response.headers, *cors_headers(self._match[0].route.api, origin)]
        self._response = response
        # While more requests wait in the line, answers go out together: one that went out by itself would bring the
        # next request at once, whose reading fights with this thread for the interpreter.
        gateway = self._gateway
        gateway.store.after_commit(self._committed, mark, together=gateway.workers.waiting)
        try:
            gateway.store.give_way()
        except EngineUnavailable as error:
            logger.error("what was written could not be stored: %s", error)

    def _committed(self, error: EngineUnavailable | None) -> None:
        response = self._response
        if error is not None or response is None:
            unstored = ServiceUnavailable("the state cannot be written now; nothing was stored", retry_after=5)
            response = self._problem(unstored)
        self._send(response)

    def expire(self) -> None:
        late = GatewayTimeout("the request took too long and was given up")
        logger.error(
            "%s was given up: its handler hangs",
            self._span.name,
            extra={"trace_id": self._request.trace_id, "system": self._system.model.name},
        )
        self._send(self._problem(late))

    def refuse(self) -> None:
        self._send(self._problem(ServiceUnavailable("too many requests wait already; come again", retry_after=1)))

    def _problem(self, problem: Problem) -> Response:
        response = problem_response(problem, self._request.trace_id)
        origin = self._request.headers.get("origin")
        if origin is not None:
            response.headers += cors_headers(self._match[0].route.api, origin)
        return response

    def _send(self, response: Response) -> None:
        if self._once.acquire(blocking=False):
            self._gateway._answer(self._proto, response, self._request.trace_id)
            self._gateway._end(self._span, response)
            self._resolver.resolve(self.done)


class _Resolver:
    """Tells the event loop that requests are done, many at a time: waking it costs a system call."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._done: deque[asyncio.Future[None]] = deque()
        self._scheduled = False

    def resolve(self, future: asyncio.Future[None]) -> None:
        self._done.append(future)
        if not self._scheduled:
            self._scheduled = True
            try:
                self._loop.call_soon_threadsafe(self._run)
            except RuntimeError:  # the loop was closed: the server has stopped and nobody waits
                self._done.clear()

    def _run(self) -> None:
        self._scheduled = False
        while self._done:
            future = self._done.popleft()
            if not future.done():
                future.set_result(None)


class _Reading:
    """The tasks that read a body now. One timer looks after all of them: a timer for each costs as much as
    serving the request."""

    def __init__(self) -> None:
        self._since: dict[asyncio.Task[Any], float] = {}
        self._late: set[asyncio.Task[Any]] = set()
        self._timer: asyncio.TimerHandle | None = None

    def begin(self) -> asyncio.Task[Any]:
        """The running task, to be cancelled when it has not come to its `end` within 30 seconds or so."""
        task = asyncio.current_task()
        assert task is not None
        loop = asyncio.get_running_loop()
        self._since[task] = loop.time()
        if self._timer is None:
            self._timer = loop.call_later(1.0, self._look, loop)
        return task

    def is_late(self, task: asyncio.Task[Any]) -> bool:
        """Whether it was this that cancelled the task."""
        return task in self._late

    def end(self, task: asyncio.Task[Any]) -> None:
        """The body is here, or given up."""
        self._late.discard(task)
        del self._since[task]

    def give_up(self) -> None:
        """Cancels every task that still reads."""
        for task in self._since:
            self._late.add(task)
            task.cancel()

    def _look(self, loop: asyncio.AbstractEventLoop) -> None:
        before = loop.time() - _BODY_SECONDS
        for task, since in self._since.items():
            if since < before:
                self._late.add(task)
                task.cancel()
        self._timer = loop.call_later(1.0, self._look, loop) if self._since else None


def _headers(headers: Any) -> dict[str, str]:
    """Header names in lower case, as granian gives them; the values of one that is repeated in a row, as RFC 9110, 5.3
    reads them, and as API Gateway hands them on."""
    items = headers.items()
    found = dict(items)
    if len(found) < len(items):
        found = {}
        for name, value in items:
            between = "; " if name == "cookie" else ", "
            found[name] = f"{found[name]}{between}{value}" if name in found else value
    return found
