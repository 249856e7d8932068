"""What a system costs in a month, by service: the flow of its requests, times the price table.

Free tiers, discounts and tax are left out, and so is what no recording can know: what is stored (tables, logs, files),
cold starts, retries, backups, support, and sites behind a CDN.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from windlass.graph.alarm import rules
from windlass.model.schedule import Schedule
from windlass.model.secret import Secret
from windlass.model.table import Table
from windlass.model.user_pool import UserPool
from windlass.ports.alarm import AlarmRule
from windlass.synth.flow import Flow
from windlass.synth.price import PriceTable
from windlass.synth.units import is_read, is_write, read_units, sqs_requests, write_units

__all__ = ["Bill", "Line", "bill"]

_GB = 1024**3
_API_BYTES = 512 * 1024


@dataclass(frozen=True, slots=True)
class Line:
    """`quantity` of `price` (a key of the price table's prices) in a month, and what it costs, in US dollars. `what`
    says what is paid for."""

    service: str
    what: str
    price: str
    quantity: float
    dollars: float


@dataclass(frozen=True, slots=True)
class Bill:
    """A month of one flow."""

    lines: tuple[Line, ...]

    @property
    def dollars(self) -> float:
        """All of it."""
        return sum(line.dollars for line in self.lines)

    @property
    def services(self) -> dict[str, float]:
        """The dollars by service, in the order of the lines."""
        found: dict[str, float] = {}
        for line in self.lines:
            found[line.service] = found.get(line.service, 0.0) + line.dollars
        return found


def bill(flow: Flow, table: PriceTable, *, users: int = 0, keys: int = 0) -> Bill:
    """What `flow` costs in a month. `users` sign in or refresh in it, where the system has a user pool; `keys` are the
    customer managed keys of KMS that encrypt it (0: keys that AWS manages)."""
    month = table.hours_a_month * 3600
    quantities = [
        *_requests(flow, month),
        *_functions(flow, month),
        *_queues(flow, month),
        *_tables(flow, month),
        *_others(flow, month, users, keys),
        *_watching(flow, table, month),
    ]
    # Tiers are of all that an account uses of a price, so what several lines use of one is priced together.
    used: dict[str, float] = {}
    for _, _, price, quantity in quantities:
        used[price] = used.get(price, 0.0) + quantity
    dollars = {price: table.prices[price].of(quantity) for price, quantity in used.items()}
    lines = (
        Line(service, what, price, quantity, dollars[price] * quantity / used[price])
        for service, what, price, quantity in quantities
        if quantity
    )
    return Bill(tuple(lines))


_Quantities = Iterator[tuple[str, str, str, float]]


def _requests(flow: Flow, month: float) -> _Quantities:
    price = "rest_api_request" if flow.deployment.rest_api else "http_api_request"
    out = 0.0
    for route, rate in flow.routes.values():
        answer = flow.streams[route.handler.name].sample.answer_bytes
        parts = 1 if flow.deployment.rest_api else max(1, math.ceil(answer / _API_BYTES))
        yield "API Gateway", f"{route.method} {route.path}", price, rate * parts * month
        out += rate * answer
    yield "data transfer", "answers", "transfer_gb", out * month / _GB


def _functions(flow: Flow, month: float) -> _Quantities:
    memory = flow.deployment.memory / 1024
    for stream in flow.streams.values():
        name = stream.handler.name
        yield "Lambda", f"{name}: invocations", "lambda_request", stream.deliveries * month
        billed = math.ceil(stream.seconds * 1000 - 1e-9) / 1000  # Lambda counts milliseconds begun
        yield (
            "Lambda",
            f"{name}: run time",
            f"lambda_gb_second_{flow.deployment.architecture}",
            stream.deliveries * billed * memory * month,
        )


def _queues(flow: Flow, month: float) -> _Quantities:
    for call, rate in flow.calls:
        if call.service == "sqs" and call.count:
            queue = flow.feeds.get(call.resource)
            price = "sqs_fifo_request" if queue is not None and queue.queue.fifo else "sqs_request"
            yield (
                "SQS",
                f"{call.resource}: sent",
                price,
                sqs_requests(call.count, call.bytes / call.count) * rate * month,
            )
    for name, feed in flow.feeds.items():
        price = "sqs_fifo_request" if feed.queue.fifo else "sqs_request"
        # Of polls that find nothing, few are larger than one part: counted as if they brought what the others bring.
        receives = sqs_requests(feed.receives, feed.bytes * feed.per_receive)
        yield "SQS", f"{name}: polled", price, receives * month
        yield "SQS", f"{name}: deleted", price, feed.deletes * month


def _tables(flow: Flow, month: float) -> _Quantities:
    tables = {table.name: table for table in flow.system.of(Table)}
    for call, rate in flow.calls:
        name, _, index = call.resource.partition("/")
        if is_write(call):
            units = write_units(call, tables.get(name)) * rate * month
            yield "DynamoDB", f"{name}: {call.operation}", "dynamodb_write", units
        elif is_read(call):
            what = f"{name}/{index}: {call.operation}" if index else f"{name}: {call.operation}"
            yield "DynamoDB", what, "dynamodb_read", read_units(call) * rate * month


def _others(flow: Flow, month: float, users: int, keys: int) -> _Quantities:
    reads = sum(call.count * rate for call, rate in flow.calls if call.service == "secretsmanager") * month
    yield "Secrets Manager", "secrets", "secret", len(flow.system.of(Secret))
    yield "Secrets Manager", "readings", "secret_call", reads
    if keys:
        yield "KMS", "keys", "kms_key", keys
        yield "KMS", "readings of secrets", "kms_request", reads
    if flow.system.of(UserPool):
        yield "Cognito", "users", "cognito_user", users
    mails = sum(max(call.items, call.count) * rate for call, rate in flow.calls if call.service == "sesv2")
    yield "SES", "mails", "mail", mails * month
    if flow.system.of(Schedule):
        yield "EventBridge Scheduler", "firings", "schedule_firing", flow.firings * month
    yield "VPC endpoints", "hours", "endpoint_hour", flow.deployment.endpoints * month / 3600


def _watching(flow: Flow, table: PriceTable, month: float) -> _Quantities:
    own = table.assumptions.log_bytes.value
    written = sum(stream.deliveries * (stream.sample.log_bytes + own) for stream in flow.streams.values())
    yield "CloudWatch", "logs", "log_gb", written * month / _GB
    yield "CloudWatch", "metrics", "metric", _metrics(flow)
    yield "CloudWatch", "alarms", "alarm", sum(map(_alarm_metrics, rules(flow.system)))
    # What decides records each second's first, and a share of the others. What a message leads to is added to the trace
    # of who sent it, and costs nothing more.
    # https://docs.aws.amazon.com/xray/latest/devguide/xray-console-sampling.html
    decided: Iterable[float] = ()
    if flow.deployment.tracing == "functions":
        decided = (one.deliveries for one in flow.streams.values() if one.handler.kind in ("route", "schedule"))
    elif flow.deployment.tracing == "requests":
        decided = flow.requests.values()
    traced = table.assumptions.traced.value
    traces = sum(min(rate, 1.0) + max(0.0, rate - 1.0) * traced for rate in decided)
    yield "X-Ray", "traces", "trace", traces * month


def _alarm_metrics(rule: AlarmRule) -> int:
    """How many metrics an alarm has: a share of requests is worked out of two, those that failed and all. API Gateway
    says of HTTP APIs how many failed, and not which share of them.
    https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-metrics.html"""
    return 2 if rule.noun == "api" and rule.unit == "share" else 1


def _metrics(flow: Flow) -> float:
    """A metric is paid for the hours in which it is written: those with a delivery, which come by chance."""
    rates: dict[str, float] = {}
    for stream in flow.streams.values():
        for name in stream.metrics:
            rates[name] = rates.get(name, 0.0) + stream.deliveries
    return sum(1 - math.exp(-rate * 3600) for rate in rates.values())
