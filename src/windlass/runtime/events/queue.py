"""SQS: messages that an event source mapping hands to a function, and which of them failed.

https://docs.aws.amazon.com/lambda/latest/dg/with-sqs.html
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from windlass.engines.aws.queue import trace_in
from windlass.ports.queue import Stored
from windlass.runtime.events.malformed import MalformedEvent, reader, text_bytes

__all__ = ["Received", "failed", "messages_of"]


class _Attributes(msgspec.Struct, gc=False, rename="pascal"):
    approximate_receive_count: str
    sent_timestamp: str
    approximate_first_receive_timestamp: str
    message_group_id: str | None = None
    trace_header: str | None = msgspec.field(default=None, name="AWSTraceHeader")


class _Record(msgspec.Struct, gc=False, rename="camel"):
    message_id: str
    receipt_handle: str
    body: str
    attributes: _Attributes


class _Event(msgspec.Struct, gc=False):
    records: list[dict[str, Any]] = msgspec.field(name="Records")


class Received(msgspec.Struct):
    """The messages of an event, and the ids of those that could not be read, with the reason."""

    messages: list[Stored]
    unread: dict[str, str]


_read = reader(_Event, "a batch of messages of SQS")
_read_record = reader(_Record, "a message of SQS")


def messages_of(event: object, trace: str | None = None) -> Received:
    """The messages in an event; one that names no trace belongs to `trace`. Raises MalformedEvent where not even the
    ids of all messages can be told: SQS then hands out all of them again."""
    received = Received([], {})
    in_order = False
    for raw in _read(event).records:
        id = raw.get("messageId")
        try:
            message = _message(raw, trace)
        except MalformedEvent as error:
            if not isinstance(id, str):
                raise
            in_order = in_order or str(raw.get("eventSourceARN", "")).endswith(".fifo")
            received.unread[id] = str(error)
            continue
        if in_order:  # whose group the unread one is in, nobody knows
            received.unread[message.id] = "an earlier message could not be read"
        else:
            received.messages.append(message)
    return received


def _message(raw: dict[str, Any], trace: str | None) -> Stored:
    record = _read_record(raw)
    attributes = record.attributes
    try:
        return Stored(
            id=record.message_id,
            body=text_bytes(record.body),
            attempts=int(attributes.approximate_receive_count),
            sent_at=int(attributes.sent_timestamp) / 1000,
            visible_at=int(attributes.approximate_first_receive_timestamp) / 1000,
            group=attributes.message_group_id,
            trace=(trace_in(attributes.trace_header) if attributes.trace_header else None) or trace,
            receipt=record.receipt_handle,
        )
    except ValueError:
        raise MalformedEvent("the event is not a message of SQS: its counts and times must be numbers") from None


def failed(ids: Iterable[str]) -> dict[str, Any]:
    """The answer: SQS deletes all messages but these."""
    return {"batchItemFailures": [{"itemIdentifier": id} for id in ids]}
