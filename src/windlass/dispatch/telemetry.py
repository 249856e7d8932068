"""Where spans go when they end: into memory, until the engine takes them; and the metrics that follow from them."""

from __future__ import annotations

import threading
import time
from collections import defaultdict, deque
from collections.abc import Callable, Mapping
from typing import Any

from windlass.dispatch.metrics import Metrics, series
from windlass.errors import Misuse, Problem
from windlass.ports.clock import Clock
from windlass.ports.telemetry import Origin, Outcome, Span, SpanKind, new_span_id, new_trace_id, origin_of

__all__ = ["BUILT_IN", "Telemetry", "told"]

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
        self._counting: list[Callable[[], None]] = []
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
        with self._lock:
            folded = self._folded
            spans = [folded.popleft() for _ in range(min(len(folded), most))]
            return spans + self._count_ended(most - len(spans))

    def recorded_since(self, mark: int) -> bool:
        """Whether a span has ended, or anything was counted, after that mark of `metrics`."""
        return bool(self._ended) or self.metrics.recorded_since(mark)

    def count_with(self, flush: Callable[[], None]) -> None:
        """Calls are counted by who makes their spans: `flush` adds to `metrics` what was not added yet."""
        self._counting.append(flush)

    def _fold(self) -> None:
        """Counts what has ended. The spans wait to be taken."""
        with self._lock:
            self._folded.extend(self._count_ended(_MOST_SPANS))

    def _count_ended(self, most: int) -> list[Span]:
        """Counts the spans that have ended, at most so many, and all calls; returns the spans."""
        ended = self._ended
        spans = [ended.popleft() for _ in range(min(len(ended), most))]
        for flush in self._counting:
            flush()
        groups: dict[tuple[int, SpanKind, str, str, str, int, Outcome], list[Span]] = defaultdict(list)
        for span in spans:
            kind = span.kind
            if kind != "call":
                minute = int((span.start + span.seconds) // 60)  # minute_of, for each of very many
                alike = (minute, kind, span.system, span.resource, span.handler, span.status, span.outcome)
                groups[alike].append(span)
        for (minute, kind, system, resource, handler, status, outcome), group in groups.items():
            if kind == "request":
                self._count_requests(minute, system, resource, handler, status, [span.seconds for span in group])
            if ran := [span.ran for span in group if span.ran >= 0]:
                self._count_runs(minute, system, handler, outcome, ran)
        return spans

    def _count_runs(self, minute: int, system: str, handler: str, outcome: Outcome, seconds: list[float]) -> None:
        labels = {"system": system, "handler": handler}
        count, repeat = len(seconds), self.metrics.repeat
        repeat(series("calls", **labels, outcome=outcome), minute, 1.0, count)
        repeat(series("errors", **labels), minute, float(outcome == "error"), count)
        self.metrics.add(series("duration", **labels), minute, seconds)

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
