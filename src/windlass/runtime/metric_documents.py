"""Metrics in CloudWatch's embedded metric format: documents among the log lines, of which CloudWatch makes metrics.

https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html

The namespace is `Windlass/SYSTEM`; the dimensions are a series' labels, and once more those that an alarm watches: an
alarm of CloudWatch does not add up series, so what it watches must be a series of its own.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec

from windlass.dispatch.metrics import BOUNDS, Deltas, Distribution
from windlass.dispatch.telemetry import BUILT_IN

__all__ = ["MOST_METRICS", "MOST_VALUES", "SECONDS", "WATCHED", "documents"]

MOST_METRICS = 100
"""Of a document."""
MOST_VALUES = 100
"""Of a metric in a document."""
_MOST_DIMENSIONS = 30
_MOST_TEXT = 1024

# The label that alarms know a series by, and which are in seconds. `model.alarm_metric` has the same, as a test sees
# to: importing it would make every function's start three milliseconds longer.
_BY_LABEL: Mapping[str, Sequence[str]] = {
    "api": ("requests", "request_errors", "request_client_errors", "throttles", "request_seconds"),
    "handler": ("calls", "errors", "duration"),
    "mailer": ("mail_failures",),
    "queue": (
        "messages_failed",
        "messages_handled",
        "messages_retried",
        "messages_sent",
        "queue_age",
        "queue_dead",
        "queue_depth",
        "queue_in_flight",
    ),
    "resource": ("operations", "operation_errors", "operation_seconds"),
}
WATCHED: Mapping[str, str] = {name: label for label, names in _BY_LABEL.items() for name in names}
"""The label that an alarm on a series has, besides `system`."""
SECONDS = frozenset({"duration", "operation_seconds", "queue_age", "request_seconds"})
"""The series that are in seconds."""
_LABELS = frozenset(
    {"api", "handler", "mailer", "noun", "operation", "outcome", "queue", "resource", "status", "system"}
)
_MIDDLE = 1.1**-0.5

_Labels = tuple[tuple[str, str], ...]
_encode = msgspec.json.Encoder().encode
# What is the same in the documents of one function is encoded once; its series are few.
_directives: dict[tuple[str, tuple[str, ...], tuple[str, ...]], msgspec.Raw] = {}
_MOST_KNOWN = 500


def documents(deltas: Deltas, namespace: str) -> Iterator[bytes]:
    """All that is new, in as few documents as it fits into: usually one for each minute. Series share a document unless
    they have different values for one label, or one name."""
    groups: dict[tuple[int, _Labels, str], list[tuple[str, Distribution]]] = {}
    for (minute, (name, labels)), distribution in deltas.items():
        if name in _LABELS:
            # A metric and a label are members of one object, and a metric of the system's own may be called as one is.
            labels = tuple((label, value) for label, value in labels if label != name)
        groups.setdefault((minute, labels, WATCHED.get(name, "")), []).append((name, distribution))
    made: list[_Document] = []
    for (minute, labels, watched), group in groups.items():
        for first in range(0, len(group), MOST_METRICS):
            metrics = dict(group[first : first + MOST_METRICS])
            shown = {name: value[:_MOST_TEXT] or "-" for name, value in labels[:_MOST_DIMENSIONS]}
            document = next((one for one in made if one.takes(minute, shown, metrics)), None)
            if document is None:
                document = _Document(minute)
                made.append(document)
            document.add(shown, metrics, _known_directive(namespace, tuple(shown), watched, tuple(metrics)))
    return map(_Document.encoded, made)


class _Document:
    """A document in the making."""

    __slots__ = ("_directives", "_labels", "_metrics", "_minute")

    def __init__(self, minute: int) -> None:
        self._minute = minute
        self._labels: dict[str, str] = {}
        self._metrics: dict[str, Distribution] = {}
        self._directives: list[msgspec.Raw] = []

    def takes(self, minute: int, labels: dict[str, str], metrics: dict[str, Distribution]) -> bool:
        """Whether these metrics may stand here beside those that do."""
        own, mine = self._labels, self._metrics
        return (
            minute == self._minute
            and len(mine) + len(metrics) <= MOST_METRICS
            and all(own.get(name, value) == value and name not in mine for name, value in labels.items())
            and not any(name in mine or name in own for name in metrics)
        )

    def add(self, labels: dict[str, str], metrics: dict[str, Distribution], directive: msgspec.Raw) -> None:
        self._labels |= labels
        self._metrics |= metrics
        self._directives.append(directive)

    def encoded(self) -> bytes:
        whole: dict[str, Any] = {"_aws": {"Timestamp": self._minute * 60_000, "CloudWatchMetrics": self._directives}}
        whole.update(self._labels)
        for name, distribution in self._metrics.items():
            whole[name] = _value(distribution)
        return _encode(whole)


def _known_directive(namespace: str, labels: tuple[str, ...], watched: str, names: tuple[str, ...]) -> msgspec.Raw:
    known = _directives.get((namespace, labels, names))
    if known is None:
        known = _directive(namespace, list(labels), watched, names)
        if len(_directives) < _MOST_KNOWN:
            _directives[namespace, labels, names] = known
    return known


def _directive(namespace: str, labels: list[str], watched: str, names: Sequence[str]) -> msgspec.Raw:
    sets = [labels]
    fewer = [name for name in labels if name in ("system", watched)]
    if watched and fewer != labels:
        sets.append(fewer)
    made = [{"Name": name, "Unit": _unit(name)} for name in names]
    return msgspec.Raw(_encode({"Namespace": namespace, "Dimensions": sets, "Metrics": made}))


def _unit(name: str) -> str:
    if name in SECONDS:
        return "Seconds"
    return "Count" if name in BUILT_IN else "None"


def _value(distribution: Distribution) -> Any:
    """One value as it is. Several as CloudWatch's own agents write a histogram: values, each with its count. They are
    known to within a twentieth; their least, greatest, sum and number are exact."""
    if distribution.count == 1:
        return distribution.total
    least, greatest = distribution.least, distribution.greatest
    if least == greatest:
        values: list[float] = [least]
        counts = [distribution.count]
    else:
        values, counts = _histogram(distribution)
    return {
        "Values": values,
        "Counts": counts,
        "Min": least,
        "Max": greatest,
        "Sum": distribution.total,
        "Count": distribution.count,
    }


def _histogram(distribution: Distribution) -> tuple[list[float], list[int]]:
    buckets = sorted(distribution.buckets.items())
    # More than a hundred values of which each is a tenth above the one before are joined by twos, or threes.
    step = math.ceil(len(buckets) / MOST_VALUES)
    values, counts = [], []
    for first in range(0, len(buckets), step):
        joined = buckets[first : first + step]
        bound = joined[len(joined) // 2][0]
        middle = BOUNDS[bound] * _MIDDLE if bound < len(BOUNDS) else distribution.greatest
        values.append(min(max(middle, distribution.least), distribution.greatest))
        counts.append(sum(count for _, count in joined))
    return values, counts
