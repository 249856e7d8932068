"""Queue messages -> one handler -> which of them were handled."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from windlass.dispatch.context import Context, logger
from windlass.errors import WindlassError
from windlass.graph.consumer import receives
from windlass.model.queue import Batch, Consumer, Message, Queue, received
from windlass.ports.queue import Stored

__all__ = ["MessageDispatch"]


class MessageDispatch:
    """The consumer of one queue. Fails message by message: what could not be decoded or handled is reported,
    everything else is done."""

    def __init__(self, context: Context, queue: Queue[Any], consumer: Consumer) -> None:
        self._context, self._queue, self._consumer = context, queue, consumer
        handler = consumer.handler
        self._style = receives(handler.function, queue.message, where=f"{context.system.name}.{handler.name}")

    def handle(self, messages: Sequence[Stored], trace_id: str, deadline: float) -> dict[str, str]:
        """Runs the handler for `messages`; returns the ids of those that failed, with the reason. Never raises.

        In a FIFO queue, what comes after a failed message of the same group is not handled either, so that the
        order holds.
        """
        failures: dict[str, str] = {}
        blocked: set[str] = set()
        decoded: list[Message[Any]] = []
        for stored in messages:
            if stored.group is not None and stored.group in blocked:
                failures[stored.id] = "an earlier message of its group failed"
                continue
            try:
                message = received(self._queue, stored.id, stored.body, stored.attempts, stored.sent_at, stored.group)
            except WindlassError as error:
                self._failed(stored.id, error, stored.trace or trace_id, failures)
                blocked.update([stored.group] if stored.group else [])
                continue
            if self._style == "batch":
                decoded.append(message)
            elif not self._one(message, stored.trace or trace_id, deadline, failures) and stored.group:
                blocked.add(stored.group)
        if decoded:
            self._together(decoded, trace_id, deadline, failures)
        return failures

    def _one(self, message: Message[Any], trace_id: str, deadline: float, failures: dict[str, str]) -> bool:
        handler = self._consumer.handler
        argument = message.body if self._style == "one" else message
        try:
            self._context.call(handler, trace_id, deadline, lambda: handler.function(argument))
        except Exception as error:
            self._failed(message.id, error, trace_id, failures)
            return False
        return True

    def _together(self, messages: list[Message[Any]], trace_id: str, deadline: float, failures: dict[str, str]) -> None:
        handler = self._consumer.handler
        batch = Batch(messages)
        try:
            self._context.call(handler, trace_id, deadline, lambda: handler.function(batch))
        except Exception as error:
            for message in messages:
                failures[message.id] = _told(error)
            self._log(error, trace_id, f"{len(messages)} messages")
            return
        ids = {message.id for message in messages}
        failed_groups: set[str] = set()
        for message in messages:
            if message.id in batch.failures:
                failures[message.id] = _told(batch.failures[message.id])
                failed_groups.update([message.group] if message.group else [])
            elif message.group in failed_groups:
                failures[message.id] = "an earlier message of its group failed"
        if unknown := set(batch.failures) - ids:
            logger.warning("%s failed messages that it was not given: %s", handler.name, ", ".join(sorted(unknown)[:5]))

    def _failed(self, message_id: str, error: BaseException, trace_id: str, failures: dict[str, str]) -> None:
        failures[message_id] = _told(error)
        self._log(error, trace_id, f"message {message_id}")

    def _log(self, error: BaseException, trace_id: str, what: str) -> None:
        name = self._consumer.handler.name
        logger.warning(
            "%s failed on %s of %s",
            name,
            what,
            self._queue.name,
            exc_info=error,
            extra={"trace_id": trace_id, "system": self._context.system.name, "handler": name},
        )


def _told(reason: object) -> str:
    """Why a message failed, as text that can be stored: a handler may raise or say anything."""
    try:
        text = f"{type(reason).__name__}: {reason}" if isinstance(reason, BaseException) else str(reason)
    except Exception:
        text = type(reason).__name__
    return text[:500].encode(errors="replace").decode()
