"""The port of a queue."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import msgspec

__all__ = ["Outgoing", "QueueOperator", "QueuePort", "QueueStats", "Stored"]


class Outgoing(msgspec.Struct, frozen=True, gc=False):
    """A message to send. `body` is JSON; `delay` in seconds (0 to 900); `group` and `dedupe` are for FIFO queues."""

    body: bytes
    delay: float | None = None
    group: str | None = None
    dedupe: str | None = None


class Stored(msgspec.Struct, frozen=True, gc=False):
    """A message as the queue holds it. `attempts` counts the deliveries so far; times are epoch seconds;
    `reason` is why the last attempt failed, on a dead letter; `trace` is what sent it, `TRACE-SPAN`; `receipt` is
    the engine's own name for this message."""

    id: str
    body: bytes
    attempts: int
    sent_at: float
    visible_at: float
    group: str | None = None
    trace: str | None = None
    reason: str | None = None
    receipt: int | str = 0


class QueueStats(msgspec.Struct, frozen=True, gc=False):
    """How many messages wait, are being handled, are delayed, and lie in the dead-letter queue; the age of the
    oldest waiting one in seconds."""

    waiting: int
    in_flight: int
    delayed: int
    dead: int
    oldest_age: float


class QueuePort(Protocol):
    """What a handler may ask of a queue."""

    def send(self, messages: Sequence[Outgoing]) -> list[str]:
        """Stores all messages or none; returns one id for each, in order. A FIFO duplicate within five minutes
        returns the id of the first."""
        ...


class QueueOperator(QueuePort, Protocol):
    """What an operator may ask of a queue, besides."""

    def stats(self) -> QueueStats: ...

    def peek(self, limit: int, *, dead: bool) -> list[Stored]:
        """The oldest messages, without receiving them."""
        ...

    def redrive(self, limit: int | None = None) -> int:
        """Moves dead letters back to the queue as if they were sent now; returns how many."""
        ...

    def purge(self, *, dead: bool) -> int:
        """Removes all messages (of the dead-letter queue where `dead`); returns how many."""
        ...
