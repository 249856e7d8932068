"""Where spans go when they end: into memory, until the engine takes them; and the metrics that follow from them."""

from __future__ import annotations

import threading
import time
from collections import defaultdict, deque
from collections.abc import Callable, Mapping
from typing import Any

from windlass.dispatch.metrics import Metrics, series
from windlass.errors import Misuse, Problem
from windlass.model.resource import Resource
from windlass.ports.binding import running
from windlass.ports.clock import Clock
from windlass.ports.telemetry import Origin, Span, SpanKind, new_span_id, new_trace_id, origin_of

__all__ = ["BUILT_IN", "Telemetry", "told", "traced"]

BUILT_IN = frozenset(
    {
        "calls",
        "duration",
        "errors",
        "mail_failures",
        "messages_dead",
        "messages_failed",
        "messages_handled",
        "messages_received",
        "messages_retried",
        "messages_sent",
        "operation_errors",
        "operation_seconds",
        "operations",
        "queue_age",
        "queue_dead",
        "queue_delayed",
        "queue_depth",
        "queue_in_flight",
        "request_client_errors",
        "request_errors",
        "request_seconds",
        "requests",
        "throttles",
    }
)
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_MOST_SPANS = 200_000
_MOST_TOLD = 300

_perf = time.perf_counter


class Telemetry:
    """What has ended and was not taken yet, at most 200,000 spans: where nobody takes them, the oldest are
    forgotten."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.metrics = Metrics(clock, fold=self._fold)
        self._ended: deque[Span] = deque(maxlen=_MOST_SPANS)
        self._folded: deque[Span] = deque(maxlen=_MOST_SPANS)
        self._lock = threading.Lock()
        self.record: Callable[[Span], None] = self._ended.append

    def begin(self, kind: SpanKind, name: str, system: str, cause: Origin | None = None, **more: Any) -> Span:
        """A span that begins now, in the trace of its cause or one of its own. `more` are fields of `Span`."""
        trace, parent = cause or (new_trace_id(), "")
        return Span(
            kind=kind,
            name=name,
            system=system,
            trace=trace,
            id=new_span_id(),
            parent=parent,
            start=self.clock.now(),
            seconds=-_perf(),
            **more,
        )

    def begin_request(self, method: str, headers: Mapping[str, str], trace: str = "") -> Span:
        """The span of a request, in the trace that its `traceparent` header names, or in `trace`, or in a new one.
        Its system and route are to be filled in when they are known."""
        header = headers.get("traceparent")
        cause = origin_of(header) if header is not None else None
        name = method if method in _METHODS else "OTHER"  # it is whatever a stranger sends
        return self.begin("request", name, "", cause or (Origin(trace, "") if trace else None), handler="-")

    def end(self, span: Span) -> None:
        """The span has ended; to be called once."""
        span.seconds += _perf()
        self.record(span)

    def take(self, most: int = _MOST_SPANS) -> list[Span]:
        """The spans that have ended since the last time, in their order, at most so many."""
        if len(self._folded) < most:
            self._fold(most)
        folded = self._folded
        with self._lock:
            return [folded.popleft() for _ in range(min(len(folded), most))]

    def recorded_since(self, mark: int) -> bool:
        """Whether a span has ended, or anything was counted, after that mark of `metrics`."""
        return bool(self._ended) or self.metrics.recorded_since(mark)

    def _fold(self, most: int = _MOST_SPANS) -> None:
        """Counts the spans that have ended, at most so many."""
        ended = self._ended
        if not ended:
            return
        calls: dict[tuple[int, str, str, str, str, str], list[float]] = defaultdict(list)
        requests: dict[tuple[int, str, str, str, int], list[float]] = defaultdict(list)
        ran: dict[tuple[int, str, str, str], list[float]] = defaultdict(list)
        with self._lock:
            spans = [ended.popleft() for _ in range(min(len(ended), most))]
            self._folded.extend(spans)
        for span in spans:
            minute = int((span.start + span.seconds) // 60)  # minute_of, for each of very many
            if span.kind == "call":
                calls[minute, span.system, span.noun, span.resource, span.operation, span.outcome].append(span.seconds)
                continue
            if span.kind == "request":
                requests[minute, span.system, span.resource, span.handler, span.status].append(span.seconds)
            if span.ran >= 0:
                ran[minute, span.system, span.handler, span.outcome].append(span.ran)
        for call, seconds in calls.items():
            self._count_calls(*call, seconds)
        for request, seconds in requests.items():
            self._count_requests(*request, seconds)
        for (minute, system, handler, outcome), seconds in ran.items():
            labels = {"system": system, "handler": handler}
            count, repeat = len(seconds), self.metrics.repeat
            repeat(series("calls", **labels, outcome=outcome), minute, 1.0, count)
            repeat(series("errors", **labels), minute, float(outcome == "error"), count)
            self.metrics.add(series("duration", **labels), minute, seconds)

    def _count_calls(
        self, minute: int, system: str, noun: str, resource: str, operation: str, outcome: str, seconds: list[float]
    ) -> None:
        labels = {"system": system, "noun": noun, "resource": resource, "operation": operation}
        count, repeat = len(seconds), self.metrics.repeat
        repeat(series("operations", **labels, outcome=outcome), minute, 1.0, count)
        repeat(series("operation_errors", **labels), minute, float(outcome == "error"), count)
        self.metrics.add(series("operation_seconds", **labels), minute, seconds)

    def _count_requests(
        self, minute: int, system: str, api: str, handler: str, status: int, seconds: list[float]
    ) -> None:
        labels = {"system": system, "api": api, "handler": handler}
        count, repeat = len(seconds), self.metrics.repeat
        repeat(series("requests", **labels, status=str(status)), minute, 1.0, count)
        repeat(series("request_errors", **labels), minute, float(status >= 500), count)
        repeat(series("request_client_errors", **labels), minute, float(400 <= status < 500), count)
        repeat(series("throttles", **labels), minute, float(status == 429), count)
        self.metrics.add(series("request_seconds", **labels), minute, seconds)


def told(span: Span, error: BaseException) -> None:
    """Notes on a span what was raised: an error, or a refusal that is the caller's own."""
    refused = isinstance(error, Problem) and not isinstance(error, Misuse) and error.status < 500
    refused = refused and span.kind not in ("delivery", "tick")  # there is no caller whose fault it could be
    span.outcome = "refused" if refused else "error"
    try:
        text = f"{type(error).__name__}: {error}"
    except Exception:  # a handler's own exception may fail to say what it is
        text = type(error).__name__
    span.error = text[:_MOST_TOLD].encode(errors="replace").decode()


class _Calls:
    """A resource's port whose calls leave a span each, in the trace of the running handler."""

    def __init__(self, **methods: Callable[..., Any]) -> None:
        vars(self).update(methods)


def traced(port: Any, resource: Resource, telemetry: Telemetry) -> Any:
    """`port`, with a span for each call of one of its methods by a handler."""
    kind = type(port)
    names = [name for name in dir(kind) if not name.startswith("_") and callable(getattr(kind, name))]
    return _Calls(**{name: _timed(getattr(port, name), name, resource, telemetry) for name in names})


def _timed(method: Callable[..., Any], operation: str, resource: Resource, telemetry: Telemetry) -> Callable[..., Any]:
    record, now = telemetry.record, telemetry.clock.now
    system, noun, name, title = resource.system.name, resource.noun, resource.name, f"{resource.name}.{operation}"

    def call(*args: Any, **kwargs: Any) -> Any:
        invocation = running()
        if invocation is None:
            return method(*args, **kwargs)
        span = Span(
            kind="call",
            name=title,
            system=system,
            trace=invocation.trace_id,
            id=new_span_id(),
            parent=invocation.span_id,
            start=now(),
            seconds=-_perf(),
            resource=name,
            noun=noun,
            operation=operation,
        )
        try:
            return method(*args, **kwargs)
        except BaseException as error:
            told(span, error)
            raise
        finally:
            span.seconds += _perf()
            record(span)

    return call
