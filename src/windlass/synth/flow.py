"""From requests an hour to what runs: how often each handler starts, with how many messages, how long, and what it
calls. It follows the messages that handlers send from queue to queue.

The rate is a steady one. Real traffic has peaks: for a limit, ask with the requests of the busiest hour.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal

from windlass.errors import Misuse, NotFound
from windlass.model.api import Api, Route
from windlass.model.handler import Handler
from windlass.model.queue import Consumer, Queue
from windlass.model.schedule import Schedule
from windlass.model.system import System
from windlass.model.user_pool import UserPool
from windlass.synth.price import Assumptions
from windlass.synth.recording import Call, Recorded, Recording, Sample

__all__ = ["Deployment", "Feed", "Flow", "Stream", "flow"]

_SENDS = frozenset({"SendMessage", "SendMessageBatch"})
_BATCH_WITHOUT_WINDOW = 10  # Lambda wants a window of a second and more for larger batches
_ROUNDS = 200
_FIRINGS = 500


@dataclass(frozen=True, slots=True)
class Deployment:
    """How a system is deployed. `memory` is of each function, in megabytes. With `rest_api`, its APIs are REST APIs,
    otherwise HTTP APIs. Without `batches`, every message has an invocation of its own. `authorizer_cached`: API Gateway
    remembers what an authorizer said, so that it hardly ever runs. `endpoints` counts the interface endpoints that
    functions in a VPC need, one for each zone. `idle_pollers` poll a queue in which there is nothing. `tracing` says
    who decides whether X-Ray records a request: the function of its route, each by itself (`functions`; schedules'
    decide likewise, authorizers and consumers do not), or its API, for all that follows from it (`requests`)."""

    memory: int = 512
    architecture: Literal["arm64", "x86_64"] = "arm64"
    rest_api: bool = False
    batches: bool = True
    authorizer_cached: bool = False
    endpoints: int = 0
    idle_pollers: int = 5
    tracing: Literal["none", "functions", "requests"] = "functions"

    def __post_init__(self) -> None:
        # https://docs.aws.amazon.com/lambda/latest/dg/configuration-memory.html
        if not 128 <= self.memory <= 10_240:
            raise Misuse(f"memory={self.memory} is out of range; Lambda has 128 to 10240 MB")


@dataclass(frozen=True, slots=True)
class Stream:
    """A handler at work: `deliveries` a second, each of `messages` (1 for what is no queue's) and `seconds` long, each
    with the calls and sizes of `sample`; what an environment's first delivery calls is in it in proportion."""

    handler: Handler
    deliveries: float
    messages: float
    seconds: float
    sample: Sample
    metrics: tuple[str, ...]

    @property
    def at_once(self) -> float:
        """How many run beside each other, on average."""
        return self.deliveries * self.seconds


@dataclass(frozen=True, slots=True)
class Feed:
    """A queue at work: `messages` a second of `bytes` each, on average; how often Lambda polls it and deletes from
    it, a second; how long a message waits for its batch to fill (`gather`, seconds)."""

    queue: Queue[Any]
    consumer: Consumer | None
    messages: float
    bytes: float
    receives: float
    per_receive: float
    deletes: float
    per_delete: float
    gather: float


@dataclass(frozen=True, slots=True)
class Flow:
    """A system at work. `requests` and `routes` are in requests a second, by API and by handler."""

    system: System
    deployment: Deployment
    requests: dict[str, float]
    routes: dict[str, tuple[Route, float]]
    streams: dict[str, Stream]
    feeds: dict[str, Feed]
    firings: float
    calls: list[tuple[Call, float]] = field(default_factory=list)
    """All calls: what one delivery calls, and how many such deliveries there are a second."""


def flow(
    system: System,
    recording: Recording,
    requests_per_hour: float,
    assumptions: Assumptions,
    deployment: Deployment | None = None,
    shares: Mapping[str, float] | None = None,
) -> Flow:
    """The flow of so many requests an hour. `shares` are weights of routes by the names of their handlers; a route that
    is not among them gets no request. Without them, every route gets as many as the others. Raises NotFound for the
    name of no route, Misuse for shares that are none, and for consumers that send more than they receive, in a circle.
    """
    deployed = deployment or Deployment()
    routes = _routes(system, requests_per_hour / 3600, shares or {})
    rates = _authorizers(system, routes, deployed) | {name: rate for name, (_, rate) in routes.items()}
    firings = 0.0
    for schedule in system.of(Schedule):
        if schedule.handler is not None:
            rates[schedule.handler.name] = rate = _firings(schedule)
            firings += rate
    work = _Work(recording, assumptions, deployed)
    streams = {
        handler.name: work.stream(handler, rates[handler.name]) for handler in system.handlers if handler.name in rates
    }
    consumed, feeds = _queues(system, work, streams)
    streams |= consumed
    made = Flow(system, deployed, _by_api(routes), routes, streams, feeds, firings)
    made.calls.extend((call, stream.deliveries) for stream in streams.values() for call in stream.sample.calls)
    return made


class _Work:
    """Makes streams of the recorded samples."""

    def __init__(self, recording: Recording, assumptions: Assumptions, deployment: Deployment) -> None:
        self._recorded = recording.handlers
        self.assumptions, self.deployment = assumptions, deployment

    def recorded(self, handler: Handler) -> Recorded:
        return self._recorded[handler.name]

    def seconds(self, sample: Sample) -> float:
        """How long a delivery takes: its own work with the CPU that its memory brings, and its calls, one after the
        other."""
        cpu = max(1.0, self.assumptions.memory_of_a_cpu.value / self.deployment.memory)
        waiting = sum(call.count * self.assumptions.call_ms.of(call.service) for call in sample.calls)
        return sample.own_ms / 1000 * cpu + waiting

    def stream(self, handler: Handler, deliveries: float, messages: float = 1.0) -> Stream:
        recorded = self.recorded(handler)
        sample = recorded.sample(messages)
        if recorded.first and recorded.again_after and deliveries:
            # One environment more than run on average: arrivals are no clockwork.
            environments = 1 + deliveries * self.seconds(sample)
            share = min(1.0, environments / recorded.again_after / deliveries)
            calls = sample.calls + [call.times(share) for call in recorded.first]
            sample = Sample(
                messages=sample.messages,
                own_ms=sample.own_ms,
                log_bytes=sample.log_bytes,
                answer_bytes=sample.answer_bytes,
                calls=calls,
            )
        return Stream(handler, deliveries, messages, self.seconds(sample), sample, tuple(recorded.metrics))


def _routes(system: System, rate: float, shares: Mapping[str, float]) -> dict[str, tuple[Route, float]]:
    routes = {route.handler.name: route for api in system.of(Api) for route in api.routes}
    for name, share in shares.items():
        if name not in routes:
            there = ", ".join(routes) or "none"
            raise NotFound(f"{system.name} has no route {name!r}\n  fix: name a route's handler: {there}")
        if not 0 <= share < float("inf"):
            raise Misuse(f"the share {share} of {name} is no weight; give 0 or more")
    weights = {name: shares.get(name, 0.0) if shares else 1.0 for name in routes}
    total = sum(weights.values())
    if rate and not total:
        raise Misuse(
            f"no route of {system.name} gets a request" if routes else f"{system.name} has no route that takes requests"
        )
    return {name: (route, rate * weights[name] / total if total else 0.0) for name, route in routes.items()}


def _by_api(routes: Mapping[str, tuple[Route, float]]) -> dict[str, float]:
    found: dict[str, float] = {}
    for route, rate in routes.values():
        found[route.api.name] = found.get(route.api.name, 0.0) + rate
    return found


def _authorizers(system: System, routes: Mapping[str, tuple[Route, float]], deployment: Deployment) -> dict[str, float]:
    """How often each authorizer is asked: once for each request, where nobody remembers."""
    found: dict[str, float] = dict.fromkeys((handler.name for handler in system.authorizers.values()), 0.0)
    for route, rate in routes.values():
        if route.auth is not None and not isinstance(route.auth, UserPool) and not deployment.authorizer_cached:
            found[system.authorizers[route.auth].name] += rate
    return found


def _firings(schedule: Schedule) -> float:
    """Firings a second: of a cron expression, by its next ones from a day that is always the same."""
    if schedule.every is not None:
        return 1 / schedule.every.total_seconds()
    begin = moment = datetime(2026, 1, 1, tzinfo=UTC)
    fired = 0
    while fired < _FIRINGS and (found := schedule.next_after(moment)) is not None:
        moment, fired = found, fired + 1
        if (moment - begin).days >= 1461:  # four years: what fires on a 29 February, too
            break
    return fired / (moment - begin).total_seconds() if fired else 0.0


def _queues(system: System, work: _Work, started: Mapping[str, Stream]) -> tuple[dict[str, Stream], dict[str, Feed]]:
    """The consumers and their queues. Consumers may feed queues themselves: repeated until nothing changes."""
    queues = {queue.name: queue for queue in system.of(Queue)}
    streams: dict[str, Stream] = {}
    feeds: dict[str, Feed] = {}
    before: dict[str, float] = {}
    for _ in range(_ROUNDS):
        arriving = dict.fromkeys(queues, (0.0, 0.0))
        for stream in [*started.values(), *streams.values()]:
            for call in stream.sample.calls:
                if call.service == "sqs" and call.operation in _SENDS and call.resource in arriving:
                    messages, size = arriving[call.resource]
                    arriving[call.resource] = (
                        messages + call.items * stream.deliveries,
                        size + call.bytes * stream.deliveries,
                    )
        for name, queue in queues.items():
            rate, size = arriving[name]
            feeds[name], consumers = _feed(queue, rate, size / rate if rate else 0.0, work)
            streams |= consumers
        now = {name: rate for name, (rate, _) in arriving.items()}
        if all(abs(rate - before.get(name, -1.0)) <= 1e-9 * max(rate, 1e-9) for name, rate in now.items()):
            return streams, feeds
        before = now
    raise Misuse(f"consumers of {system.name} send each other more than they receive: the messages would never end")


def _feed(queue: Queue[Any], rate: float, size: float, work: _Work) -> tuple[Feed, dict[str, Stream]]:
    if not queue.consumers:
        return Feed(queue, None, rate, size, 0.0, 1.0, 0.0, 1.0, 0.0), {}
    consumer = queue.consumers[0]
    recorded = work.recorded(consumer.handler)
    messages, pollers, gather = _batch(
        rate,
        consumer,
        fifo=queue.fifo,
        batches=work.deployment.batches,
        seconds=lambda size: work.seconds(recorded.sample(size)),
        assumptions=work.assumptions,
    )
    stream = work.stream(consumer.handler, rate / messages, messages)
    together = 1 + rate / pollers * work.assumptions.receive_seconds.value
    per_receive = min(10.0, messages, together)
    idle = work.deployment.idle_pollers / work.assumptions.poll_seconds.value
    per_delete = min(10.0, messages)
    feed = Feed(
        queue, consumer, rate, size, rate / per_receive + idle, per_receive, rate / per_delete, per_delete, gather
    )
    return feed, {consumer.handler.name: stream}


def _batch(
    rate: float,
    consumer: Consumer,
    *,
    fifo: bool,
    batches: bool,
    seconds: Callable[[float], float],
    assumptions: Assumptions,
) -> tuple[float, float, float]:
    """How many messages a batch has on average, how many pollers fill batches, and how long a batch gathers (seconds).

    A poller opens a batch with the first message that it gets and adds those that it gets within the window. While
    messages wait, Lambda adds pollers, as many as may run beside each other; beyond that all batches are full.
    https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-scaling.html
    """
    pollers = min(assumptions.pollers.value, consumer.concurrency)
    if not batches or rate == 0:
        return 1.0, pollers, 0.0
    most, window = float(consumer.batch), consumer.window
    if not fifo and not window and most > _BATCH_WITHOUT_WINDOW:
        window = 1.0
    within = window or assumptions.receive_seconds.value
    while True:
        messages = min(most, 1 + rate / pollers * within)
        gather = min(window, (messages - 1) * pollers / rate) if window else 0.0
        needed = rate / messages * (gather + seconds(messages))
        if needed <= pollers:
            return messages, pollers, gather
        if needed >= consumer.concurrency:
            pollers = float(consumer.concurrency)
            return most, pollers, min(window, (most - 1) * pollers / rate)
        pollers = max(needed, pollers * 1.01)
