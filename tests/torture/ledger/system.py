"""A system that can say what happened to it: each effect is a row and is counted, and messages fail on demand."""

from __future__ import annotations

from datetime import timedelta
from typing import Literal

import msgspec

from windlass import (
    Message,
    Page,
    System,
    Tick,
    TransactionConflict,
    transact,
)

STUMBLES = 250
"""Every so many numbers, the first attempt at a step fails."""

ledger = System("ledger")


class Entry(msgspec.Struct, frozen=True):
    """`flaky` is not handled at the first attempt, `poison` never."""

    id: str
    kind: Literal["good", "flaky", "poison"]


class Step(msgspec.Struct, frozen=True):
    """`number` counts from 1 in its group."""

    group: str
    number: int


class Done(msgspec.Struct, frozen=True):
    """Something that was done once; `what` says what kind of thing."""

    what: str
    id: str


class Total(msgspec.Struct, frozen=True):
    """How often something was done."""

    what: str
    number: int = 0


class Progress(msgspec.Struct, frozen=True):
    """The last step of a group that was handled."""

    group: str
    last: int


entries = ledger.queue("entries", Entry, max_attempts=3, visibility=timedelta(seconds=1))
# No step may die: those behind it would be out of order.
steps = ledger.queue("steps", Step, fifo=True, max_attempts=1000, visibility=timedelta(seconds=1))
done = ledger.table("done", Done, key="what", sort="id")
totals = ledger.table("totals", Total, key="what")
progress = ledger.table("progress", Progress, key="group")
minutes = ledger.schedule("minutes", every=timedelta(minutes=1))
api = ledger.api("api")


def once(what: str, id: str) -> None:
    """Notes that it was done, and counts it, both or neither; another time counts as `again`."""
    try:
        transact(
            done.to_put(Done(what, id), if_absent=True),
            totals.to_update(what, add={"number": 1}, default=Total(what)),
        )
    except TransactionConflict as conflict:
        if conflict.reasons[0] is None:
            raise
        again = f"{what} again"
        totals.update(again, add={"number": 1}, default=Total(again))


@api.post("/entries", status=202, idempotent=timedelta(hours=24), uses=[done.put, totals.update, entries.send])
def accept(body: Entry) -> None:
    """Take an entry: it is noted here, and recorded by the consumer."""
    once("accepted", body.id)
    entries.send(body)


@entries.consumer(uses=[done.put, totals.update])
def record(message: Message[Entry]) -> None:
    """Record an entry, or fail as it says."""
    if message.body.kind == "poison":
        raise ValueError("poisoned")
    if message.body.kind == "flaky" and message.attempt == 1:
        raise TimeoutError("not at the first attempt")
    once("recorded", message.body.id)


@api.post("/steps", status=202, uses=[steps.send])
def climb(body: Step) -> None:
    """Take a step; the same one again within five minutes is dropped."""
    steps.send(body, group=body.group, dedupe=f"{body.group}.{body.number}")


@steps.consumer(uses=[progress.get, progress.put, done.put, totals.update])
def take(message: Message[Step]) -> None:
    """Take a step, which must follow the one before it."""
    step = message.body
    if step.number % STUMBLES == 0 and message.attempt == 1:
        raise TimeoutError("stumbled")
    before = progress.get(step.group)
    last = 0 if before is None else before.last
    if step.number > last + 1:
        once("out of order", f"{step.group} {last} {step.number}")
    if step.number > last:
        progress.put(Progress(step.group, step.number))


@minutes.task(timeout=timedelta(seconds=2), uses=[done.put, totals.update])
def fire(tick: Tick) -> None:
    """Note a firing."""
    once("fired", f"{tick.scheduled_at:%Y-%m-%dT%H:%M:%S} {tick.id}")


@api.get("/done/{what}", uses=[done.query])
def show_done(what: str, after: str | None = None) -> Page[Done]:
    """What was done, in the order of the ids."""
    return done.query(what, limit=1000, after=after)


@api.get("/totals", uses=[totals.scan])
def show_totals() -> list[Total]:
    """How often what was done."""
    return totals.scan(limit=1000).items


@api.get("/progress", uses=[progress.scan])
def show_progress() -> list[Progress]:
    """How far each group has come."""
    return progress.scan(limit=1000).items
