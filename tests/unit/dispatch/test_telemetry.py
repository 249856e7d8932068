"""Spans on their way: taken in parts, and counted once each."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from windlass.dispatch.metrics import Distribution
from windlass.dispatch.telemetry import Telemetry
from windlass.ports.clock import ManualClock
from windlass.ports.telemetry import Span, new_span_id


def span(**more: Any) -> Span:
    fields: dict[str, Any] = {"kind": "request", "name": "GET /", "system": "shop", "trace": "t", "id": new_span_id()}
    return Span(
        **(fields | {"start": 60.0, "seconds": 0.5, "resource": "api", "handler": "read", "status": 200} | more)
    )


@given(sizes=st.lists(st.integers(0, 20), max_size=10), most=st.integers(1, 7))
def test_spans_are_taken_in_parts_in_order_and_counted_once(sizes: list[int], most: int) -> None:
    telemetry, taken, recorded = Telemetry(ManualClock()), [], []
    for size in sizes:
        for _ in range(size):
            recorded.append(span())
            telemetry.record(recorded[-1])
        part = telemetry.take(most)
        assert len(part) <= most
        taken += part
        if size % 2:
            telemetry.metrics.take()  # which counts all that are here
    taken += telemetry.take()
    assert [one.id for one in taken] == [one.id for one in recorded]
    assert telemetry.metrics.value("requests", status="200") == len(recorded)


def test_what_a_span_says_is_counted() -> None:
    telemetry = Telemetry(ManualClock())
    telemetry.record(span(status=503, ran=0.25, outcome="error"))
    telemetry.record(span(status=429))
    value = telemetry.metrics.value
    assert (value("requests"), value("requests", status="503"), value("throttles")) == (2, 1, 1)
    assert (value("request_errors"), value("request_client_errors"), value("request_seconds")) == (1, 1, 1.0)
    assert (value("calls", handler="read"), value("errors"), value("duration")) == (1, 1, 0.25)
    assert {minute for minute, _ in telemetry.metrics.take()} == {1}


@given(value=st.floats(-1e6, 1e6), times=st.integers(1, 50))
def test_a_repeated_value_is_the_same_as_each_by_itself(value: float, times: int) -> None:
    once, each = Distribution(), Distribution()
    once.repeat(value, times)
    for _ in range(times):
        each.add([value])
    assert (once.count, once.least, once.greatest, once.buckets) == (
        each.count,
        each.least,
        each.greatest,
        each.buckets,
    )
    assert abs(once.total - each.total) <= abs(value) * times * 1e-12
