"""Metrics in CloudWatch's embedded metric format: documents among the log lines, of which CloudWatch makes metrics.

https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html

Each series that is written costs as much a month as half a gigabyte of logs, and its documents are logs too. So what
AWS measures by itself is not written (docs/runtime.md says what takes its place), and what counts faults only where
there was one. A series has the one set of dimensions that an alarm watches it by, in the namespace `Windlass/SYSTEM`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, cast

import msgspec

from windlass.dispatch.metrics import BOUNDS, Deltas, Distribution, Series
from windlass.dispatch.telemetry import BUILT_IN

if TYPE_CHECKING:
    from windlass.model.alarm import Alarm
    from windlass.model.system import System
    from windlass.ports.alarm import AlarmRule

__all__ = ["FAULTS", "MOST_METRICS", "MOST_VALUES", "SECONDS", "WATCHED", "documents", "watched_by"]

MOST_METRICS = 100
"""Of a document."""
MOST_VALUES = 100
"""Of a metric in a document."""
_MOST_DIMENSIONS = 30
_MOST_TEXT = 1024

# `model.alarm_metric` has the same labels and units, as a test sees to: importing it would make every function's start
# three milliseconds longer.
FAULTS: Mapping[str, str] = {
    "errors": "handler",
    "mail_failures": "mailer",
    "messages_failed": "queue",
    "messages_retried": "queue",
    "operation_errors": "resource",
    "throttles": "api",
}
"""Series that count what went wrong and that AWS does not have, each with the label that an alarm has besides `system`.
They are written where something did; an alarm takes a missing value for none."""
WATCHED: Mapping[str, str] = {
    "calls": "handler",
    "duration": "handler",
    "operation_seconds": "resource",
    "operations": "resource",
}
"""Series that are written where a declared alarm watches them. Lambda counts `calls` and `duration`, too, but those of
whole batches, so they are written for the consumers of queues only."""
SECONDS = frozenset({"duration", "operation_seconds"})
"""The series above that are in seconds."""
_LABELS = frozenset({"api", "handler", "mailer", "queue", "resource", "system"})
_MIDDLE = 1.1**-0.5

_Labels = tuple[tuple[str, str], ...]
_encode = msgspec.json.Encoder().encode
# What is the same in the documents of one function is encoded once; its series are few.
_directives: dict[tuple[str, tuple[str, ...], tuple[str, ...]], msgspec.Raw] = {}
_MOST_KNOWN = 500


def watched_by(system: System) -> frozenset[Series]:
    """The series that the declared alarms of `system` watch, that AWS does not measure, and that must be written with
    the values of what went well: an average needs these, and a sum that is to stay above something."""
    consumers = {handler.name for handler in system.handlers if handler.kind == "queue"}
    found = set()
    for resource in system.resources.values():
        if resource.noun != "alarm":
            continue
        rule = cast("Alarm", resource).rule()
        if rule.series in ("calls", "duration"):
            needed = dict(rule.labels)["handler"] in consumers
        elif rule.series in FAULTS:
            needed = not _by_faults_alone(rule)
        else:
            needed = rule.series in WATCHED
        if needed:
            found.add((rule.series, rule.labels))
    return frozenset(found)


def _by_faults_alone(rule: AlarmRule) -> bool:
    """Whether an alarm comes to the same where only faults are written."""
    if rule.noun == "schedule" or (rule.series == "throttles" and rule.statistic == "average"):
        return True  # Lambda counts these errors, and API Gateway all requests that the share is of
    rises = rule.comparison == "above" or (rule.comparison == "at_least" and rule.threshold > 0)
    return rises and rule.statistic in ("sum", "maximum") and rule.missing == "not_breaching"


def documents(deltas: Deltas, namespace: str, watched: frozenset[Series] = frozenset()) -> Iterator[bytes]:
    """What is new and is to be written, in as few documents as it fits into: usually none, or one for each minute.
    `watched` are series that are written whatever their value. Series share a document unless they have different
    values for one label, or one name."""
    groups: dict[tuple[int, _Labels], dict[str, Distribution]] = {}
    for (minute, (name, labels)), distribution in _written(deltas, watched).items():
        if name in _LABELS:
            # A metric and a label are members of one object, and a metric of the system's own may be called as one is.
            labels = tuple((label, value) for label, value in labels if label != name)
        groups.setdefault((minute, labels), {})[name] = distribution
    made: list[_Document] = []
    for (minute, labels), group in groups.items():
        names = list(group)
        for first in range(0, len(names), MOST_METRICS):
            metrics = {name: group[name] for name in names[first : first + MOST_METRICS]}
            shown = {name: value[:_MOST_TEXT] or "-" for name, value in labels[:_MOST_DIMENSIONS]}
            document = next((one for one in made if one.takes(minute, shown, metrics)), None)
            if document is None:
                document = _Document(minute)
                made.append(document)
            document.add(shown, metrics, _known_directive(namespace, tuple(shown), tuple(metrics)))
    return map(_Document.encoded, made)


def _written(deltas: Deltas, watched: frozenset[Series]) -> Deltas:
    """Those that are written, by the labels that an alarm watches: what has further labels (the operation, the route)
    is put together, as an alarm of CloudWatch does not add up series."""
    found: Deltas = {}
    for (minute, known), distribution in deltas.items():
        name, labels = known
        if name in BUILT_IN:
            label = FAULTS.get(name) or WATCHED.get(name)
            if label is None:
                continue
            labels = tuple(pair for pair in labels if pair[0] in ("system", label))
            if (name, labels) not in watched and (name not in FAULTS or not distribution.total):
                continue
        so_far = found.get((minute, (name, labels)))
        if so_far is None:
            found[minute, (name, labels)] = so_far = Distribution()
        so_far.merge(distribution)
    return found


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


def _known_directive(namespace: str, labels: tuple[str, ...], names: tuple[str, ...]) -> msgspec.Raw:
    known = _directives.get((namespace, labels, names))
    if known is None:
        made = [{"Name": name, "Unit": _unit(name)} for name in names]
        known = msgspec.Raw(_encode({"Namespace": namespace, "Dimensions": [labels], "Metrics": made}))
        if len(_directives) < _MOST_KNOWN:
            _directives[namespace, labels, names] = known
    return known


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
