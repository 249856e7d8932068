"""Queue messages -> one handler -> which of them were handled."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from windlass.dispatch.context import Context, logger
from windlass.dispatch.metrics import series
from windlass.dispatch.telemetry import told
from windlass.errors import WindlassError
from windlass.graph.consumer import receives
from windlass.model.queue import Batch, Consumer, Message, Queue, received
from windlass.ports.queue import Stored
from windlass.ports.telemetry import Origin, Span

__all__ = ["MessageDispatch"]


class MessageDispatch:
    """The consumer of one queue. Fails message by message: what could not be decoded or handled is reported,
    everything else is done."""

    def __init__(self, context: Context, queue: Queue[Any], consumer: Consumer) -> None:
        self._context, self._queue, self._consumer = context, queue, consumer
        handler = consumer.handler
        self._style = receives(handler.function, queue.message, where=f"{context.system.name}.{handler.name}")
        self._name = f"queue {queue.name}"
        labels = {"system": context.system.name, "queue": queue.name}
        self._received, self._retried = series("messages_received", **labels), series("messages_retried", **labels)
        self._handled, self._failures = series("messages_handled", **labels), series("messages_failed", **labels)

    def handle(self, messages: Sequence[Stored], deadline: float) -> dict[str, str]:
        """Runs the handler for `messages`; returns the ids of those that failed, with the reason. Never raises.

        In a FIFO queue, what comes after a failed message of the same group is not handled either, so that the
        order holds.
        """
        failures: dict[str, str] = {}
        blocked: set[str] = set()
        decoded: list[tuple[Message[Any], Origin | None]] = []
        for stored in messages:
            if stored.group is not None and stored.group in blocked:
                failures[stored.id] = "an earlier message of its group failed"
                continue
            if time.monotonic() > deadline:
                failures[stored.id] = "no time was left for it"
                blocked.update([stored.group] if stored.group else [])
                continue
            cause = _cause(stored)
            try:
                message = received(self._queue, stored.id, stored.body, stored.attempts, stored.sent_at, stored.group)
            except WindlassError as error:
                self._undecodable(stored, cause, error, failures)
                blocked.update([stored.group] if stored.group else [])
                continue
            if self._style == "batch":
                decoded.append((message, cause))
            elif not self._one(message, cause, deadline, failures) and stored.group:
                blocked.add(stored.group)
        if decoded:
            self._together(decoded, deadline, failures)
        self._count(messages, failures)
        return failures

    def _count(self, messages: Sequence[Stored], failures: dict[str, str]) -> None:
        count = self._context.telemetry.metrics.count
        count(self._received, len(messages))
        if again := sum(message.attempts > 1 for message in messages):
            count(self._retried, again)
        if failures:
            count(self._failures, len(failures))
        count(self._handled, len(messages) - len(failures))

    def _begin(self, cause: Origin | None, count: int = 1, links: Sequence[str] = ()) -> Span:
        return self._context.telemetry.begin(
            "delivery",
            self._name,
            self._context.system.name,
            cause,
            handler=self._consumer.handler.name,
            resource=self._queue.name,
            count=count,
            links=list(links),
        )

    def _undecodable(
        self, stored: Stored, cause: Origin | None, error: WindlassError, failures: dict[str, str]
    ) -> None:
        span = self._begin(cause)
        told(span, error)
        self._failed(stored.id, error, span, failures)
        self._context.telemetry.end(span)

    def _one(self, message: Message[Any], cause: Origin | None, deadline: float, failures: dict[str, str]) -> bool:
        handler = self._consumer.handler
        argument = message.body if self._style == "one" else message
        span = self._begin(cause)
        try:
            self._context.call(handler, span, deadline, lambda: handler.function(argument))
        except Exception as error:
            self._failed(message.id, error, span, failures)
            return False
        finally:
            self._context.telemetry.end(span)
        return True

    def _together(
        self, decoded: Sequence[tuple[Message[Any], Origin | None]], deadline: float, failures: dict[str, str]
    ) -> None:
        handler = self._consumer.handler
        messages = [message for message, _ in decoded]
        causes = {cause for _, cause in decoded if cause is not None}
        # Messages of one trace are handled in that trace; those of several in one of its own that links to theirs.
        one = min(causes) if len({cause.trace for cause in causes}) == 1 else None
        span = self._begin(one, len(messages), sorted(str(cause) for cause in causes if cause != one))
        batch = Batch(messages)
        try:
            self._context.call(handler, span, deadline, lambda: handler.function(batch))
            self._note_failures(batch, span, failures)
        except Exception as error:
            for message in messages:
                failures[message.id] = _told(error)
            self._log(error, span, f"{len(messages)} messages")
        finally:
            self._context.telemetry.end(span)

    def _note_failures(self, batch: Batch[Any], span: Span, failures: dict[str, str]) -> None:
        """Takes over the messages that the handler has failed."""
        failed_groups: set[str] = set()
        for message in batch.messages:
            if message.id in batch.failures:
                failures[message.id] = _told(batch.failures[message.id])
                failed_groups.update([message.group] if message.group else [])
            elif message.group in failed_groups:
                failures[message.id] = "an earlier message of its group failed"
        own = [failures[message.id] for message in batch.messages if message.id in failures]
        if own:
            span.error = f"{len(own)} of {len(batch)} messages failed: {own[0]}"[:300]
        if unknown := set(batch.failures) - {message.id for message in batch.messages}:
            told_of = ", ".join(sorted(map(str, unknown))[:5])
            logger.warning("%s failed messages that it was not given: %s", self._consumer.handler.name, told_of)

    def _failed(self, message_id: str, error: BaseException, span: Span, failures: dict[str, str]) -> None:
        failures[message_id] = _told(error)
        self._log(error, span, f"message {message_id}")

    def _log(self, error: BaseException, span: Span, what: str) -> None:
        name = self._consumer.handler.name
        logger.warning(
            "%s failed on %s of %s",
            name,
            what,
            self._queue.name,
            exc_info=error,
            extra={"trace_id": span.trace, "system": self._context.system.name, "handler": name},
        )


def _cause(stored: Stored) -> Origin | None:
    """What sent a message, None for one that an operator put there."""
    if not stored.trace:
        return None
    trace, _, span = stored.trace.partition("-")
    return Origin(trace, span)


def _told(reason: object) -> str:
    """Why a message failed, as text that can be stored: a handler may raise or say anything."""
    try:
        text = f"{type(reason).__name__}: {reason}" if isinstance(reason, BaseException) else str(reason)
    except Exception:
        text = type(reason).__name__
    return text[:500].encode(errors="replace").decode()
