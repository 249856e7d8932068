"""What each metric is, for those who must be told: counters, histograms in seconds, gauges, and a system's own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple

from windlass.dispatch.metrics import BOUNDS, Distribution

__all__ = ["CATALOGUE", "SECONDS_BOUNDS", "Described", "MetricKind", "cumulative", "described"]

MetricKind = Literal["counter", "histogram", "gauge", "own"]


class Described(NamedTuple):
    """A metric's kind, and what it counts in words."""

    kind: MetricKind
    about: str


CATALOGUE: Mapping[str, Described] = {
    "requests": Described("counter", "Requests answered, by status code."),
    "request_errors": Described("counter", "Requests answered with a 5xx status."),
    "request_client_errors": Described("counter", "Requests answered with a 4xx status."),
    "throttles": Described("counter", "Requests refused with 429."),
    "request_seconds": Described("histogram", "Time from the head of a request to its answer."),
    "calls": Described("counter", "Runs of a handler, by outcome."),
    "errors": Described("counter", "Runs of a handler that raised an error of its own."),
    "duration": Described("histogram", "Time that a handler ran."),
    "operations": Described("counter", "Calls of a resource by handlers, by outcome."),
    "operation_errors": Described("counter", "Calls of a resource that failed."),
    "operation_seconds": Described("histogram", "Time that a call of a resource took."),
    "messages_sent": Described("counter", "Messages sent to a queue."),
    "messages_received": Described("counter", "Messages received from a queue, each time."),
    "messages_retried": Described("counter", "Messages received for the second time or later."),
    "messages_handled": Described("counter", "Messages that were handled."),
    "messages_failed": Described("counter", "Messages that a handler failed on."),
    "messages_dead": Described("counter", "Messages moved to the dead-letter queue."),
    "mail_failures": Described("counter", "Mails that the SMTP server did not take."),
    "queue_depth": Described("gauge", "Messages that wait."),
    "queue_in_flight": Described("gauge", "Messages that are being handled."),
    "queue_delayed": Described("gauge", "Messages that wait for their time."),
    "queue_dead": Described("gauge", "Messages in the dead-letter queue."),
    "queue_age": Described("gauge", "Seconds that the oldest waiting message has waited."),
}

# What Prometheus clients and OpenTelemetry use for the latency of requests.
SECONDS_BOUNDS: tuple[float, ...] = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0)


def described(name: str) -> Described:
    """What a metric is; one that is not in the catalogue is a system's own."""
    return CATALOGUE.get(name) or Described("own", "A metric of the system's own.")


def cumulative(distribution: Distribution, bounds: Sequence[float] = SECONDS_BOUNDS) -> list[int]:
    """How many values are at most each of the `bounds`, which ascend. A value is known to within a tenth: one that
    close to a bound may be on its other side."""
    below = [0] * (len(bounds) + 1)
    for number, count in distribution.buckets.items():
        # The middle of what this bucket holds.
        middle = BOUNDS[number] * 0.955 if number < len(BOUNDS) else float("inf")
        place = next((place for place, bound in enumerate(bounds) if middle <= bound), len(bounds))
        below[place] += count
    counts, so_far = [], 0
    for count in below[: len(bounds)]:
        so_far += count
        counts.append(so_far)
    return counts
