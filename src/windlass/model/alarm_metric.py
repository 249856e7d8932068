"""What an alarm can watch: for each noun its metrics by the names that a declaration uses, and what is recorded."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Literal

import msgspec

from windlass.ports.alarm import Unit

__all__ = ["METRICS", "OWN", "RECORDED", "AlarmMetric", "is_statistic", "unit_of"]

_PERCENTILE = re.compile(r"p(\d{1,2}(?:\.\d{1,2})?)\Z")
_STATISTICS = ("sum", "average", "minimum", "maximum", "count")


class AlarmMetric(msgspec.Struct, frozen=True):
    """`series` is the recorded metric, which has the resource's or handler's name as `label`. `kind` says what a
    recorded value is: a `number`, `seconds`, or an `event` that came to pass (1) or did not (0), whose average is a
    share. `statistic` is the one that is taken when none is given."""

    series: str
    label: str
    statistic: str
    kind: Literal["number", "seconds", "event"] = "number"


_RESOURCE: Mapping[str, AlarmMetric] = {
    "operations": AlarmMetric("operations", "resource", "sum"),
    "errors": AlarmMetric("operation_errors", "resource", "sum", "event"),
    "latency": AlarmMetric("operation_seconds", "resource", "p99", "seconds"),
}
_HANDLER: Mapping[str, AlarmMetric] = {
    "calls": AlarmMetric("calls", "handler", "sum"),
    "errors": AlarmMetric("errors", "handler", "sum", "event"),
    "duration": AlarmMetric("duration", "handler", "p99", "seconds"),
}

METRICS: Mapping[str, Mapping[str, AlarmMetric]] = {
    "api": {
        "requests": AlarmMetric("requests", "api", "sum"),
        "errors": AlarmMetric("request_errors", "api", "sum", "event"),
        "client_errors": AlarmMetric("request_client_errors", "api", "sum", "event"),
        "throttles": AlarmMetric("throttles", "api", "sum", "event"),
        "latency": AlarmMetric("request_seconds", "api", "p99", "seconds"),
    },
    "queue": {
        "depth": AlarmMetric("queue_depth", "queue", "maximum"),
        "in_flight": AlarmMetric("queue_in_flight", "queue", "maximum"),
        "dead": AlarmMetric("queue_dead", "queue", "maximum"),
        "age": AlarmMetric("queue_age", "queue", "maximum", "seconds"),
        "sent": AlarmMetric("messages_sent", "queue", "sum"),
        "handled": AlarmMetric("messages_handled", "queue", "sum"),
        "failed": AlarmMetric("messages_failed", "queue", "sum"),
        "retried": AlarmMetric("messages_retried", "queue", "sum"),
    },
    "table": _RESOURCE,
    "mailer": {**_RESOURCE, "failures": AlarmMetric("mail_failures", "mailer", "sum")},
    "secret": _RESOURCE,
    "user_pool": _RESOURCE,
    "schedule": _HANDLER,
    "handler": _HANDLER,
}
"""By noun (`handler` for a function), then by name. A schedule's are those of its handler."""

OWN = AlarmMetric("", "", "")
"""A metric of the system's own, of `windlass.metric`: nobody knows what its values are."""

RECORDED = frozenset(metric.series for metrics in METRICS.values() for metric in metrics.values())


def is_statistic(text: object) -> bool:
    """Whether `text` names a statistic: sum, average, minimum, maximum, count, or a percentile from p0.01 to
    p99.99."""
    if not isinstance(text, str):
        return False
    match = _PERCENTILE.match(text)
    return text in _STATISTICS or (match is not None and float(match[1]) > 0)


def unit_of(metric: AlarmMetric, statistic: str) -> Unit:
    """The unit of that statistic of that metric."""
    if statistic == "count":
        return ""
    if metric.kind == "event":
        return "share" if statistic == "average" else ""
    return "seconds" if metric.kind == "seconds" else ""
