"""Metrics as Prometheus reads them: https://prometheus.io/docs/instrumenting/exposition_formats/"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from windlass.dispatch.metrics import Distribution, Series
from windlass.engines.embedded.engine import EmbeddedEngine
from windlass.engines.embedded.metric_catalogue import SECONDS_BOUNDS, cumulative, described
from windlass.engines.embedded.queue import EmbeddedQueue
from windlass.errors import EngineUnavailable, ServiceUnavailable
from windlass.ports.api import Response
from windlass.ports.queue import QueueStats

if TYPE_CHECKING:
    from prometheus_client.core import Metric

__all__ = ["metrics_page", "queue_gauges"]

_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_NAMES = {"duration": "call_seconds"}


def metrics_page(engine: EmbeddedEngine) -> Response:
    """All metrics of the namespace since its state was begun, and how its queues are now. It takes some milliseconds,
    so it is not for the event loop. Raises ServiceUnavailable when they cannot be read."""
    from prometheus_client import generate_latest  # 30 ms, for the first scrape
    from prometheus_client.registry import Collector

    class _Now(Collector):
        def collect(self) -> Iterator[Metric]:
            yield from _families(totals)

    try:
        engine.recorder.merge()
        totals = engine.recorder.metrics.totals()
        for system in engine.systems.values():
            for name, port in system.ports.items():
                if isinstance(port, EmbeddedQueue):
                    totals |= queue_gauges(system.model.name, name, port.stats())
    except EngineUnavailable as error:
        raise ServiceUnavailable(f"the metrics cannot be read now: {error}", retry_after=5) from error
    # It asks a registry for nothing but to collect.
    return Response(200, [("content-type", _TYPE)], generate_latest(_Now()))


def queue_gauges(system: str, queue: str, stats: QueueStats) -> dict[Series, Distribution]:
    """How a queue is now, as the series that a sample of it has."""
    labels = (("queue", queue), ("system", system))
    values = {
        "queue_depth": stats.waiting,
        "queue_in_flight": stats.in_flight,
        "queue_delayed": stats.delayed,
        "queue_dead": stats.dead,
        "queue_age": stats.oldest_age,
    }
    gauges: dict[Series, Distribution] = {}
    for name, value in values.items():
        gauges[name, labels] = sample = Distribution()
        sample.add([float(value)])
    return gauges


def _families(totals: Mapping[Series, Distribution]) -> Iterator[Metric]:
    from prometheus_client.core import (
        CounterMetricFamily,
        GaugeMetricFamily,
        HistogramMetricFamily,
        SummaryMetricFamily,
    )

    by_name: dict[str, dict[tuple[tuple[str, str], ...], Distribution]] = defaultdict(dict)
    for (name, labels), total in sorted(totals.items()):
        by_name[name][labels] = total
    for name, found in by_name.items():
        kind, about = described(name)
        # All series of a name carry the same labels.
        names = sorted({label for labels in found for label, _ in labels})
        title = f"windlass_{_NAMES.get(name, name)}"
        if kind == "counter":
            counter = CounterMetricFamily(title, about, labels=names)
            for labels, total in found.items():
                counter.add_metric(_values(names, labels), total.total)
            yield counter
        elif kind == "histogram":
            histogram = HistogramMetricFamily(title, about, labels=names)
            for labels, total in found.items():
                counts = zip(map(str, SECONDS_BOUNDS), cumulative(total), strict=True)
                buckets: list[tuple[str, float]] = [(bound, float(count)) for bound, count in counts]
                histogram.add_metric(_values(names, labels), [*buckets, ("+Inf", total.count)], total.total)
            yield histogram
        elif kind == "gauge":
            gauge = GaugeMetricFamily(title, about, labels=names)
            for labels, total in found.items():
                gauge.add_metric(_values(names, labels), total.average)
            yield gauge
        else:
            summary = SummaryMetricFamily(f"windlass_own_{name}", about, labels=names)
            for labels, total in found.items():
                summary.add_metric(_values(names, labels), total.count, total.total)
            yield summary


def _values(names: list[str], labels: tuple[tuple[str, str], ...]) -> list[str]:
    have = dict(labels)
    return [have.get(name, "") for name in names]
