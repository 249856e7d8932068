"""GET /_windlass/metrics, read by Prometheus's own parser."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.up import Up
from windlass.dispatch.metrics import Distribution
from windlass.engines.embedded.engine import EmbeddedEngine
from windlass.engines.embedded.metric_catalogue import CATALOGUE, SECONDS_BOUNDS, cumulative
from windlass.engines.embedded.namespace import Namespace
from windlass.engines.embedded.prometheus import metrics_page
from windlass.errors import ServiceUnavailable
from windlass.graph.load import load

APP = Path(__file__).parent / "telemetry_app"

Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[EmbeddedEngine]:
    engine = EmbeddedEngine(Namespace(tmp_path), [load(APP)])
    yield engine
    engine.stop(0)


def samples(text: str) -> Samples:
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def of(found: Samples, name: str, **labels: str) -> float:
    return found[name, frozenset(labels.items())]


def scraped(engine: EmbeddedEngine) -> Samples:
    return samples(metrics_page(engine).body.decode())


def test_what_was_measured_is_exposed(engine: EmbeddedEngine) -> None:
    span = engine.telemetry.begin_request("GET", {})
    span.system, span.resource, span.handler, span.status = "shop", "api", "read", 503
    engine.telemetry.end(span)
    labels = {"system": "shop", "api": "api", "handler": "read"}
    found = scraped(engine)
    assert of(found, "windlass_requests_total", **labels, status="503") == 1
    assert of(found, "windlass_request_errors_total", **labels) == 1
    assert of(found, "windlass_request_seconds_count", **labels) == 1
    assert of(found, "windlass_request_seconds_bucket", **labels, le="+Inf") == 1
    assert of(found, "windlass_queue_depth", system="shop", queue="placed") == 0
    engine.telemetry.metrics.count(("order_value", (("system", "shop"),)), 12.5)
    assert of(scraped(engine), "windlass_own_order_value_sum", system="shop") == 12.5
    assert of(scraped(engine), "windlass_own_order_value_count", system="shop") == 1


def test_totals_go_on_after_a_restart(tmp_path: Path) -> None:
    for number in (1, 2):
        engine = EmbeddedEngine(Namespace(tmp_path), [load(APP)])
        engine.telemetry.metrics.count(("messages_sent", (("queue", "placed"), ("system", "shop"))))
        assert of(scraped(engine), "windlass_messages_sent_total", system="shop", queue="placed") == number
        engine.stop(0)


def test_names_of_labels_are_escaped(engine: EmbeddedEngine) -> None:
    engine.telemetry.metrics.count(("calls", (("handler", 'a"b\\c\nd'), ("outcome", "ok"), ("system", "shop"))))
    assert of(scraped(engine), "windlass_calls_total", system="shop", handler='a"b\\c\nd', outcome="ok") == 1


def test_what_cannot_be_read_is_a_503(tmp_path: Path) -> None:
    engine = EmbeddedEngine(Namespace(tmp_path), [load(APP)])
    (tmp_path / "default" / "telemetry").write_text("a file, where a folder should be")
    with pytest.raises(ServiceUnavailable, match="the metrics cannot be read now"):
        metrics_page(engine)
    engine.stop(0)


def test_buckets_are_cumulative_at_the_standard_bounds() -> None:
    distribution = Distribution()
    distribution.add([0.001, 0.02, 0.02, 0.3, 60.0])
    counts = dict(zip(SECONDS_BOUNDS, cumulative(distribution), strict=True))
    assert (counts[0.005], counts[0.01], counts[0.025], counts[0.25], counts[0.5], counts[10.0]) == (1, 1, 3, 3, 4, 4)
    assert cumulative(Distribution()) == [0] * len(SECONDS_BOUNDS)


def test_every_metric_of_windlass_is_in_the_catalogue() -> None:
    from windlass.dispatch.telemetry import BUILT_IN

    assert set(CATALOGUE) == BUILT_IN


def test_it_is_served(tmp_path: Path) -> None:
    with Up(APP, home=tmp_path / "home", options=("--no-reload",)) as up:
        assert up.http.post("/shop/orders", json={"id": "1"}).status_code == 202
        answer = up.http.get("/_windlass/metrics")
        assert answer.status_code == 200
        assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
        found = samples(answer.text)
        labels = {"system": "shop", "api": "api", "handler": "create"}
        assert of(found, "windlass_requests_total", **labels, status="202") == 1
        refused = up.http.post("/_windlass/metrics")
        assert (refused.status_code, refused.headers["allow"]) == (405, "GET, HEAD")
        assert up.http.head("/_windlass/metrics").status_code == 200
