"""Records what a system's handlers call of AWS, for `windlass cost`: makes the `calls.json` beside a `system.py`.

    python -m tests.aws.calls presenter

`CallRecorder` listens to botocore; `RecordingDriver` runs a system as its tests do and has each delivery recorded.
Numbers and sizes of calls are the same each time. The handler's own time is not: it is the least CPU time of the
deliveries of one size, on the machine that records, so it is written and never compared.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

import msgspec

from tests.aws.driver import ACCOUNT, REGION, AwsDriver
from windlass.dispatch.context import logger
from windlass.dispatch.redact import Redactor
from windlass.engines.aws.stage import Stage
from windlass.graph.load import load
from windlass.model.mailer import Mailer
from windlass.model.queue import Queue
from windlass.model.secret import Secret
from windlass.model.system import System
from windlass.model.table import Table
from windlass.model.user_pool import UserPool
from windlass.runtime.function import Function
from windlass.runtime.recorder import Recorder
from windlass.synth.recording import Call, Recorded, Recording, Sample, path_of

__all__ = ["CallRecorder", "RecordingDriver", "item_size", "without_times"]

_SERVICES = ("dynamodb", "sqs", "secretsmanager", "cognito-idp", "sesv2")
_Kind = tuple[str, str, str, bool]


@dataclass(slots=True)
class _Delivery:
    handler: str
    messages: int
    at: float
    calls: dict[_Kind, list[float]] = field(default_factory=dict)
    seconds: float = 0.0
    log: bytes = b""
    answer_bytes: float = 0.0

    def add(self, kind: _Kind, count: float, items: float, size: float) -> None:
        so_far = self.calls.setdefault(kind, [0.0, 0.0, 0.0])
        for place, more in enumerate((count, items, size)):
            so_far[place] += more


class CallRecorder:
    """Records the calls of clients that it watches, made during deliveries. `now` is the clock that the engine has."""

    def __init__(self, system: System, stage: Stage, now: Callable[[], float]) -> None:
        self._system, self._now = system, now
        self._deliveries: list[_Delivery] = []
        self._running: _Delivery | None = None
        self._looking = False
        self._names = {stage.called(table.name): table.name for table in system.of(Table)}
        self._names[stage.idempotency_table] = "idempotency-keys"
        self._names |= {stage.queue(queue.name, fifo=queue.fifo): queue.name for queue in system.of(Queue)}
        self._names |= {stage.secret(secret.name): secret.name for secret in system.of(Secret)}
        self._only = {
            "cognito-idp": [pool.name for pool in system.of(UserPool)],
            "sesv2": [mailer.name for mailer in system.of(Mailer)],
        }

    def watch(self, client: Any) -> None:
        """Has the calls of a boto3 client recorded, from now on."""
        service = client.meta.service_model.service_name
        events = client.meta.events

        def before(params: dict[str, Any], model: Any, context: dict[str, Any], **_: Any) -> None:
            if self._running is not None and not self._looking:
                context["windlass"] = (params, self._sizes(client, model.name, params))

        def after(parsed: dict[str, Any], model: Any, context: dict[str, Any], **_: Any) -> None:
            if self._running is None or self._looking or (told := context.pop("windlass", None)) is None:
                return
            params, sizes = told
            if service == "dynamodb":
                self._dynamodb(client, model.name, params, parsed, sizes)
            else:
                resource, items, size = self._other(service, model.name, params)
                self._running.add((service, model.name, resource, False), 1, items, size)

        events.register(f"before-parameter-build.{events_name(client)}", before)
        events.register(f"after-call.{events_name(client)}", after)

    @contextmanager
    def delivery(self, handler: str, messages: int = 1) -> Iterator[_Delivery]:
        """Inside, `handler` handles a delivery of so many messages."""
        self._running = made = _Delivery(handler, messages, self._now())
        begin = time.process_time()
        try:
            yield made
        finally:
            made.seconds = time.process_time() - begin
            self._running = None
        self._deliveries.append(made)

    def recording(self, made_on: str) -> Recording:
        """What was recorded. Of each handler there must be two deliveries of its first one's size, one straight after
        the other: what only the first calls is what an environment calls once."""
        handlers: dict[str, list[_Delivery]] = {}
        for delivery in self._deliveries:
            handlers.setdefault(delivery.handler, []).append(delivery)
        made = {name: _recorded(name, deliveries) for name, deliveries in sorted(handlers.items())}
        return Recording(system=self._system.name, made_on=made_on, handlers=made)

    # ---- what a call is about

    def _dynamodb(
        self, client: Any, operation: str, params: Mapping[str, Any], parsed: Mapping[str, Any], sizes: list[float]
    ) -> None:
        assert self._running is not None
        consistent = bool(params.get("ConsistentRead", False))
        count, items, size = 1.0, 1.0, 0.0
        resource = self._names.get(str(params.get("TableName")), "")
        match operation:
            case "GetItem":
                items, size = float("Item" in parsed), item_size(parsed.get("Item", {}))
            case "Query" | "Scan":
                seen, shown = parsed["ScannedCount"], parsed["Count"]
                items = float(seen)
                size = sum(map(item_size, parsed["Items"])) * (seen / shown if shown else 0.0)
                resource += f"/{params['IndexName']}" if "IndexName" in params else ""
            case "PutItem":
                size = item_size(params["Item"])
            case "UpdateItem" | "DeleteItem":
                size = max([*sizes, *self._sizes(client, operation, params)])
            case "BatchGetItem":
                for table, asked in params["RequestItems"].items():
                    found = parsed.get("Responses", {}).get(table, [])
                    kind = ("dynamodb", operation, self._names[table], bool(asked.get("ConsistentRead", False)))
                    self._running.add(
                        kind, 1 / len(params["RequestItems"]), len(asked["Keys"]), sum(map(item_size, found))
                    )
                return
            case "BatchWriteItem" | "TransactWriteItems":
                self._writes(client, operation, params, sizes)
                return
        self._running.add(("dynamodb", operation, resource, consistent), count, items, size)

    def _writes(self, client: Any, operation: str, params: Mapping[str, Any], before: list[float]) -> None:
        assert self._running is not None
        after = self._sizes(client, operation, params)
        tables = [table for table, _ in _written(operation, params)]
        for place, (table, _) in enumerate(_written(operation, params)):
            kind = ("dynamodb", operation, self._names[table], False)
            self._running.add(kind, 1 / len(tables), 1, max(before[place], after[place]))

    def _sizes(self, client: Any, operation: str, params: Mapping[str, Any]) -> list[float]:
        """The sizes of the items that a call writes, as they are now: of one that it gives whole, as it gives it."""
        found = []
        for table, write in _written(operation, params):
            if "Item" in write:
                found.append(item_size(write["Item"]))
                continue
            self._looking = True
            try:
                there = client.get_item(TableName=table, Key=write["Key"], ConsistentRead=True)
            finally:
                self._looking = False
            found.append(item_size(there.get("Item", {})))
        return found

    def _other(self, service: str, operation: str, params: Mapping[str, Any]) -> tuple[str, float, float]:
        """The resource, and the number and size of what is sent."""
        match service:
            case "sqs":
                entries = params.get("Entries") or [params]
                name = self._names.get(str(params.get("QueueUrl", "")).rpartition("/")[2], "")
                return name, len(entries), sum(len(str(entry.get("MessageBody", "")).encode()) for entry in entries)
            case "secretsmanager":
                return self._names.get(str(params.get("SecretId")), ""), 0, 0
            case "sesv2":
                addresses = sum(map(len, params.get("Destination", {}).values())) or 1
                return "".join(self._only[service][:1]), addresses, 0
        return "".join(self._only.get(service, [])[:1]), 0, 0


class _Context:
    """What Lambda tells an invocation of itself."""

    aws_request_id = "8f5a1c1e-3c6f-4a39-9b8f-2a1d7e6f5c4b"

    def __init__(self, handler: str, timeout: float) -> None:
        self.invoked_function_arn = f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:{handler}"
        self._timeout = timeout

    def get_remaining_time_in_millis(self) -> int:
        return int(self._timeout * 1000) + 1000


class RecordingDriver(AwsDriver):
    """As AwsDriver, with everything recorded that its functions call: `recording()`."""

    def __init__(self, *args: Any, **more: Any) -> None:
        super().__init__(*args, **more)
        self.calls = CallRecorder(self.system, self.stage, self.clock.now)
        for service in _SERVICES:
            self.calls.watch(self._clients.client(service))

    def invoke(self, handler: str, event: dict[str, Any]) -> Any:
        """What a function answers."""
        model = next(one for one in self.system.handlers if one.name == handler)
        written: list[bytes] = []
        recorder = Recorder(self.system.name, handler, written.append, redactor=Redactor())
        logger.addHandler(recorder)
        try:
            function = Function(self._systems[handler], recorder)
            with self.calls.delivery(handler, len(event.get("Records", ())) or 1) as delivery:
                answer = function(event, _Context(handler, model.timeout))
        finally:
            logger.removeHandler(recorder)
        delivery.log = b"".join(written)
        if isinstance(answer, dict) and "statusCode" in answer:
            headers = sum(len(f"{name}: {value}\r\n".encode()) for name, value in answer["headers"].items())
            delivery.answer_bytes = headers + len((answer.get("body") or "").encode())
        return answer

    def recording(self) -> Recording:
        """What was recorded so far."""
        return self.calls.recording(f"{self._server.kind} {version(self._server.kind)}")


def _recorded(name: str, deliveries: list[_Delivery]) -> Recorded:
    size = deliveries[0].messages
    alike = [delivery for delivery in deliveries if delivery.messages == size]
    if len(alike) < 2:
        raise ValueError(f"{name} had one delivery of {size}: let it have two, to know what only the first calls")
    cold, warm = alike[0], alike[1]
    first = {
        kind: [a - b for a, b in zip(numbers, warm.calls.get(kind, [0.0] * 3), strict=True)]
        for kind, numbers in cold.calls.items()
    }
    first = {kind: numbers for kind, numbers in first.items() if numbers[0] > 0}
    again = [other.at - cold.at for other in alike[2:] if first and all(kind in other.calls for kind in first)]
    samples: dict[int, list[_Delivery]] = {}
    for delivery in deliveries:
        if delivery is not cold and not (first and all(kind in delivery.calls for kind in first)):
            samples.setdefault(delivery.messages, []).append(delivery)
    return Recorded(
        samples=[_sample(some) for _, some in sorted(samples.items())],
        first=_calls(first),
        again_after=again[0] if again else 0.0,
        metrics=sorted({series for delivery in deliveries for series in _series(delivery.log)}),
    )


def _sample(alike: list[_Delivery]) -> Sample:
    shown = alike[-1]
    return Sample(
        messages=shown.messages,
        own_ms=round(min(delivery.seconds for delivery in alike) * 1000, 1),
        log_bytes=len(shown.log),
        answer_bytes=shown.answer_bytes,
        calls=_calls(shown.calls),
    )


def _calls(found: Mapping[_Kind, list[float]]) -> list[Call]:
    return [
        Call(
            service=service,
            operation=operation,
            resource=resource,
            consistent=consistent,
            count=round(numbers[0], 6),
            items=round(numbers[1], 6),
            bytes=round(numbers[2]),
        )
        for (service, operation, resource, consistent), numbers in sorted(found.items())
    ]


def _series(log: bytes) -> Iterator[str]:
    """The series of metrics that a log holds in the embedded metric format."""
    for line in log.splitlines():
        document = msgspec.json.decode(line)
        for directive in document.get("_aws", {}).get("CloudWatchMetrics", ()):
            for names in directive["Dimensions"]:
                labels = [f"{name}={document[name]}" for name in sorted(names)]
                for metric in directive["Metrics"]:
                    yield " ".join([metric["Name"], *labels])


def events_name(client: Any) -> str:
    """The name of a service in botocore's events: `secrets-manager`."""
    return str(client.meta.service_model.service_id.hyphenize())


def item_size(item: Mapping[str, Any]) -> float:
    """The bytes of an item in DynamoDB's own form, as DynamoDB counts them.
    https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/CapacityUnitCalculations.html"""
    return float(sum(len(name.encode()) + _size(value) for name, value in item.items()))


def _size(value: Mapping[str, Any]) -> int:
    kind, content = next(iter(value.items()))
    match kind:
        case "S":
            return len(str(content).encode())
        case "N":
            digits = content.lstrip("-").replace(".", "").strip("0")
            return (len(digits) + 1) // 2 + (2 if content.startswith("-") else 1)
        case "B":
            return len(bytes(content))
        case "L":
            return 3 + sum(1 + _size(one) for one in content)
        case "M":
            return 3 + sum(1 + len(name.encode()) + _size(one) for name, one in content.items())
        case "SS":
            return sum(len(one.encode()) for one in content)
    return 1  # BOOL, NULL


def _written(operation: str, params: Mapping[str, Any]) -> list[tuple[str, Mapping[str, Any]]]:
    """The table and the write of each item that a call writes."""
    match operation:
        case "PutItem" | "UpdateItem" | "DeleteItem":
            return [(params["TableName"], params)]
        case "BatchWriteItem":
            pairs = [(table, one) for table, several in params["RequestItems"].items() for one in several]
            return [(table, write) for table, one in pairs for write in one.values()]
        case "TransactWriteItems":
            return [(write["TableName"], write) for one in params["TransactItems"] for write in one.values()]
    return []


def without_times(recording: Recording) -> Recording:
    """The recording with nothing in it that differs from run to run: what the times are, and what stood in for AWS."""
    handlers = {
        name: msgspec.structs.replace(
            recorded,
            samples=[
                msgspec.structs.replace(sample, own_ms=0.0, log_bytes=0.0, answer_bytes=0.0)
                for sample in recorded.samples
            ],
        )
        for name, recorded in recording.handlers.items()
    }
    return msgspec.structs.replace(recording, made_on="", handlers=handlers)


def main(names: list[str]) -> None:
    """Records the systems of these names, or all, and writes the files."""
    systems = Path(__file__).parents[2] / "systems"
    sys.path.append(str(systems))
    from tests.aws.scenarios import SCENARIOS
    from tests.aws.shared import shared

    for name in names or SCENARIOS:
        kind, scenario = SCENARIOS[name]
        with RecordingDriver(load(systems / name), shared(kind)) as app:
            scenario(app)
            path_of(systems / name).write_bytes(app.recording().encode())


if __name__ == "__main__":
    main(sys.argv[1:])
