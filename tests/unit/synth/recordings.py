"""A small system with all that costs, and recordings of it, for the tests of `windlass cost`."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from windlass import Index, System
from windlass.synth.recording import Call, Recorded, Recording, Sample

__all__ = ["call", "recorded", "recording", "shop"]


@dataclass(frozen=True, slots=True)
class Order:
    id: str
    day: str


def shop(**consumer: Any) -> System:
    """POST /orders puts and sends; a consumer, as `consumer` declares it, puts what was sent; an hourly schedule
    reads a secret; GET /orders queries."""
    system = System("shop")
    system.alarms(defaults=False)
    orders = system.table("orders", Order, key="id", indexes={"by_day": Index("day")})
    jobs = system.queue("jobs", Order)
    key = system.secret("key")
    api = system.api("api", throttle=100)

    @api.post("/orders", uses=[orders.put, jobs.send])
    def place(body: Order) -> None:
        """Places an order."""

    @api.get("/orders", uses=[orders.query])
    def look(id: str) -> None:
        """Looks for orders."""

    @jobs.consumer(uses=[orders.put], **consumer)
    def pack(order: Order) -> None:
        """Packs an order."""

    hourly = system.schedule("hourly", every=timedelta(hours=1))

    @hourly.task(uses=[key.read])
    def tidy() -> None:
        """Tidies up."""

    return system


def call(service: str, operation: str, resource: str = "", **more: Any) -> Call:
    return Call(**{"service": service, "operation": operation, "resource": resource, "count": 1, **more})


def recorded(*calls: Call, own_ms: float = 1.0, **more: Any) -> Recorded:
    return Recorded(samples=[Sample(own_ms=own_ms, calls=list(calls), **more)])


def recording(**handlers: Recorded) -> Recording:
    """A recording of `shop`; handlers that are not given call nothing, but for `place`, which sends a message."""
    known = {
        "look": recorded(),
        "pack": recorded(),
        "place": recorded(call("sqs", "SendMessage", "jobs", items=1, bytes=100)),
        "tidy": recorded(),
    }
    return Recording(system="shop", made_on="nothing", handlers=known | handlers)
