"""OTLP: what a receiver gets over HTTP, decoded; and what becomes of it when there is none."""

from __future__ import annotations

import logging
import sys
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from tests.up import Up
from windlass.dispatch.log_entries import LogEntry
from windlass.dispatch.metrics import Distribution, series
from windlass.engines.embedded.otlp import OtlpExport, checked_endpoint, header_secrets
from windlass.errors import WindlassError
from windlass.ports.telemetry import Span

APP = Path(__file__).parent / "telemetry_app"
TRACE, SPAN, OTHER = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331", "4bf92f3577b34da6a3ce929d0e0e4736"
SERVER, CLIENT, PRODUCER, CONSUMER = 2, 3, 4, 5


class Receiver:
    """An OTLP receiver that keeps what it gets; it answers with `status`."""

    def __init__(self) -> None:
        self.status = 200
        self.got: dict[str, list[bytes]] = {"/v1/traces": [], "/v1/metrics": [], "/v1/logs": []}
        self.headers: list[dict[str, str]] = []
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                receiver.got[self.path].append(body)
                receiver.headers.append({name.lower(): value for name, value in self.headers.items()})
                self.send_response(receiver.status)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                """Tests are quiet."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        self._thread = threading.Thread(target=self.server.serve_forever, daemon=True)
        self._thread.start()

    def spans(self) -> list[tuple[dict[str, str], Any]]:
        return [
            (attributes(found.resource), span)
            for body in self.got["/v1/traces"]
            for found in ExportTraceServiceRequest.FromString(body).resource_spans
            for scope in found.scope_spans
            for span in scope.spans
        ]

    def metrics(self) -> dict[str, Any]:
        return {
            metric.name: metric
            for body in self.got["/v1/metrics"]
            for found in ExportMetricsServiceRequest.FromString(body).resource_metrics
            for scope in found.scope_metrics
            for metric in scope.metrics
        }

    def logs(self) -> list[tuple[dict[str, str], Any]]:
        return [
            (attributes(found.resource), record)
            for body in self.got["/v1/logs"]
            for found in ExportLogsServiceRequest.FromString(body).resource_logs
            for scope in found.scope_logs
            for record in scope.log_records
        ]

    def close(self) -> None:
        self.server.shutdown()
        self._thread.join(10)
        self.server.server_close()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    receiver = Receiver()
    yield receiver
    receiver.close()


def attributes(of: Any) -> dict[str, Any]:
    return {
        one.key: getattr(one.value, one.value.WhichOneof("value"))
        for one in of.attributes
        if one.value.WhichOneof("value") is not None
    }


def span(**more: Any) -> Span:
    fields: dict[str, Any] = {
        "kind": "call",
        "name": "orders.get",
        "system": "shop",
        "trace": TRACE,
        "id": SPAN,
        "start": 1_700_000_000.25,
        "seconds": 0.5,
    }
    return Span(**(fields | more))


def of(*values: float) -> Distribution:
    made = Distribution()
    made.add(values)
    return made


def test_spans_arrive_with_kind_links_and_status(receiver: Receiver) -> None:
    export = OtlpExport(receiver.url)
    spans = [
        span(
            kind="request", name="POST /orders/{id}", status=500, outcome="error", error="ValueError: no", handler="h"
        ),
        span(kind="delivery", name="queue placed", resource="placed", parent=SPAN, count=2, links=[f"{OTHER}-{SPAN}"]),
        span(noun="queue", operation="send", name="placed.send"),
        span(noun="table", operation="get"),
    ]
    export.offer(spans, [], {})
    export.close()
    (request, delivery, send, get) = [found for _, found in receiver.spans()]
    assert [request.kind, delivery.kind, send.kind, get.kind] == [SERVER, CONSUMER, PRODUCER, CLIENT]
    assert (request.trace_id.hex(), request.span_id.hex()) == (TRACE, SPAN)
    assert request.start_time_unix_nano == 1_700_000_000_250_000_000
    assert request.end_time_unix_nano - request.start_time_unix_nano == 500_000_000
    assert (request.status.code, request.status.message) == (2, "ValueError: no")
    told = attributes(request)
    assert (told["http.request.method"], told["http.route"]) == ("POST", "/orders/{id}")
    assert (told["http.response.status_code"], told["error.type"]) == (500, "ValueError")
    assert delivery.parent_span_id.hex() == SPAN
    assert [(link.trace_id.hex(), link.span_id.hex()) for link in delivery.links] == [(OTHER, SPAN)]
    assert attributes(delivery)["messaging.batch.message_count"] == 2
    assert {resource["service.name"] for resource, _ in receiver.spans()} == {"shop"}
    assert export.dropped == 0


def test_metrics_arrive_as_sums_histograms_and_gauges(receiver: Receiver) -> None:
    export = OtlpExport(receiver.url)
    requests = series("requests", system="shop", status="200")
    seconds, depth = series("request_seconds", system="shop"), series("queue_depth", system="shop", queue="placed")
    export.offer([], [], {(1, requests): of(1, 1), (1, seconds): of(0.001, 0.3, 20), (1, depth): of(5)})
    export.offer([], [], {(2, requests): of(1), (2, depth): of(7), (2, series("tea", system="shop")): of(2, 3)})
    export.close()
    found = receiver.metrics()
    [total] = found["windlass.requests"].sum.data_points
    assert total.as_double == 3
    assert attributes(total) == {"status": "200"}
    assert found["windlass.requests"].sum.is_monotonic
    [histogram] = found["windlass.request_seconds"].histogram.data_points
    assert (histogram.count, histogram.sum, histogram.min, histogram.max) == (3, pytest.approx(20.301), 0.001, 20)
    assert list(histogram.bucket_counts) == [1, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 1]
    [gauge] = found["windlass.queue_depth"].gauge.data_points
    assert gauge.as_double == 7
    [own] = found["windlass.own.tea"].histogram.data_points
    assert (own.count, own.sum, list(own.bucket_counts)) == (2, 5, [2])


def test_log_entries_arrive_with_their_trace(receiver: Receiver) -> None:
    at = datetime(2024, 6, 12, 9, tzinfo=UTC)
    export = OtlpExport(receiver.url)
    entries = [
        LogEntry(time=at, level="WARNING", logger="shop", message="low", trace_id=TRACE, span_id=SPAN, system="shop"),
        LogEntry(time=at, level="INFO", logger="shop", message="of no trace", trace_id="not hexadecimal"),
        LogEntry(time=at, level="ERROR", logger="opentelemetry.exporter", message="the receiver is away"),
    ]
    export.offer([], entries, {})
    export.close()
    (low, none) = receiver.logs()
    assert low[0]["service.name"] == "shop"
    assert (low[1].body.string_value, low[1].severity_text, low[1].severity_number) == ("low", "WARNING", 13)
    assert (low[1].trace_id.hex(), low[1].span_id.hex()) == (TRACE, SPAN)
    assert low[1].time_unix_nano == int(at.timestamp() * 1e9)
    assert (none[0]["service.name"], none[1].trace_id) == ("windlass", b"")


def test_headers_of_the_environment_are_sent(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "authorization=Basic%20abc,x-tenant=7")
    export = OtlpExport(receiver.url)
    export.offer([span()], [], {})
    export.close()
    assert receiver.headers[0]["authorization"] == "Basic abc"
    assert receiver.headers[0]["x-tenant"] == "7"
    assert set(header_secrets({"OTEL_EXPORTER_OTLP_HEADERS": "authorization=Basic%20abc,x=7"})) == {
        "Basic abc",
        "abc",
        "7",
    }
    assert header_secrets({}) == []


def test_more_than_there_is_room_for_is_dropped_and_counted(receiver: Receiver) -> None:
    export = OtlpExport(receiver.url, most_waiting=10)
    export.offer([span() for _ in range(25)], [], {})
    export.close()
    assert len(receiver.spans()) == 10
    assert export.dropped == 15


def test_a_span_that_has_no_form_is_dropped_alone(receiver: Receiver) -> None:
    export = OtlpExport(receiver.url)
    export.offer([span(trace="not hexadecimal"), span()], [], {})
    export.close()
    assert len(receiver.spans()) == 1
    assert export.dropped == 1


def test_what_the_receiver_refuses_is_counted(receiver: Receiver, caplog: pytest.LogCaptureFixture) -> None:
    receiver.status = 400
    export = OtlpExport(receiver.url)
    with caplog.at_level(logging.WARNING):
        export.offer([span(), span()], [], {})
        export.close()
    assert export.dropped == 2
    assert "2 spans and log entries were not sent with OTLP" in caplog.text


def test_a_receiver_that_is_away_does_not_hold_up_the_end(receiver: Receiver) -> None:
    url = receiver.url
    receiver.server.server_close()
    export = OtlpExport(url)
    export.offer([span()], [], {})
    closing = threading.Thread(target=export.close)
    closing.start()
    closing.join(10)
    assert not closing.is_alive()


@pytest.mark.parametrize("url", ["localhost:4318", "ftp://there", "http://", "http://there:port", "http://[::1"])
def test_what_is_no_endpoint_is_refused(url: str) -> None:
    with pytest.raises(WindlassError, match="cannot be an OTLP endpoint"):
        checked_endpoint(url)


def test_without_the_extra_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry.exporter.otlp.proto.http", None)
    with pytest.raises(WindlassError, match=r"is not installed\n  fix: pip install 'windlass\[otlp\]'"):
        checked_endpoint("http://localhost:4318")


def test_an_endpoint() -> None:
    assert checked_endpoint("http://localhost:4318/") == "http://localhost:4318"


def test_a_server_sends_what_it_does(receiver: Receiver, tmp_path: Path) -> None:
    options = ("--no-reload", "--otlp", receiver.url)
    with Up(APP, home=tmp_path / "home", options=options) as up:
        traceparent = f"00-{TRACE}-{SPAN}-01"
        answer = up.http.post("/shop/orders", json={"id": "1"}, headers={"traceparent": traceparent})
        assert answer.headers["x-trace-id"] == TRACE
        pause = threading.Event()
        for _ in range(200):
            if len(receiver.spans()) == 4:
                break
            pause.wait(0.05)
    found = {one.name: one for _, one in receiver.spans()}
    assert set(found) == {"POST /orders", "placed.send", "queue placed", "orders.write"}
    assert {one.trace_id.hex() for one in found.values()} == {TRACE}
    assert found["POST /orders"].parent_span_id.hex() == SPAN
    assert found["queue placed"].parent_span_id == found["POST /orders"].span_id
    assert "order 1 is stored" in [record.body.string_value for _, record in receiver.logs()]
    assert "windlass.requests" in receiver.metrics()
