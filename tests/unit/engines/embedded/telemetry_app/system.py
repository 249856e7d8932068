"""A shop whose orders go through a queue to a table, for the tests of telemetry."""

import logging
from dataclasses import dataclass
from datetime import timedelta

import windlass
from windlass import NotFound, System

shop = System("shop", title="Shop")
logger = logging.getLogger("shop")


@dataclass(frozen=True, slots=True)
class Order:
    id: str
    note: str = ""


orders = shop.table("orders", Order, key="id")
placed = shop.queue("placed", Order)
many = shop.queue("many", Order)
api = shop.api("api")


@api.post("/orders", status=202, uses=[placed.send])
def create(body: Order) -> dict[str, str]:
    logger.info("order %s is taken", body.id)
    windlass.metric("order_value", 12.5)
    placed.send(body)
    return {"traceparent": windlass.traceparent()}


@api.post("/batches", status=202, uses=[many.send])
def gather(body: Order) -> dict[str, str]:
    many.send(body)
    return {"traceparent": windlass.traceparent()}


@api.get("/orders/{id}", uses=[orders.get])
def read(id: str) -> Order:
    found = orders.get(id)
    if found is None:
        raise NotFound(f"there is no order {id}")
    return found


@api.get("/broken/{password}")
def broken(password: str) -> None:
    logger.warning("about to break with password=%s", password)
    raise ValueError(f"password={password} is of no use")


@placed.consumer(uses=[orders.put])
def store(order: Order) -> None:
    orders.put(order)
    logger.info("order %s is stored", order.id)


@many.consumer(batch=2, window=timedelta(seconds=60), uses=[orders.put])
def store_many(batch: windlass.Batch[Order]) -> None:
    for message in batch:
        orders.put(message.body)
