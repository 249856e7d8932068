"""Queues on SQS, each with a dead-letter queue.

https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/Welcome.html
"""

from __future__ import annotations

import math
import os
import random
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import timedelta
from typing import Any

from windlass.dispatch.metrics import Metrics, series
from windlass.engines.aws.clients import Clients
from windlass.engines.aws.faults import calling, code_of
from windlass.engines.aws.stage import Stage
from windlass.errors import EngineUnavailable, InvalidItem
from windlass.model.queue import MAX_MESSAGE, Queue
from windlass.ports.binding import invocation_origin
from windlass.ports.clock import Clock, from_epoch
from windlass.ports.queue import Outgoing, QueueStats, Stored
from windlass.ports.telemetry import Origin

__all__ = ["AwsQueue", "trace_header", "trace_in"]

_MAX_SEND = MAX_MESSAGE * 100
# Of a request, https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/quotas-messages.html; AWS
# takes 1 MiB since August 2025, which is for all messages together what 256 KiB are for one here.
_BATCH, _BATCH_BYTES = 10, MAX_MESSAGE
_ATTEMPTS = 5
_FIRST_PAUSE = 0.05
# How long what an operator looks at or moves is hidden from consumers, should the operator's process die.
_HELD_SECONDS = 30
# A short poll asks some of SQS's servers, so one that finds nothing says little. A long poll would ask all, but is
# held up by a FIFO queue whose groups are all in flight.
_EMPTY_POLLS = 5
_AGE_PERIOD = 60
_AGE_WITHIN = timedelta(minutes=10)

_TRACE = re.compile(r"([0-9a-f]{8})([0-9a-f]{24})\Z")
_ROOT = re.compile(r"1-([0-9a-f]{8})-([0-9a-f]{24})\Z")
_SPAN = re.compile(r"[0-9a-f]{16}\Z")

_Entry = dict[str, Any]


class AwsQueue:
    """Implements `ports.queue.QueueOperator`. `pause` waits for some seconds before SQS is asked again.

    SQS takes up to ten messages in a request, and each of them by itself: when it goes on refusing some, `send` raises
    EngineUnavailable though others were sent. So whoever sends again sends those twice; in a FIFO queue they are
    dropped as duplicates, and one that was refused at first may come after a later one of its group.
    """

    def __init__(
        self,
        model: Queue[Any],
        stage: Stage,
        clients: Clients,
        clock: Clock,
        metrics: Metrics,
        *,
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        self.model, self._stage, self._clients, self._clock = model, stage, clients, clock
        self._metrics, self._pause = metrics, pause
        self._sent = series("messages_sent", system=model.system.name, queue=model.name)

    # ---- what a handler does

    def send(self, messages: Sequence[Outgoing]) -> list[str]:
        if sum(len(message.body) for message in messages) > _MAX_SEND:
            raise InvalidItem(f"{self.model.where}: too much to send at once; send in parts of at most 25 MiB")
        origin = invocation_origin()
        header = None if origin is None else trace_header(origin, sampled=_is_sampled(origin))
        entries = [self._entry(number, message, header) for number, message in enumerate(messages)]
        ids: dict[str, str] = {}
        try:
            with calling(self.model, "send"):
                if len(entries) == 1:
                    self._send_one(entries[0], ids)
                else:
                    for batch in _batches(entries):
                        self._send_batch(batch, ids)
        finally:
            if ids:
                self._metrics.count(self._sent, len(ids))
        return [ids[entry["Id"]] for entry in entries]

    def _entry(self, number: int, message: Outgoing, header: str | None) -> _Entry:
        # SQS takes the characters of XML, which lacks two that JSON holds as they are, and has escapes for:
        # https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SendMessage.html
        text = message.body.decode()
        body = text.replace("\ufffe", "\\ufffe").replace("\uffff", "\\uffff")
        if len(body) > len(text) and (size := len(body.encode())) > MAX_MESSAGE:
            raise InvalidItem(f"{self.model.where}: the message has {size:,} bytes in SQS; the most is {MAX_MESSAGE:,}")
        delay = None if message.delay is None else math.ceil(message.delay)
        return _entry(str(number), body, header, delay, message.group, message.dedupe)

    def _send_one(self, entry: _Entry, ids: dict[str, str]) -> None:
        """As `_send_batch`, for a message by itself, which boto3 tries again."""
        sqs = self._clients.client("sqs")
        one = {name: value for name, value in entry.items() if name != "Id"}
        try:
            ids[entry["Id"]] = sqs.send_message(QueueUrl=self._url(), **one)["MessageId"]
        except sqs.exceptions.InvalidMessageContents as error:
            raise InvalidItem(f"{self.model.where}: SQS does not take the message: {code_of(error)}") from error

    def _send_batch(self, batch: Sequence[_Entry], ids: dict[str, str]) -> None:
        """Adds to `ids` the id of each message that SQS took, by its entry's. Those for which SQS blames itself are
        tried again, with growing pauses."""
        sqs, url = self._clients.client("sqs"), self._url()
        left, codes = list(batch), ""
        for attempt in range(_ATTEMPTS):
            if attempt:
                self._pause(random.uniform(0.5, 1.0) * _FIRST_PAUSE * 2.0 ** (attempt - 1))
            answer = sqs.send_message_batch(QueueUrl=url, Entries=left)
            ids.update((done["Id"], done["MessageId"]) for done in answer.get("Successful", ()))
            failed = {fault["Id"]: fault for fault in answer.get("Failed", ())}
            for fault in failed.values():
                if fault.get("SenderFault"):
                    raise InvalidItem(f"{self.model.where}: SQS does not take the message: {fault.get('Code')}")
            left = [entry for entry in left if entry["Id"] in failed]
            if not left:
                return
            codes = ", ".join(sorted({str(fault.get("Code")) for fault in failed.values()}))
        raise EngineUnavailable(f"{self.model.where}.send: SQS did not take {len(left)} of {len(batch)}: {codes}")

    # ---- what an operator does

    def stats(self) -> QueueStats:
        """As SQS counts, approximately: a count may be a minute old. The age is CloudWatch's, of the last minutes; 0
        where there is none yet."""
        with calling(self.model, "stats"):
            waiting, in_flight, delayed = self._counts(dead=False)
            dead = sum(self._counts(dead=True))
            return QueueStats(waiting, in_flight, delayed, dead, self._oldest_age() if waiting else 0.0)

    def peek(self, limit: int, *, dead: bool) -> list[Stored]:
        """The oldest of the messages that SQS hands out, which must receive them for it, and has them back at once.

        That has a price: each peek counts as an attempt of a message, and the one after the last sends it to the
        dead-letter queue. Dead letters have no such end. Delayed messages and those in flight are not shown, and of a
        group of a FIFO queue only the first ten. `attempts` has those before this one; SQS knows no `reason`.
        """
        found: dict[str, Any] = {}
        with calling(self.model, "peek"):
            try:
                for taken in self._polls(dead, lambda: limit - len(found)):
                    found.update((message["MessageId"], message) for message in taken)
            finally:
                self._give_back(list(found.values()), dead)
        now, most = self._clock.now(), self.model.max_attempts if dead else None
        return [_stored(message, now, most) for message in sorted(found.values(), key=_sent_at)]

    def redrive(self, limit: int | None = None) -> int:
        """Moves them by receiving, sending and deleting, ten at a time: SQS would do it by itself
        (StartMessageMoveTask), but in the background, all or none of them, and counts them approximately. Whoever stops
        it half-way may find ten in both queues. One that dies again meanwhile stays where it is; each has a new id."""
        sent, again = set[str](), list[Any]()
        with calling(self.model, "redrive"):
            try:
                for taken in self._polls(True, lambda: None if limit is None else limit - len(sent)):
                    again += [letter for letter in taken if letter["MessageId"] in sent]
                    sent.update(self._move([letter for letter in taken if letter["MessageId"] not in sent]))
            finally:
                self._give_back(again, dead=True)
        return len(sent)

    def _move(self, letters: Sequence[Any]) -> list[str]:
        """Moves dead letters that were received; returns their new ids."""
        sqs, ids = self._clients.client("sqs"), dict[str, str]()
        try:
            for batch in _batches([self._redriven(str(number), letter) for number, letter in enumerate(letters)]):
                self._send_batch(batch, ids)
        finally:
            if ids:
                done = [{"Id": id, "ReceiptHandle": letters[int(id)]["ReceiptHandle"]} for id in ids]
                failed = sqs.delete_message_batch(QueueUrl=self._url(dead=True), Entries=done).get("Failed")
                if failed:
                    raise EngineUnavailable(
                        f"{self.model.where}.redrive: {len(failed)} dead letters were sent again and are still in the "
                        f"dead-letter queue, as SQS did not delete them: {failed[0].get('Code')}"
                    )
        return list(ids.values())

    def purge(self, *, dead: bool) -> int:
        """How many there were is SQS's approximate count. SQS takes up to a minute for it, and does it once a
        minute; sooner raises EngineUnavailable."""
        sqs = self._clients.client("sqs")
        with calling(self.model, "purge"):
            count = sum(self._counts(dead=dead))
            try:
                sqs.purge_queue(QueueUrl=self._url(dead=dead))
            except sqs.exceptions.PurgeQueueInProgress:
                raise EngineUnavailable(
                    f"{self.model.where} was purged a moment ago, and SQS does that once a minute\n"
                    "  fix: wait for a minute"
                ) from None
            return count

    def _url(self, *, dead: bool = False) -> str:
        return self._stage.told(self.model.name, "dead_url" if dead else "url")

    def _counts(self, *, dead: bool) -> tuple[int, int, int]:
        """How many wait, are in flight, and are delayed."""
        names = [f"ApproximateNumberOfMessages{which}" for which in ("", "NotVisible", "Delayed")]
        sqs = self._clients.client("sqs")
        told = sqs.get_queue_attributes(QueueUrl=self._url(dead=dead), AttributeNames=names)["Attributes"]
        waiting, in_flight, delayed = (int(told.get(name, 0)) for name in names)
        return waiting, in_flight, delayed

    def _oldest_age(self) -> float:
        # https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-available-cloudwatch-metrics.html
        now = from_epoch(self._clock.now())
        found = self._clients.client("cloudwatch").get_metric_statistics(
            Namespace="AWS/SQS",
            MetricName="ApproximateAgeOfOldestMessage",
            Dimensions=[{"Name": "QueueName", "Value": self._stage.queue(self.model.name, fifo=self.model.fifo)}],
            StartTime=now - _AGE_WITHIN,
            EndTime=now + timedelta(seconds=_AGE_PERIOD),
            Period=_AGE_PERIOD,
            Statistics=["Maximum"],
        )["Datapoints"]
        return float(max(found, key=lambda one: one["Timestamp"])["Maximum"]) if found else 0.0

    def _polls(self, dead: bool, room: Callable[[], int | None]) -> Iterator[list[Any]]:
        """Receives as long as there is `room` (None: for any number) and SQS finds messages that it did not find
        before."""
        sqs, url = self._clients.client("sqs"), self._url(dead=dead)
        seen: set[str] = set()
        empty = 0
        while empty < _EMPTY_POLLS:
            left = room()
            if left is not None and left <= 0:
                return
            taken = sqs.receive_message(
                QueueUrl=url,
                MaxNumberOfMessages=_BATCH if left is None else min(left, _BATCH),
                VisibilityTimeout=_HELD_SECONDS,
                WaitTimeSeconds=0,
                MessageSystemAttributeNames=["All"],
            ).get("Messages", [])
            new = {message["MessageId"] for message in taken} - seen
            seen |= new
            empty = 0 if new else empty + 1
            yield taken

    def _give_back(self, messages: Sequence[Any], dead: bool) -> None:
        """Lets others receive messages again. One that SQS fails to give back comes back when its time is over."""
        for first in range(0, len(messages), _BATCH):
            entries = [
                {"Id": str(number), "ReceiptHandle": message["ReceiptHandle"], "VisibilityTimeout": 0}
                for number, message in enumerate(messages[first : first + _BATCH])
            ]
            sqs = self._clients.client("sqs")
            sqs.change_message_visibility_batch(QueueUrl=self._url(dead=dead), Entries=entries)

    def _redriven(self, number: str, message: Mapping[str, Any]) -> _Entry:
        """A dead letter to be sent again, at once; in a FIFO queue under a name that it was not sent under before."""
        attributes = message.get("Attributes", {})
        header, fifo = attributes.get("AWSTraceHeader"), self.model.fifo
        group = attributes.get("MessageGroupId") if fifo else None
        dedupe = f"redrive-{message['MessageId']}" if fifo else None
        return _entry(number, message["Body"], header, None if fifo else 0, group, dedupe)


def trace_header(origin: Origin, *, sampled: bool) -> str:
    """What sent a message, as X-Ray writes it: `Root=1-8HEX-24HEX;Parent=16HEX;Sampled=0`. The consumer goes by what it
    says of `sampled`, so that a request is recorded with what follows from it, or not at all.

    https://docs.aws.amazon.com/xray/latest/devguide/xray-concepts.html#xray-concepts-tracingheader
    """
    match = _TRACE.match(origin.trace)
    if match is None:
        raise ValueError(f"{origin.trace!r} is not the id of a trace, 32 hexadecimal digits")
    parent = f"Parent={origin.span};" if origin.span else ""
    return f"Root=1-{match[1]}-{match[2]};{parent}Sampled={int(sampled)}"


def trace_in(header: str | None) -> str | None:
    """`TRACE-SPAN` of a header of X-Ray, or `TRACE` where it names no span; None where it names no trace."""
    parts = _parts(header)
    root, span = _ROOT.match(parts.get("Root", "")), parts.get("Parent", "")
    if root is None:
        return None
    trace = root[1] + root[2]
    return str(Origin(trace, span if _SPAN.match(span) else ""))


def _is_sampled(origin: Origin) -> bool:
    """Whether X-Ray records that trace: Lambda says so anew to each invocation, of the trace that it runs in.
    https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html"""
    header = os.environ.get("_X_AMZN_TRACE_ID")
    own = trace_in(header)
    return own is not None and own.startswith(origin.trace) and _parts(header).get("Sampled") == "1"


def _parts(header: str | None) -> dict[str, str]:
    return dict(part.strip().partition("=")[::2] for part in (header or "").split(";"))


def _entry(id: str, body: str, header: str | None, delay: int | None, group: str | None, dedupe: str | None) -> _Entry:
    """An entry of SendMessageBatch; `delay` in whole seconds, None: the queue's own."""
    entry: _Entry = {"Id": id, "MessageBody": body}
    if delay is not None:
        entry["DelaySeconds"] = delay
    if group is not None:
        entry["MessageGroupId"] = group
    if dedupe is not None:
        entry["MessageDeduplicationId"] = dedupe
    if header is not None:
        entry["MessageSystemAttributes"] = {"AWSTraceHeader": {"DataType": "String", "StringValue": header}}
    return entry


def _batches(entries: Sequence[_Entry]) -> Iterator[list[_Entry]]:
    """Entries in their order, in parts that fit into a request."""
    batch: list[_Entry] = []
    room = _BATCH_BYTES
    for entry in entries:
        size = len(entry["MessageBody"].encode())
        if batch and (len(batch) == _BATCH or size > room):
            yield batch
            batch, room = [], _BATCH_BYTES
        batch.append(entry)
        room -= size
    if batch:
        yield batch


def _stored(message: Mapping[str, Any], now: float, most: int | None) -> Stored:
    """A received message; it had `most` attempts at most, what more SQS counts are looks at the dead letter."""
    attributes = message.get("Attributes", {})
    attempts = max(0, int(attributes.get("ApproximateReceiveCount", 1)) - 1)
    return Stored(
        id=message["MessageId"],
        body=message["Body"].encode(),
        attempts=attempts if most is None else min(attempts, most),
        sent_at=_sent_at(message) / 1000,
        visible_at=now,
        group=attributes.get("MessageGroupId"),
        trace=trace_in(attributes.get("AWSTraceHeader")),
        receipt=message["ReceiptHandle"],
    )


def _sent_at(message: Mapping[str, Any]) -> int:
    return int(message.get("Attributes", {}).get("SentTimestamp", 0))
