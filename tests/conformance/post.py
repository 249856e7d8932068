"""A system with a queue of each kind, which notes what its consumers receive."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from windlass import Batch, Message, System, new_id
from windlass.testing import Driver

VISIBILITY = timedelta(seconds=30)


@dataclass(frozen=True, slots=True)
class Job:
    """Its first `failures` deliveries fail."""

    name: str
    failures: int = 0
    padding: str = ""


@dataclass(frozen=True, slots=True)
class Count:
    name: str
    value: int = 0


@dataclass(frozen=True, slots=True)
class Delivery:
    """One message as a consumer received it; `order` counts all deliveries."""

    queue: str
    order: int
    name: str
    attempt: int
    id: str
    group: str | None
    sent_at: datetime
    batch: int = 1


post = System("post")
counts = post.table("counts", Count, key="name")
deliveries = post.table("deliveries", Delivery, key="queue", sort="order")
jobs = post.queue("jobs", Job, max_attempts=3)
plain = post.queue("plain", Job)
batched = post.queue("batched", Job, max_attempts=3)
windowed = post.queue("windowed", Job)
later = post.queue("later", Job, delay=timedelta(minutes=1))
brief = post.queue("brief", Job, retention=timedelta(minutes=5), max_attempts=1000)
ordered = post.queue("ordered", Job, fifo=True, max_attempts=3)
content = post.queue("content", Job, fifo=True, deduplicate="content")
first = post.queue("first", Job)
second = post.queue("second", Job)


def received(queue: str, message: Message[Job], batch: int = 1) -> bool:
    """Notes a delivery; whether it is to fail."""
    order = counts.update("order", add={"value": 1}, default=Count("order")).value
    body = message.body
    deliveries.put(
        Delivery(queue, order, body.name, message.attempt, message.id, message.group, message.sent_at, batch)
    )
    seen = counts.update(f"{queue}/{body.name}", add={"value": 1}, default=Count(f"{queue}/{body.name}"))
    return seen.value <= body.failures


RECORDS = [counts.update, deliveries.put]


@jobs.consumer(uses=RECORDS)
def work(message: Message[Job]) -> None:
    if received("jobs", message):
        raise ValueError(f"{message.body.name} cannot be done yet")


@plain.consumer(uses=[counts.update])
def work_plainly(job: Job) -> None:
    counts.update(f"plain/{job.name}", add={"value": 1}, default=Count(f"plain/{job.name}"))


@batched.consumer(uses=RECORDS, batch=5)
def work_together(batch: Batch[Job]) -> None:
    for message in batch:
        if received("batched", message, len(batch)):
            if message.body.padding == "raise":
                raise ValueError("the whole batch is lost")
            batch.fail(message, f"{message.body.name} cannot be done yet")


@windowed.consumer(uses=RECORDS, batch=3, window=timedelta(seconds=20))
def work_slowly(batch: Batch[Job]) -> None:
    for message in batch:
        received("windowed", message, len(batch))


@later.consumer(uses=RECORDS)
def work_later(message: Message[Job]) -> None:
    received("later", message)


@brief.consumer(uses=RECORDS)
def work_briefly(message: Message[Job]) -> None:
    if received("brief", message):
        raise ValueError("not yet")


@ordered.consumer(uses=RECORDS, batch=1)
def work_in_order(message: Message[Job]) -> None:
    if received("ordered", message):
        raise ValueError("not yet")


@content.consumer(uses=RECORDS, batch=10)
def work_by_content(message: Message[Job]) -> None:
    received("content", message)


@first.consumer(uses=[*RECORDS, second.send])
def pass_on(message: Message[Job]) -> None:
    failing = received("first", message)
    second.send(Job(f"{message.body.name}, attempt {message.attempt}"))
    if failing:
        raise ValueError("after it was passed on")


@second.consumer(uses=RECORDS)
def take_over(message: Message[Job]) -> None:
    received("second", message)


def noted(app: Driver, queue: str) -> list[Delivery]:
    with app.bound():
        return deliveries.query(queue, limit=1000).items


def names(app: Driver, queue: str) -> list[str]:
    return [delivery.name for delivery in noted(app, queue)]


def attempts(app: Driver, queue: str) -> list[tuple[str, int]]:
    return [(delivery.name, delivery.attempt) for delivery in noted(app, queue)]


def send_in_order(group: str, *messages: Job) -> None:
    for message in messages:
        ordered.send(message, group=group, dedupe=new_id())
