"""Calls of resources by handlers: a span for each, and their count and how long they took."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any

from windlass.dispatch.metrics import Metrics, minute_of, series
from windlass.dispatch.telemetry import Telemetry, told
from windlass.model.resource import Resource
from windlass.ports.binding import running
from windlass.ports.telemetry import Outcome, Span, new_span_id

__all__ = ["traced"]

_MOST_PENDING = 200_000

_perf = time.perf_counter


class _Calls:
    """A resource's port whose calls leave a span each, in the trace of the running handler."""

    def __init__(self, **methods: Callable[..., Any]) -> None:
        vars(self).update(methods)


class _Meter:
    """How long the calls of one operation took, those of one minute, until they are counted together. Of very many
    calls, that costs a third of counting them by their spans."""

    __slots__ = ("_labels", "_lock", "_metrics", "_minute", "since", "succeeded", "until")

    def __init__(self, metrics: Metrics, **labels: str) -> None:
        self._metrics, self._labels = metrics, labels
        self._lock = threading.Lock()
        self._minute = 0
        self.since = self.until = 0.0
        self.succeeded: deque[float] = deque(maxlen=_MOST_PENDING)

    def turn(self, now: float) -> None:
        """Begins with the minute that `now` is in."""
        with self._lock:
            self._flush()
            self._minute = minute_of(now)
            self.since, self.until = self._minute * 60.0, self._minute * 60.0 + 60.0

    def flush(self) -> None:
        """Counts what has gathered."""
        if self.succeeded:
            with self._lock:
                self._flush()

    def _flush(self) -> None:
        succeeded = self.succeeded
        if seconds := [succeeded.popleft() for _ in range(len(succeeded))]:
            self.count(self._minute, "ok", seconds)

    def count(self, minute: int, outcome: Outcome, seconds: list[float]) -> None:
        """Counts calls that ended in a minute, alike."""
        labels, metrics = self._labels, self._metrics
        metrics.repeat(series("operations", **labels, outcome=outcome), minute, 1.0, len(seconds))
        metrics.repeat(series("operation_errors", **labels), minute, float(outcome == "error"), len(seconds))
        metrics.add(series("operation_seconds", **labels), minute, seconds)


def traced(port: Any, resource: Resource, telemetry: Telemetry) -> Any:
    """`port`, with a span for each call of one of its methods by a handler."""
    kind = type(port)
    names = [name for name in dir(kind) if not name.startswith("_") and callable(getattr(kind, name))]
    return _Calls(**{name: _timed(getattr(port, name), name, resource, telemetry) for name in names})


def _timed(method: Callable[..., Any], operation: str, resource: Resource, telemetry: Telemetry) -> Callable[..., Any]:
    record = telemetry.record
    system, noun, name, title = resource.system.name, resource.noun, resource.name, f"{resource.name}.{operation}"
    meter = _Meter(telemetry.metrics, system=system, noun=noun, resource=name, operation=operation)
    telemetry.count_with(meter.flush)
    noted = meter.succeeded.append

    def call(*args: Any, **kwargs: Any) -> Any:
        invocation = running()
        if invocation is None:
            return method(*args, **kwargs)
        began = _perf()
        error: BaseException | None = None
        try:
            return method(*args, **kwargs)
        except BaseException as raised:
            error = raised
            raise
        finally:
            ended = _perf()
            seconds = ended - began
            span = Span(
                kind="call",
                name=title,
                system=system,
                trace=invocation.trace_id,
                id=new_span_id(),
                parent=invocation.span_id,
                start=invocation.epoch + began,
                seconds=seconds,
                resource=name,
                noun=noun,
                operation=operation,
            )
            ended += invocation.epoch
            if error is not None:
                told(span, error)
                meter.count(minute_of(ended), span.outcome, [seconds])
            else:
                if not meter.since <= ended < meter.until:
                    meter.turn(ended)
                noted(seconds)
            record(span)

    return call
