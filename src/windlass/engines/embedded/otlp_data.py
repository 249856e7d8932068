"""Spans, log entries and metrics as OpenTelemetry's SDK has them, for its exporters to encode.

The names of attributes are those of https://opentelemetry.io/docs/specs/semconv/ where it has one.
"""

from __future__ import annotations

import os
import socket
import time
from collections import defaultdict
from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any

from opentelemetry._logs import LogRecord, SeverityNumber
from opentelemetry.sdk._logs import ReadableLogRecord
from opentelemetry.sdk.metrics.export import (
    AggregationTemporality,
    Gauge,
    Histogram,
    HistogramDataPoint,
    Metric,
    MetricsData,
    NumberDataPoint,
    ResourceMetrics,
    ScopeMetrics,
    Sum,
)
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import (
    Link,
    NonRecordingSpan,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    TraceFlags,
    set_span_in_context,
)

from windlass.dispatch.log_entries import LogEntry
from windlass.dispatch.metrics import Distribution, Series
from windlass.engines.embedded.metric_catalogue import SECONDS_BOUNDS, cumulative, described
from windlass.ports.telemetry import Span

__all__ = ["log_record", "metrics_data", "readable_span"]

_SCOPE = InstrumentationScope("windlass")
_SAMPLED = TraceFlags(TraceFlags.SAMPLED)
_KINDS = {"request": SpanKind.SERVER, "delivery": SpanKind.CONSUMER, "call": SpanKind.CLIENT}
_SEVERITIES = {
    "DEBUG": SeverityNumber.DEBUG,
    "INFO": SeverityNumber.INFO,
    "WARNING": SeverityNumber.WARN,
    "ERROR": SeverityNumber.ERROR,
    "CRITICAL": SeverityNumber.FATAL,
}


@cache
def _resource(system: str) -> Resource:
    """The system as a service, of which this process is an instance."""
    return Resource.create(
        {
            "service.name": system or "windlass",
            "service.namespace": "windlass",
            "service.instance.id": f"{socket.gethostname()}-{os.getpid()}",
        }
    )


def readable_span(span: Span) -> ReadableSpan:
    """A span as the exporter takes it. Raises ValueError when its ids are none."""
    start = round(span.start * 1e6) * 1000  # a float knows no nanoseconds
    if span.outcome == "error" or (span.kind == "request" and span.status >= 500):
        status = Status(StatusCode.ERROR, span.error or None)
    else:
        status = Status(StatusCode.UNSET)
    kind = SpanKind.PRODUCER if span.noun == "queue" and span.operation == "send" else _KINDS.get(span.kind)
    return ReadableSpan(
        name=span.name,
        context=_context(span.trace, span.id),
        parent=_context(span.trace, span.parent) if span.parent else None,
        resource=_resource(span.system),
        attributes=_attributes(span),
        links=[Link(_context(*link.split("-", 1))) for link in span.links if "-" in link],
        kind=kind or SpanKind.INTERNAL,
        status=status,
        start_time=start,
        end_time=start + round(max(span.seconds, 0.0) * 1e9),
        instrumentation_scope=_SCOPE,
    )


def _attributes(span: Span) -> dict[str, Any]:
    attributes: dict[str, Any] = {
        "windlass.kind": span.kind,
        "windlass.handler": span.handler,
        "windlass.resource": span.resource,
        "windlass.noun": span.noun,
        "windlass.operation": span.operation,
        "windlass.outcome": span.outcome,
        "windlass.error": span.error,
    }
    if span.kind == "request":
        method, _, route = span.name.partition(" ")
        attributes |= {"http.request.method": method, "http.route": route, "http.response.status_code": span.status}
    elif span.kind == "delivery":
        attributes |= {
            "messaging.system": "windlass",
            "messaging.destination.name": span.resource,
            "messaging.batch.message_count": span.count,
        }
    if span.outcome == "error":
        attributes["error.type"] = span.error.partition(":")[0]
    return {name: value for name, value in attributes.items() if value}


def log_record(entry: LogEntry) -> ReadableLogRecord:
    """A log entry as the exporter takes it."""
    at = round(entry.time.timestamp() * 1e6) * 1000
    try:
        context = set_span_in_context(NonRecordingSpan(_context(entry.trace_id, entry.span_id or "0")))
    except ValueError:
        context = None  # of no trace
    record = LogRecord(
        timestamp=at,
        observed_timestamp=at,
        context=context,
        severity_text=entry.level,
        severity_number=_SEVERITIES.get(entry.level, SeverityNumber.UNSPECIFIED),
        body=entry.message,
        attributes={"windlass.handler": entry.handler} if entry.handler else {},
    )
    return ReadableLogRecord(record, _resource(entry.system), InstrumentationScope(entry.logger))


def metrics_data(totals: Mapping[Series, Distribution], gauges: Mapping[Series, float], since: int) -> MetricsData:
    """What this process has measured since `since`, as cumulative metrics; times are in epoch nanoseconds. `gauges`
    are the last samples."""
    now = time.time_ns()
    by_system: dict[str, dict[str, list[tuple[dict[str, str], Distribution]]]] = defaultdict(lambda: defaultdict(list))
    for (name, labels), total in totals.items():
        have = dict(labels)
        by_system[have.pop("system", "")][name].append((have, total))
    last: dict[str, dict[str, list[NumberDataPoint]]] = defaultdict(lambda: defaultdict(list))
    for (name, labels), value in gauges.items():
        have = dict(labels)
        last[have.pop("system", "")][name].append(NumberDataPoint(have, since, now, value))
    found = []
    for system in sorted({*by_system, *last}):
        metrics = [_metric(name, points, since, now) for name, points in by_system[system].items()]
        for name, points in last[system].items():
            unit = "s" if name == "queue_age" else "{message}"
            metrics.append(Metric(f"windlass.{name}", described(name).about, unit, Gauge(points)))
        found.append(ResourceMetrics(_resource(system), [ScopeMetrics(_SCOPE, metrics, "")], ""))
    return MetricsData(found)


def _metric(name: str, points: Iterable[tuple[dict[str, str], Distribution]], since: int, now: int) -> Metric:
    kind, about = described(name)
    if kind == "counter":
        numbers = [NumberDataPoint(labels, since, now, total.total) for labels, total in points]
        return Metric(f"windlass.{name}", about, "1", Sum(numbers, AggregationTemporality.CUMULATIVE, True))
    bounds = SECONDS_BOUNDS if kind == "histogram" else ()
    histograms = [_histogram(labels, total, bounds, since, now) for labels, total in points]
    title, unit = (f"windlass.{name}", "s") if kind == "histogram" else (f"windlass.own.{name}", "")
    return Metric(title, about, unit, Histogram(histograms, AggregationTemporality.CUMULATIVE))


def _histogram(
    labels: dict[str, str], total: Distribution, bounds: tuple[float, ...], since: int, now: int
) -> HistogramDataPoint:
    at_most = cumulative(total, bounds)
    counts = [after - before for before, after in zip([0, *at_most], [*at_most, total.count], strict=True)]
    return HistogramDataPoint(labels, since, now, total.count, total.total, counts, bounds, total.least, total.greatest)


def _context(trace: str, span: str) -> SpanContext:
    return SpanContext(int(trace, 16), int(span, 16), is_remote=False, trace_flags=_SAMPLED)
