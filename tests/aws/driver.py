"""The test driver's twin for AWS: a system whose functions run from the Lambda entry, over boto3, on an endpoint.

It does what AWS does around the functions: API Gateway (`gateway.py`), the event source mappings of queues, and the
Scheduler. Its clock is the test's; the server behind the endpoint is set to it.
"""

from __future__ import annotations

import heapq
import itertools
import json
import logging
import random
import uuid
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any, Self

from tests.aws.gateway import Gateway
from tests.aws.outbox import Outbox
from tests.aws.provision import provision
from tests.aws.servers import Server
from windlass import System
from windlass.dispatch.redact import Redactor
from windlass.engines.aws.clients import Clients
from windlass.engines.aws.engine import AwsSystem
from windlass.engines.aws.schedule import target_input
from windlass.engines.aws.stage import Stage
from windlass.errors import EngineUnavailable
from windlass.model.queue import Queue
from windlass.model.schedule import Schedule
from windlass.ports.api import Request, Response
from windlass.ports.binding import Grant, Invocation, invoked
from windlass.ports.clock import ManualClock, from_epoch
from windlass.ports.mailer import Mail, MailerOperator
from windlass.ports.telemetry import Span
from windlass.runtime.function import Function
from windlass.testing import Capture, Driver

__all__ = ["ACCOUNT", "REGION", "AwsDriver"]

REGION, ACCOUNT = "eu-west-1", "123456789012"  # MiniStack takes a key of twelve digits for an account
_MOST_ROUNDS = 10_000
_RETRY_SECONDS = (60.0, 120.0)
"""How long Lambda waits before it tries an asynchronous invocation again:
https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-error-handling.html"""

_numbers = itertools.count(1)
_stages: dict[tuple[str, str, str], Stage] = {}


class _TimedClients(Clients):
    """Clients that tell when a message that is sent now can be received."""

    def __init__(self, driver: AwsDriver, server: Server) -> None:
        super().__init__(REGION, endpoint=server.endpoint, access_key=ACCOUNT, secret_key="secret", attempts=1)
        self._driver = driver
        self.outbox = Outbox()

    def make(self, service: str, *, once: bool = False) -> Any:
        client = super().make(service, once=once)
        if service == "sesv2":
            self.outbox.listen(client)
        if service == "sqs":
            client.meta.events.register("before-parameter-build.sqs.SendMessage", self._sent)
            client.meta.events.register("before-parameter-build.sqs.SendMessageBatch", self._sent)
        return client

    def _sent(self, params: dict[str, Any], **_: Any) -> None:
        for entry in params.get("Entries", [params]):
            if delay := entry.get("DelaySeconds", 0):
                self._driver.remember(delay)


class _Context:
    """What Lambda tells an invocation of itself."""

    def __init__(self, handler: str, timeout: float) -> None:
        self.aws_request_id, self._timeout = str(uuid.uuid4()), timeout
        self.function_name = handler
        self.invoked_function_arn = f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:{handler}"

    def get_remaining_time_in_millis(self) -> int:
        return int(self._timeout * 1000) + 1000


class AwsDriver(Driver):
    """As `Driver`, which it stands in for, on the AWS engine. A `state` that was used before in this process, on the
    same server, is found again."""

    def __init__(
        self,
        system: System,
        server: Server,
        state: str | None = None,
        *,
        seed: int | None = None,
        clock_start: datetime | None = None,
    ) -> None:
        self.system, self.clock, self._server = system, ManualClock(clock_start), server
        self._random = None if seed is None else random.Random(seed)
        self._folder = None
        self.logs = []
        server.set_clock(self.clock.now())
        self._clients = _TimedClients(self, server)
        key = (server.endpoint, system.name, state or "")
        known = _stages.get(key) if state else None
        if known is None:
            known = provision(system, f"t{next(_numbers)}", self._clients, ACCOUNT)
            _stages[key] = known
        self.stage = known
        self._times: list[float] = []
        self._first_seen: dict[str, float] = {}
        self._redactor = Redactor()
        self._whole = self._aws(None)
        self.telemetry = self._whole.telemetry
        self.metrics = self.telemetry.metrics
        self._systems = {handler.name: self._aws(handler.name) for handler in system.handlers}
        self._functions: dict[str, Function] = {}
        self._gateway = Gateway(system, self.invoke, lambda name: self._whole.ports[name], self.clock.now)
        self._next: dict[str, float | None] = {}
        for schedule in system.of(Schedule):
            following = schedule.next_after(self.now)
            self._next[schedule.name] = None if following is None else following.timestamp()
        self._again: list[tuple[float, int, str, dict[str, Any], int]] = []
        self._spans: list[Span] = []
        self._passwords: dict[str, str] = {}
        self._tokens: dict[str, tuple[str, float]] = {}
        self._begin_capture(Capture(self))

    def _aws(self, only: str | None) -> AwsSystem:
        telemetry = self._whole.telemetry if only is not None else None
        return AwsSystem(
            self.system,
            self.stage,
            self._clients,
            cursor_key=b"\1" * 32,
            only=only,
            clock=self.clock,
            telemetry=telemetry,
            redactor=self._redactor,
        )

    def invoke(self, handler: str, event: dict[str, Any]) -> Any:
        """What a function answers."""
        if handler not in self._functions:
            self._functions[handler] = Function(self._systems[handler])
        model = next(one for one in self.system.handlers if one.name == handler)
        return self._functions[handler](event, _Context(handler, model.timeout))

    def close(self) -> None:
        """Ends the run."""
        self._end_capture()

    # ---- HTTP

    def _handle(self, request: Request) -> Response:
        self._server.set_clock(self.clock.now())
        return self._gateway.answer(request)

    # ---- time and deliveries

    def remember(self, delay: float) -> None:
        """Something can be received after `delay` seconds."""
        # moto counts to the millisecond, inclusively.
        heapq.heappush(self._times, self.clock.now() + delay + 0.001)

    def settle(self) -> None:
        """Delivers everything that is due, and what comes of that, until nothing is."""
        self._server.set_clock(self.clock.now())
        for _ in range(_MOST_ROUNDS):
            fired = self._fire()
            delivered = [self._deliver(queue) for queue in self.system.of(Queue) if queue.consumers]
            if not fired and not any(delivered):
                return
        raise EngineUnavailable("the system does not settle: its handlers make new work for ever")

    def advance(self, step: timedelta) -> None:
        """Moves the clock on by `step`, stopping at each moment at which something is due, to deliver it."""
        target = self.clock.now() + step.total_seconds()
        for _ in range(_MOST_ROUNDS):
            self.settle()
            while self._times and self._times[0] <= self.clock.now():
                heapq.heappop(self._times)
            due = [at for at in self._next.values() if at is not None]
            due += self._times[:1] + [again[0] for again in self._again[:1]]
            following = min(due, default=target)
            if following >= target:
                break
            self.clock.set(max(following, self.clock.now()))
        self.clock.set(target)
        self.settle()

    def _deliver(self, queue: Queue[Any]) -> bool:
        """One batch to the consumer of a queue, as an event source mapping hands it over; whether there was one."""
        consumer, sqs = queue.consumers[0], self._clients.client("sqs")
        url = self.stage.told(queue.name, "url")
        if consumer.window and not self._gathered(queue, url):
            return False
        messages: list[dict[str, Any]] = []
        while len(messages) < consumer.batch:
            found = sqs.receive_message(
                QueueUrl=url,
                MaxNumberOfMessages=min(10, consumer.batch - len(messages)),
                MessageSystemAttributeNames=["All"],
                AttributeNames=["All"],
                MessageAttributeNames=["All"],
            ).get("Messages", [])
            if not found:
                break
            messages += found
        if not messages:
            return False
        if self._random is not None and not queue.fifo:
            self._random.shuffle(messages)
        records = [_record(message, queue, self.stage.arn("sqs", queue.name)) for message in messages]
        answer = self.invoke(consumer.handler.name, {"Records": records})
        failed = {failure["itemIdentifier"] for failure in answer["batchItemFailures"]}
        if self._random is not None and not queue.fifo:
            done_twice = [r for r in records if self._random.random() < 0.25 and r["messageId"] not in failed]
            if done_twice:
                self.invoke(consumer.handler.name, {"Records": done_twice})
        done = [message for message in messages if message["MessageId"] not in failed]
        for first in range(0, len(done), 10):
            entries = [
                {"Id": str(number), "ReceiptHandle": message["ReceiptHandle"]}
                for number, message in enumerate(done[first : first + 10])
            ]
            sqs.delete_message_batch(QueueUrl=url, Entries=entries)
        if failed:
            self.remember(queue.visibility.total_seconds())
        return True

    def _gathered(self, queue: Queue[Any], url: str) -> bool:
        """Whether a batch is full, or has waited for its window since its first message was seen."""
        asked = ["ApproximateNumberOfMessages"]
        attributes = self._clients.client("sqs").get_queue_attributes(QueueUrl=url, AttributeNames=asked)["Attributes"]
        consumer, waiting = queue.consumers[0], int(attributes[asked[0]])
        if waiting == 0:
            self._first_seen.pop(queue.name, None)
            return False
        if queue.name not in self._first_seen:
            self._first_seen[queue.name] = self.clock.now()
            self.remember(consumer.window)
        if waiting < consumer.batch and self.clock.now() < self._first_seen[queue.name] + consumer.window:
            return False
        del self._first_seen[queue.name]
        return True

    def _fire(self) -> bool:
        """Fires what is due; whether anything was."""
        now, fired = self.clock.now(), False
        for schedule in self.system.of(Schedule):
            at = self._next[schedule.name]
            if schedule.handler is None or at is None or at > now:
                continue
            latest = schedule.latest(from_epoch(at), self.now)
            following = schedule.next_after(self.now)
            self._next[schedule.name] = None if following is None else following.timestamp()
            text = target_input(schedule.name)
            for name, value in (
                ("<aws.scheduler.execution-id>", str(uuid.uuid4())),
                ("<aws.scheduler.scheduled-time>", latest.strftime("%Y-%m-%dT%H:%M:%SZ")),
                ("<aws.scheduler.attempt-number>", "1"),
            ):
                text = text.replace(name, value)
            self._start(schedule, text, 0)
            fired = True
        while self._again and self._again[0][0] <= now:
            _, _, name, event, tries = heapq.heappop(self._again)
            model = self.system.resources[name]
            assert isinstance(model, Schedule)
            self._start(model, event["text"], tries)
            fired = True
        return fired

    def _start(self, schedule: Schedule, text: str, tries: int) -> None:
        assert schedule.handler is not None
        try:
            self.invoke(schedule.handler.name, json.loads(text))
        except Exception as error:
            logging.getLogger("windlass").debug("attempt %d of %s: %s", tries + 1, schedule.name, error)
            if tries < min(schedule.retries, len(_RETRY_SECONDS)):
                at = self.clock.now() + _RETRY_SECONDS[tries]
                heapq.heappush(self._again, (at, next(_numbers), schedule.name, {"text": text}, tries + 1))

    # ---- looking and operating

    @contextmanager
    def bound(self) -> Iterator[Self]:
        """Inside, the system's resources can be used directly, without grants."""
        self._server.set_clock(self.clock.now())
        key = self._whole.context.signing_key
        invocation = Invocation(self.system.name, "test", self._whole.ports, self.clock, key, uuid.uuid4().hex)
        with invoked(invocation):
            yield self

    @property
    def outbox(self) -> list[Mail]:
        return list(self._clients.outbox.mails)

    @property
    def spans(self) -> list[Span]:
        self._spans += self.telemetry.take()
        return list(self._spans)

    @property
    def unused_grants(self) -> dict[str, list[Grant]]:
        used: dict[str, set[tuple[str, str]]] = defaultdict(set)
        for function in self._systems.values():
            for name, some in function.context.used.items():
                used[name] |= some
        unused = {}
        for handler in self.system.handlers:
            left = [grant for grant in handler.grants if (grant.resource, grant.operation) not in used[handler.name]]
            if left:
                unused[handler.name] = left
        return unused

    @property
    def alarms(self) -> dict[str, str]:
        raise EngineUnavailable("CloudWatch evaluates alarms, and nothing here does")

    def _masked(self, text: str) -> str:
        return self._redactor.mask(text)

    def mailer(self, name: str) -> MailerOperator:
        port: MailerOperator = self._port(name, "mailer")
        return port

    def _ports(self) -> Mapping[str, Any]:
        self._server.set_clock(self.clock.now())
        return self._whole.ports


def _record(message: dict[str, Any], queue: Queue[Any], arn: str) -> dict[str, Any]:
    """A message as Lambda hands it over (https://docs.aws.amazon.com/lambda/latest/dg/with-sqs.html)."""
    return {
        "messageId": message["MessageId"],
        "receiptHandle": message["ReceiptHandle"],
        "body": message["Body"],
        "attributes": message["Attributes"],
        "messageAttributes": {},
        "md5OfBody": message.get("MD5OfBody", ""),
        "eventSource": "aws:sqs",
        "eventSourceARN": arn,
        "awsRegion": REGION,
    }
