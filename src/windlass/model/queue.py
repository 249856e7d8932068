"""A queue: typed messages, handled at least once, with a dead-letter queue for those that cannot be.

The numbers are those of SQS:
https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/quotas-messages.html
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Generic, Literal, TypeVar

import msgspec

from windlass.errors import DeclarationError, InvalidItem, Misuse
from windlass.model.handler import Handler, declare
from windlass.model.resource import Resource, check_duration, operation
from windlass.model.shape import Shape
from windlass.model.type_tree import completer
from windlass.ports.binding import port
from windlass.ports.queue import Outgoing, QueuePort

if TYPE_CHECKING:
    from windlass.model.system import System

__all__ = ["Batch", "Consumer", "Message", "Queue"]

M = TypeVar("M")
F = TypeVar("F", bound=Callable[..., Any])

MAX_MESSAGE = 262_144
MAX_DELAY = timedelta(minutes=15)
_FIFO_ID = re.compile(r"[!-~]{1,128}\Z")


@dataclass(frozen=True, slots=True)
class Message(Generic[M]):
    """One received message. `attempt` counts from 1; `id` is the same for every attempt and every duplicate."""

    id: str
    body: M
    attempt: int
    sent_at: datetime
    group: str | None = None


@dataclass(slots=True)
class Batch(Generic[M]):
    """Messages received together. Those passed to `fail` are tried again, all others are done when the handler
    returns; a handler that raises fails them all."""

    messages: list[Message[M]]
    failures: dict[str, str] = field(default_factory=dict)

    def __iter__(self) -> Iterator[Message[M]]:
        return iter(self.messages)

    def __len__(self) -> int:
        return len(self.messages)

    def fail(self, message: Message[M], reason: str) -> None:
        """Says that `message` was not handled, and why."""
        self.failures[message.id] = reason


@dataclass(frozen=True, slots=True)
class Consumer:
    """How a handler receives: up to `batch` messages at once, waiting up to `window` seconds for them to gather,
    in at most `concurrency` runs beside each other."""

    handler: Handler
    batch: int
    window: float
    concurrency: int
    allow_cycle: bool


class Queue(Resource, Generic[M]):
    """Declared with `system.queue(name, Message, ...)`.

    A received message is hidden for the `visibility` timeout and deleted when its handler is done; otherwise it
    comes again, `max_attempts` times in all, then goes to the dead-letter queue. Messages older than `retention`
    are dropped. `delay` hides each new message first. With `fifo`, messages of a group are handled in order and
    a duplicate (`dedupe=`, or the same content with `deduplicate="content"`) within five minutes is dropped.
    """

    noun = "queue"

    def __init__(
        self,
        system: System,
        name: str,
        message: type[M],
        *,
        visibility: timedelta = timedelta(seconds=30),
        max_attempts: int = 5,
        retention: timedelta = timedelta(days=4),
        delay: timedelta = timedelta(0),
        fifo: bool = False,
        deduplicate: Literal["id", "content"] = "id",
    ) -> None:
        super().__init__(system, name)
        self.message = message
        self.shape = Shape(message, where=self.where, noun="queue")
        self.visibility, self.max_attempts, self.retention = visibility, max_attempts, retention
        self.delay, self.fifo = delay, fifo
        self.deduplicate: Literal["id", "content"] = deduplicate
        self.consumers: list[Consumer] = []
        self._decoder, self._complete = msgspec.json.Decoder(message), completer(message)
        for what, value in (("visibility", visibility), ("retention", retention), ("delay", delay)):
            check_duration(value, what, where=self.where)
        for wrong, summary, fix in (
            (
                not timedelta(seconds=1) <= visibility <= timedelta(hours=12),
                f"visibility={visibility} is out of range",
                "give 1 second to 12 hours",
            ),
            (not 1 <= max_attempts <= 1000, f"max_attempts={max_attempts} is out of range", "give 1 to 1000"),
            (
                not timedelta(minutes=1) <= retention <= timedelta(days=14),
                f"retention={retention} is out of range",
                "give 1 minute to 14 days",
            ),
            (not timedelta(0) <= delay <= MAX_DELAY, f"delay={delay} is out of range", "give 0 to 15 minutes"),
            (
                deduplicate not in ("id", "content") or (deduplicate == "content" and not fifo),
                f"deduplicate={deduplicate!r} does not fit",
                'fifo=True, deduplicate="content"',
            ),
        ):
            if wrong:
                raise DeclarationError(summary, where=self.where, fix=fix)

    @operation
    def send(
        self, message: M, *, delay: timedelta | None = None, group: str | None = None, dedupe: str | None = None
    ) -> str:
        """Sends a message and returns its id; it is durable before the caller's own answer is sent.

        Raises InvalidItem for a message over 256 KiB, a delay over 15 minutes, a FIFO queue without a group.
        """
        queue: QueuePort = port(self.name, "send")
        return queue.send([self._outgoing(message, delay, group, dedupe)])[0]

    @operation
    def send_many(
        self, messages: Sequence[M], *, delay: timedelta | None = None, group: str | None = None
    ) -> list[str]:
        """Sends messages and returns their ids in order. On AWS in batches of ten, each all or nothing."""
        queue: QueuePort = port(self.name, "send_many")
        if not messages:
            return []
        return queue.send([self._outgoing(message, delay, group, None) for message in messages])

    def consumer(
        self,
        *,
        uses: Sequence[object] = (),
        batch: int = 10,
        window: timedelta = timedelta(0),
        concurrency: int = 10,
        timeout: timedelta | None = None,
        allow_cycle: bool = False,
    ) -> Callable[[F], F]:
        """Makes a function the one that handles this queue's messages.

        Its one parameter tells how: annotated with the message's type, it is called for each message and each
        fails by itself; with `Message[M]` likewise, with id and attempt; with `Batch[M]`, once for all of them.
        `timeout` (at most the visibility timeout, which is the default) bounds one call with all its messages.
        """

        def register(function: F) -> F:
            where = f"{self.where} consumer"
            if not 1 <= batch <= (10 if self.fifo else 10_000):
                raise DeclarationError(
                    f"batch={batch} is out of range", where=where, fix="give 1 to 10,000, for a FIFO queue 1 to 10"
                )
            check_duration(window, "window", where=where)
            if not timedelta(0) <= window <= timedelta(seconds=300) or (self.fifo and window):
                raise DeclarationError(
                    f"window={window} is out of range", where=where, fix="give up to 300 seconds, for FIFO none"
                )
            if not 1 <= concurrency <= 1000:
                raise DeclarationError(f"concurrency={concurrency} is out of range", where=where, fix="give 1 to 1000")
            handler = declare(
                self.system.name,
                function,
                "queue",
                f"queue {self.name}",
                uses,
                min(self.visibility, timedelta(minutes=15)) if timeout is None else timeout,
                min(self.visibility, timedelta(minutes=15)),
            )
            self.consumers.append(Consumer(handler, batch, window.total_seconds(), concurrency, allow_cycle))
            self.system.add_handler(handler)
            return function

        return register

    def decode(self, body: bytes) -> M:
        """The message in `body`. Raises InvalidItem when it does not fit the type."""
        try:
            message = self._decoder.decode(body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise InvalidItem(f"{self.where}: the message is not a {self.message.__name__}: {error}") from error
        if self._complete is not None:
            self._complete(message)
        return message

    def _outgoing(self, message: M, delay: timedelta | None, group: str | None, dedupe: str | None) -> Outgoing:
        try:
            body = self.shape.json(message)
        except ValueError as error:  # not Unicode, or too many digits even for Python
            raise InvalidItem(f"{self.where}: the message cannot be sent: {error}") from None
        if len(body) > MAX_MESSAGE:
            raise InvalidItem(f"{self.where}: the message has {len(body):,} bytes; the most is {MAX_MESSAGE:,}")
        if delay is not None:
            check_duration(delay, "delay", where=self.where)
        if delay is not None and not timedelta(0) <= delay <= MAX_DELAY:
            raise Misuse(f"{self.where}: delay={delay} is out of range; give 0 to 15 minutes")
        if not self.fifo:
            if group is not None or dedupe is not None:
                raise Misuse(f"{self.where} is not a FIFO queue; group= and dedupe= need fifo=True")
            return Outgoing(body, None if delay is None else delay.total_seconds())
        if delay is not None:
            raise Misuse(f"{self.where} is a FIFO queue, where only the queue's own delay applies")
        if not group or not _FIFO_ID.match(group):
            raise Misuse(f"{self.where} is a FIFO queue: give group=, 1 to 128 letters, digits and ASCII punctuation")
        if dedupe is None:
            if self.deduplicate == "id":
                raise Misuse(f'{self.where}: give dedupe=, or declare the queue with deduplicate="content"')
            dedupe = hashlib.sha256(body).hexdigest()
        elif not _FIFO_ID.match(dedupe):
            raise InvalidItem(f"{self.where}: dedupe= must have 1 to 128 letters, digits and ASCII punctuation")
        return Outgoing(body, None, group, dedupe)


def received(queue: Queue[M], id: str, body: bytes, attempt: int, sent_at: float, group: str | None) -> Message[M]:
    """A received message, decoded. Raises InvalidItem."""
    return Message(id, queue.decode(body), attempt, datetime.fromtimestamp(sent_at, UTC), group)
