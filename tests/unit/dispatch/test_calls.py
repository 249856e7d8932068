"""Calls of resources: a span for each, and all of them counted in the minute in which they ended."""

import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import pytest

from windlass import System
from windlass.dispatch.calls import traced
from windlass.dispatch.telemetry import Telemetry
from windlass.errors import Conflict
from windlass.model.table import Table
from windlass.ports.binding import Invocation, invoked
from windlass.ports.clock import ManualClock


@dataclass
class Order:
    id: str


class Port:
    """An engine's port: an operation that succeeds, and one that raises what it is given."""

    def get(self, key: str) -> str:
        return key

    def put(self, error: Exception) -> None:
        raise error


@pytest.fixture
def orders() -> Table[Order]:
    return System("shop").table("orders", Order, key="id")


@pytest.fixture
def telemetry() -> Telemetry:
    return Telemetry(ManualClock())


def invocation(telemetry: Telemetry, epoch: float = 0.0) -> Invocation:
    return Invocation("shop", "shop.read", {}, telemetry.clock, b"", "a" * 32, "b" * 16, epoch=epoch)


def counted(telemetry: Telemetry, **labels: str) -> dict[str, float]:
    names = ("operations", "operation_errors", "operation_seconds")
    found = {name: telemetry.metrics.value(name, resource="orders", **labels) for name in names}
    return found | {"spans": float(len(telemetry.take()))}


def test_a_call_leaves_a_span_in_the_trace_of_the_handler(telemetry: Telemetry, orders: Table[Order]) -> None:
    port = traced(Port(), orders, telemetry)
    with invoked(invocation(telemetry)):
        assert port.get("one") == "one"
    [span] = telemetry.take()
    assert (span.kind, span.name, span.system, span.outcome) == ("call", "orders.get", "shop", "ok")
    assert (span.trace, span.parent, span.noun, span.operation) == ("a" * 32, "b" * 16, "table", "get")
    assert 0 < span.seconds < 10
    value = telemetry.metrics.value
    assert (value("operations", outcome="ok", noun="table", operation="get"), value("operation_errors")) == (1, 0)
    assert value("operation_seconds") == span.seconds


def test_outside_a_handler_nothing_is_recorded(telemetry: Telemetry, orders: Table[Order]) -> None:
    assert traced(Port(), orders, telemetry).get("one") == "one"
    assert counted(telemetry) == {"operations": 0, "operation_errors": 0, "operation_seconds": 0, "spans": 0}


@pytest.mark.parametrize(("error", "outcome"), [(Conflict("there already"), "refused"), (KeyError("x"), "error")])
def test_what_was_raised_is_told_and_goes_on(
    telemetry: Telemetry, orders: Table[Order], error: Exception, outcome: str
) -> None:
    port = traced(Port(), orders, telemetry)
    with invoked(invocation(telemetry)), pytest.raises(type(error)):
        port.put(error)
    [span] = telemetry.take()
    assert (span.outcome, span.error) == (outcome, f"{type(error).__name__}: {error}")
    assert telemetry.metrics.value("operations", outcome=outcome) == 1
    assert telemetry.metrics.value("operation_errors") == (outcome == "error")


def test_calls_count_in_the_minute_in_which_they_ended(telemetry: Telemetry, orders: Table[Order]) -> None:
    port = traced(Port(), orders, telemetry)
    minutes = [100, 100, 101, 103, 90]
    for minute in minutes:
        with invoked(invocation(telemetry, epoch=minute * 60.0 + 30.0 - time.perf_counter())):
            port.get("one")
    deltas: dict[Any, float] = {
        minute: delta.count for (minute, (name, _)), delta in telemetry.metrics.take().items() if name == "operations"
    }
    assert deltas == {100: 2, 101: 1, 103: 1, 90: 1}


def test_calls_of_many_threads_are_all_counted(telemetry: Telemetry, orders: Table[Order]) -> None:
    port = traced(Port(), orders, telemetry)

    def work(_: int) -> None:
        with invoked(invocation(telemetry)):
            for _ in range(500):
                port.get("one")

    with ThreadPoolExecutor(4) as threads:
        done = threads.map(work, range(8))
        while telemetry.metrics.value("operations") < 4000:  # which reads, and so takes, while they count
            pass
        assert len(list(done)) == 8
    assert counted(telemetry, operation="get")["spans"] == 4000
    assert telemetry.metrics.value("operations") == 4000
