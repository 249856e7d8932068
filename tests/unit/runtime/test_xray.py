"""Traces: what Lambda says of its own, and what X-Ray's daemon is sent."""

from __future__ import annotations

import json
import logging
import socket
from typing import Any

import pytest

from tests.unit.runtime.depot_function import Context, function, payload
from windlass.ports.telemetry import Origin, Span
from windlass.runtime.xray import LambdaTrace, Xray, lambda_trace, subsegment

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


def test_an_address_that_is_none_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        xray = Xray("nowhere")
        xray.send([span()], TRACE)
    assert caplog.messages == ["AWS_XRAY_DAEMON_ADDRESS is 'nowhere', which is not HOST:PORT: no traces are sent"]
