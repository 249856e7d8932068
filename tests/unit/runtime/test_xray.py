"""Traces: what Lambda says of its own, and what X-Ray's daemon is sent."""

from __future__ import annotations

import json
import logging
import socket
from typing import Any

import pytest

from tests.unit.runtime.depot_function import Context, function, payload
from windlass.ports.telemetry import Origin, Span
from windlass.runtime.xray import LambdaTrace, Xray, lambda_trace, senders_in, subsegment

ROOT = "1-5759e988-bd862e3fe1be46a994272793"
SAMPLED = f"Root={ROOT};Parent=53995c3f42cd8ad8;Sampled=1;Lineage=1:a87bd80c:0"
TRACE = LambdaTrace(ROOT, Origin("5759e988bd862e3fe1be46a994272793", "53995c3f42cd8ad8"), True)


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        (SAMPLED, TRACE),
        (SAMPLED.replace("Sampled=1", "Sampled=0"), TRACE._replace(sampled=False)),
        (f"Root={ROOT}", LambdaTrace(ROOT, Origin("5759e988bd862e3fe1be46a994272793", ""), False)),
        ("Root=1-zz-yy;Sampled=1", None),
        ("", None),
        (None, None),
        (";;=;", None),
    ],
)
def test_what_lambda_says_of_the_trace(header: str | None, expected: LambdaTrace | None) -> None:
    assert lambda_trace(header) == expected


def span(**told: Any) -> Span:
    given = {"kind": "request", "name": "GET /items/{id}", "system": "shop", "trace": "t" * 32, "id": "1" * 16}
    return Span(**{**given, "start": 1000.0, "seconds": 0.5, **told})


def test_a_span_is_a_subsegment() -> None:
    made = subsegment(span(status=200, handler="read"), TRACE, TRACE.origin.span)
    assert made == {
        "type": "subsegment",
        "trace_id": ROOT,
        "id": "1" * 16,
        "parent_id": "53995c3f42cd8ad8",
        "name": "GET /items/id",
        "start_time": 1000.0,
        "end_time": 1000.5,
        "annotations": {"trace_id": "t" * 32, "kind": "request", "system": "shop", "handler": "read"},
        "http": {"response": {"status": 200}},
    }


@pytest.mark.parametrize(
    ("told", "flags"),
    [
        ({"status": 503, "outcome": "error"}, {"fault"}),
        ({"status": 404, "outcome": "refused"}, {"error"}),
        ({"status": 429, "outcome": "refused"}, {"error", "throttle"}),
        ({"kind": "call", "name": "items.put", "outcome": "error"}, {"fault"}),
        ({"status": 200}, set()),
    ],
)
def test_who_was_at_fault_is_told(told: dict[str, Any], flags: set[str]) -> None:
    made = subsegment(span(**told), TRACE, "p")
    assert {"fault", "error", "throttle"} & made.keys() == flags


def test_what_was_raised_is_told() -> None:
    made = subsegment(span(outcome="error", error="ValueError: no: such"), TRACE, "p")
    (raised,) = made["cause"]["exceptions"]
    assert (raised["type"], raised["message"]) == ("ValueError", "no: such")


@pytest.fixture
def daemon() -> Any:
    """X-Ray's daemon: what it is sent."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as listening:
        listening.bind(("127.0.0.1", 0))
        listening.settimeout(5)
        yield listening


def documents(daemon: socket.socket, count: int) -> list[dict[str, Any]]:
    found = []
    for _ in range(count):
        header, _, document = daemon.recv(65_536).partition(b"\n")
        assert json.loads(header) == {"format": "json", "version": 1}
        found.append(json.loads(document))
    return found


def test_the_spans_of_an_invocation_are_sent_in_lambdas_trace(
    daemon: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("_X_AMZN_TRACE_ID", SAMPLED)
    with function("accept", xray=f"127.0.0.1:{daemon.getsockname()[1]}") as (run, _):
        run(payload("http_post", body='{"id":"p1","to":"nobody","grams":1}'), Context())
    (request,) = documents(daemon, 1)
    assert (request["trace_id"], request["parent_id"]) == (ROOT, "53995c3f42cd8ad8")
    assert request["name"] == "POST /parcels"
    assert request["cause"]["exceptions"][0]["message"] == "password=*** is wrong"


def test_a_child_is_below_its_span(daemon: socket.socket) -> None:
    xray = Xray(f"127.0.0.1:{daemon.getsockname()[1]}")
    xray.send([span(kind="call", id="2" * 16, parent="1" * 16), span(parent="9" * 16)], TRACE)
    xray.close()
    call, request = documents(daemon, 2)
    assert (call["parent_id"], request["parent_id"]) == ("1" * 16, "53995c3f42cd8ad8")
    assert call["namespace"] == "remote"


def test_what_is_not_sampled_is_not_sent(daemon: socket.socket) -> None:
    xray = Xray(f"127.0.0.1:{daemon.getsockname()[1]}")
    xray.send([span()], TRACE._replace(sampled=False))
    xray.send([span()], None)
    xray.send([span(id="3" * 16)], TRACE)
    xray.close()
    assert [document["id"] for document in documents(daemon, 1)] == ["3" * 16]


def test_the_senders_are_those_whose_trace_is_recorded() -> None:
    headers = [SAMPLED, SAMPLED.replace("Sampled=1", "Sampled=0").replace("5759", "6759"), None]
    records: list[dict[str, Any]] = [{"attributes": {"AWSTraceHeader": header}} for header in headers]
    assert senders_in({"Records": [*records, {}, {"attributes": 3}]}) == {TRACE.origin.trace: TRACE}


def test_a_delivery_is_a_segment_of_its_senders_trace_with_its_calls_below(daemon: socket.socket) -> None:
    xray = Xray(f"127.0.0.1:{daemon.getsockname()[1]}")
    senders = {TRACE.origin.trace: TRACE}
    mine = {"trace": TRACE.origin.trace}
    delivery = span(kind="delivery", name="queue jobs", parent=TRACE.origin.span, **mine)
    call = span(kind="call", name="items.put", id="2" * 16, parent="1" * 16, **mine)
    xray.send([span(id="4" * 16), call, delivery], None, senders)
    xray.close()
    below, segment = documents(daemon, 2)
    assert (below["type"], below["trace_id"], below["parent_id"]) == ("subsegment", ROOT, "1" * 16)
    assert "type" not in segment
    assert (segment["trace_id"], segment["parent_id"], segment["id"]) == (ROOT, "53995c3f42cd8ad8", "1" * 16)


def test_a_batch_is_a_segment_of_each_recorded_trace_that_it_comes_from(daemon: socket.socket) -> None:
    xray = Xray(f"127.0.0.1:{daemon.getsockname()[1]}")
    links = [f"{'a' * 32}-{'b' * 16}"] * 30 + [str(TRACE.origin)] * 30
    xray.send([span(kind="delivery", links=links), span(id="3" * 16)], None, {TRACE.origin.trace: TRACE})
    xray.send([span(id="9" * 16)], TRACE)
    xray.close()
    *segments, last = documents(daemon, 21)
    assert {(one["trace_id"], one["parent_id"]) for one in segments} == {(ROOT, "53995c3f42cd8ad8")}
    assert len({one["id"] for one in segments}) == 20
    assert last["id"] == "9" * 16


def test_a_consumer_that_is_not_sampled_goes_by_its_messages(
    daemon: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("_X_AMZN_TRACE_ID", "Root=1-6759e988-bd862e3fe1be46a994272793")
    with function("arrive", xray=f"127.0.0.1:{daemon.getsockname()[1]}") as (run, _):
        run(payload("sqs"), Context())
    (segment,) = documents(daemon, 1)
    assert (segment["trace_id"], segment["parent_id"]) == (ROOT, "53995c3f42cd8ad8")
    assert segment["name"].startswith("queue ")


def test_an_address_that_is_none_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        xray = Xray("nowhere")
        xray.send([span()], TRACE)
    assert caplog.messages == ["AWS_XRAY_DAEMON_ADDRESS is 'nowhere', which is not HOST:PORT: no traces are sent"]
