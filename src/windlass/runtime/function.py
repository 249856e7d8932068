"""A Lambda function: one handler of a system, and every event that AWS may start it with."""

from __future__ import annotations

import contextvars
import difflib
import os
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Protocol

from windlass.dispatch.context import logger
from windlass.dispatch.redact import Redactor
from windlass.engines.aws.engine import AwsSystem
from windlass.engines.aws.stage import Stage
from windlass.errors import HandlerTimeout, NotFound, Problem, WindlassError
from windlass.model.handler import Handler
from windlass.model.system import System
from windlass.ports.telemetry import Origin, new_trace_id, origin_of
from windlass.runtime.events.malformed import MalformedEvent
from windlass.runtime.limit import Limit
from windlass.runtime.recorder import Recorder

if TYPE_CHECKING:
    from windlass.engines.aws.clients import Clients
    from windlass.ports.api import Response
    from windlass.runtime.environment import Environment

__all__ = ["Function", "LambdaContext", "TickFailed", "UnknownEvent", "function_of", "handler_called", "redactor_for"]

_MARGIN_SECONDS = 0.25
"""What is left of the function's time for the answer, when its handler is given up."""


class LambdaContext(Protocol):
    """What Lambda tells an invocation of itself
    (https://docs.aws.amazon.com/lambda/latest/dg/python-context.html)."""

    @property
    def aws_request_id(self) -> str: ...

    @property
    def invoked_function_arn(self) -> str: ...

    def get_remaining_time_in_millis(self) -> int: ...


class UnknownEvent(WindlassError):
    """An event of a kind that starts no handler here."""


class TickFailed(WindlassError):
    """A firing whose handler raised: raised itself, so that Lambda tries it again."""


Serve = Callable[[Any, float], Any]


class Function:
    """Runs one handler of `system`, the one that the engine's `only` names. `recorder` writes what it leaves; without
    one, spans and metrics stay in the engine's telemetry."""

    def __init__(self, system: AwsSystem, recorder: Recorder | None = None) -> None:
        assert system.only is not None
        self.system, self._recorder = system, recorder
        if recorder is not None:
            recorder.watch(system.model)
        self._handler = handler_called(system.model, system.only)
        kinds: Mapping[str, tuple[str, Callable[[], Serve]]] = {
            "route": ("requestContext", self._requests),
            "authorizer": ("requestContext", self._authorizer),
            "queue": ("Records", self._messages),
            "schedule": ("windlass", self._ticks),
        }
        self._mark, serve = kinds[self._handler.kind]
        self._serve = serve()

    def __call__(self, event: object, context: LambdaContext) -> Any:
        """Handles an event; returns what AWS expects for its kind. Raises UnknownEvent, MalformedEvent, TickFailed."""
        recorder, handler = self._recorder, self._handler
        if recorder is not None:
            recorder.begin(context.aws_request_id, os.environ.get("_X_AMZN_TRACE_ID"))
        try:
            left = context.get_remaining_time_in_millis() / 1000 - _MARGIN_SECONDS
            deadline = time.monotonic() + min(left, handler.timeout)
            if not isinstance(event, Mapping) or self._mark not in event:
                raise UnknownEvent(
                    f"{handler.name} is started by {handler.trigger}, and this event is of another kind: it has "
                    f"no {self._mark}"
                )
            # In a context of its own: what the handler leaves in a ContextVar is not there at the next event.
            return contextvars.copy_context().run(self._serve, event, deadline)
        except (UnknownEvent, MalformedEvent) as error:
            logger.error("%s was not run: %s", handler.name, error)
            raise
        finally:
            if recorder is not None:
                recorder.end(self.system.telemetry)

    @property
    def _cause(self) -> Origin | None:
        """The trace that Lambda runs this invocation in."""
        trace = self._recorder.trace if self._recorder is not None else None
        return None if trace is None else trace.origin

    # ---- a factory for each kind of handler, which imports what that kind needs and no other does

    def _requests(self) -> Serve:
        from windlass.dispatch.problem import as_problem, problem_response
        from windlass.runtime.events.http import MOST_BYTES, answer_of, request_of, size_of

        http, name = self.system.http, self._handler.name

        def refused(error: Exception, trace: str) -> Response:
            if not isinstance(error, Problem):
                logger.error("%s could not answer: %s", name, error, extra={"trace_id": trace})
            return problem_response(as_problem(error), trace)

        def serve(event: Mapping[str, Any], deadline: float) -> dict[str, Any]:
            cause = self._cause
            trace = cause.trace if cause is not None else ""
            try:
                request = request_of(event)
                request.trace_id = trace
                with Limit(deadline, name):
                    response = http.handle(request, deadline)
                trace = request.trace_id
            except (Problem, MalformedEvent, HandlerTimeout) as error:
                trace = trace or new_trace_id()
                response = refused(error, trace)
            answer = answer_of(response, trace)
            size = size_of(answer)
            if size > MOST_BYTES:
                fault = f"its answer has {size:,} bytes as JSON; the most that Lambda takes is {MOST_BYTES:,}"
                answer = answer_of(refused(WindlassError(fault), trace), trace)
            return answer

        return serve

    def _authorizer(self) -> Serve:
        from windlass.dispatch.problem import as_problem
        from windlass.runtime.events.authorizer import decision_of, refusal_of, without_body
        from windlass.runtime.events.http import request_of

        http, handler = self.system.http, self._handler

        def serve(event: Mapping[str, Any], deadline: float) -> dict[str, Any]:
            cause = self._cause
            try:
                request = request_of(without_body(event))
                cause = origin_of(request.headers.get("traceparent", "")) or cause
                with Limit(deadline, handler.name):
                    caller = http.authorize(handler, request, deadline, cause)
                return decision_of(caller)
            except Exception as error:
                problem = as_problem(error)
                if problem.status >= 500:
                    extra = {"trace_id": cause.trace} if cause is not None else {}
                    logger.error("%s failed", handler.name, exc_info=error, extra=extra)
                return refusal_of(problem)

        return serve

    def _messages(self) -> Serve:
        from windlass.runtime.events.queue import failed, messages_of
        from windlass.runtime.xray import senders_in

        name = self._handler.trigger.removeprefix("queue ")
        dispatch = self.system.messages(name)

        def serve(event: Mapping[str, Any], deadline: float) -> dict[str, Any]:
            cause = self._cause
            received = messages_of(event, str(cause) if cause is not None else None)
            if self._recorder is not None:
                self._recorder.senders = senders_in(event)
            for id, reason in received.unread.items():
                logger.error("message %s of %s was not handled: %s", id, name, reason)
            try:
                with Limit(deadline, self._handler.name):
                    failures = dispatch.handle(received.messages, deadline)
            except HandlerTimeout as error:  # between two messages: which of them were handled is not known
                logger.error("%s", error)
                failures = {message.id: str(error) for message in received.messages}
            return failed([*received.unread, *failures])

        return serve

    def _ticks(self) -> Serve:
        from windlass.runtime.events.schedule import tick_of

        own = self._handler.trigger.removeprefix("schedule ")
        dispatch = self.system.ticks(own)

        def serve(event: Mapping[str, Any], deadline: float) -> None:
            name, tick = tick_of(event)
            if name != own:
                raise UnknownEvent(f"{self._handler.name} is started by the schedule {own}, not by {name}")
            with Limit(deadline, self._handler.name):
                succeeded = dispatch.handle(tick, deadline, self._cause)
            if not succeeded:
                raise TickFailed(f"{self._handler.name} failed, attempt {tick.attempt}")

        return serve


def handler_called(system: System, name: str) -> Handler:
    """The handler of that name. Raises NotFound, which says what is near."""
    handlers = {handler.name: handler for handler in system.handlers}
    if name in handlers:
        return handlers[name]
    near = difflib.get_close_matches(name, handlers, 3)
    known = f"did you mean {' or '.join(near)}?" if near else f"its handlers are {', '.join(handlers) or 'none'}"
    raise NotFound(f"{system.name} has no handler {name!r}\n  fix: {known}")


def function_of(
    system: System, environment: Environment, recorder: Recorder, clients: Clients, account: str
) -> Function:
    """The function that `environment` describes, in an AWS account of twelve digits. Raises NotFound for a handler that
    the system does not have, EngineUnavailable for an environment that does not say all that the handler needs."""
    stage = Stage.of_environment(system.name, environment.variables, account)
    handler = handler_called(system, environment.handler)
    key = environment.cursor_key
    made = AwsSystem(system, stage, clients, cursor_key=key, only=handler.name, redactor=recorder.redactor)
    return Function(made, recorder)


def redactor_for(environment: Environment) -> Redactor:
    """A redactor that knows the secrets of the environment."""
    redactor = Redactor()
    for secret in environment.secrets:
        redactor.add(secret)
    return redactor
