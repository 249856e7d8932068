"""Which limit a flow meets first: AWS's quotas, and what the system itself declares."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from windlass.model.api import Throttle
from windlass.model.table import Table
from windlass.synth.flow import Flow
from windlass.synth.price import PriceTable
from windlass.synth.units import is_read, is_write, read_units, write_units

__all__ = ["HOT_KEY", "Use", "uses"]

HOT_KEY = 0.01
"""How much of a table's traffic its busiest partition key gets, where nobody says."""

_SIGN_INS = frozenset({"InitiateAuth", "RespondToAuthChallenge"})
_TOKEN_CALLS = frozenset({"GetTokensFromRefreshToken", "RevokeToken"})


@dataclass(frozen=True, slots=True)
class Use:
    """How much of a limit is used. `limit` is a key of the price table's limits, or `throttle` or `concurrency`, which
    the system declares; `of` names the table, queue, route or handler, where there is one. `source` is the page of the
    limit, empty for a declared one."""

    limit: str
    of: str
    used: float
    most: float
    unit: str
    source: str = ""

    @property
    def share(self) -> float:
        """Above 1: more is asked for than the limit lets through."""
        return self.used / self.most

    @property
    def declared(self) -> bool:
        """Whether it is the system's own."""
        return not self.source


def uses(flow: Flow, table: PriceTable, *, hot_key: float = HOT_KEY) -> list[Use]:
    """The limits that `flow` uses anything of, the one that is met first, first. `hot_key` is the share of a table's
    traffic that its busiest partition key gets, 0 to 1."""
    found = [*_requests(flow, table), *_tables(flow, table, hot_key), *_queues(flow, table), *_calls(flow, table)]
    return sorted((use for use in found if use.used > 0), key=lambda use: -use.share)


def _use(table: PriceTable, limit: str, of: str, used: float) -> Use:
    quota = table.limits[limit]
    return Use(limit, of, used, quota.most, quota.unit, quota.source)


def _requests(flow: Flow, table: PriceTable) -> Iterator[Use]:
    yield _use(table, "api_requests", "", sum(flow.requests.values()))
    synchronous = [stream for stream in flow.streams.values() if stream.handler.kind in ("route", "authorizer")]
    yield _use(table, "lambda_requests", "", sum(stream.deliveries for stream in synchronous))
    yield _use(table, "lambda_concurrency", "", sum(stream.at_once for stream in flow.streams.values()))
    for route, rate in flow.routes.values():
        if isinstance(route.throttle, Throttle):
            what = f"{route.method} {route.path}"
            yield Use("throttle", what, rate, route.throttle.rate, "requests a second, as the system declares")


def _tables(flow: Flow, table: PriceTable, hot_key: float) -> Iterator[Use]:
    for model in flow.system.of(Table):
        calls = [(call, rate) for call, rate in flow.calls if call.resource.partition("/")[0] == model.name]
        # Each index has partitions, and quotas, of its own: the table's are those of the writes without them.
        writes = sum(write_units(call, None) * rate for call, rate in calls if is_write(call))
        reads = sum(read_units(call) * rate for call, rate in calls if is_read(call))
        yield _use(table, "table_writes", model.name, writes)
        yield _use(table, "table_reads", model.name, reads)
        yield _use(table, "key_writes", model.name, writes * hot_key)
        yield _use(table, "key_reads", model.name, reads * hot_key)


def _queues(flow: Flow, table: PriceTable) -> Iterator[Use]:
    for name, feed in flow.feeds.items():
        if feed.queue.fifo:
            sends = sum(
                call.count * rate for call, rate in flow.calls if call.service == "sqs" and call.resource == name
            )
            yield _use(table, "fifo_calls", name, max(sends, feed.receives, feed.deletes))
        if feed.consumer is None:
            continue
        stream = flow.streams[feed.consumer.handler.name]
        yield _use(table, "queue_in_flight", name, feed.messages * (feed.gather + stream.seconds))
        yield _use(table, "consumer_concurrency", name, stream.at_once)
        yield Use(
            "concurrency",
            stream.handler.name,
            stream.at_once,
            feed.consumer.concurrency,
            "batches handled at once, as the system declares",
        )


def _calls(flow: Flow, table: PriceTable) -> Iterator[Use]:
    def a_second(service: str, operations: frozenset[str] | None = None) -> float:
        return sum(
            call.count * rate
            for call, rate in flow.calls
            if call.service == service and (operations is None or call.operation in operations)
        )

    yield _use(table, "sign_ins", "", a_second("cognito-idp", _SIGN_INS))
    yield _use(table, "token_calls", "", a_second("cognito-idp", _TOKEN_CALLS))
    yield _use(table, "secret_reads", "", a_second("secretsmanager"))
    yield _use(table, "mails", "", a_second("sesv2"))
