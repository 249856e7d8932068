"""From requests an hour to deliveries, batches and calls."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.synth.recordings import call, recorded, recording, shop
from windlass import Caller, Request, System
from windlass.errors import Misuse, NotFound
from windlass.synth.flow import Deployment, Flow, flow
from windlass.synth.price import price_table
from windlass.synth.recording import Recorded, Recording, Sample

ASSUMED = price_table().assumptions


def at(
    requests: float, recorded: Recording | None = None, deployment: Deployment | None = None, **consumer: int
) -> Flow:
    return flow(shop(**consumer), recorded or recording(), requests, ASSUMED, deployment, {"place": 1})


def test_requests_are_shared_out_evenly_unless_shares_are_given() -> None:
    made = flow(shop(), recording(), 7200, ASSUMED)
    assert made.requests == {"api": pytest.approx(2)}
    assert {name: rate for name, (_, rate) in made.routes.items()} == {"place": 1, "look": 1}
    made = flow(shop(), recording(), 7200, ASSUMED, shares={"place": 3, "look": 1})
    assert {name: rate for name, (_, rate) in made.routes.items()} == {"place": 1.5, "look": 0.5}


def test_shares_that_cannot_be_meant_are_refused() -> None:
    with pytest.raises(NotFound, match=r"shop has no route 'pack'\n  fix: name a route's handler: place, look"):
        flow(shop(), recording(), 1, ASSUMED, shares={"pack": 1})
    for wrong in (-1.0, float("inf"), float("nan")):
        with pytest.raises(Misuse, match="is no weight"):
            flow(shop(), recording(), 1, ASSUMED, shares={"place": wrong})
    with pytest.raises(Misuse, match="no route of shop gets a request"):
        flow(shop(), recording(), 1, ASSUMED, shares={"place": 0})


def test_memory_that_lambda_does_not_have_is_refused() -> None:
    with pytest.raises(Misuse, match="memory=64 is out of range"):
        Deployment(memory=64)


def test_a_delivery_takes_its_own_work_by_the_share_of_a_cpu_and_its_calls() -> None:
    place = recorded(call("sqs", "SendMessage", "jobs"), call("dynamodb", "PutItem", "orders"), own_ms=2)
    waiting = ASSUMED.call_ms.of("sqs") + ASSUMED.call_ms.of("dynamodb")
    for memory, own in ((128, 2 * 1769 / 128), (1769, 2), (3538, 2)):
        made = at(3600, recording(place=place), Deployment(memory=memory))
        assert made.streams["place"].seconds == pytest.approx(own / 1000 + waiting)


def test_a_schedule_runs_by_its_own_rate() -> None:
    made = at(3600)
    assert made.streams["tidy"].deliveries == made.firings == pytest.approx(1 / 3600)


def test_a_cron_expression_is_counted_out() -> None:
    system = System("crons")
    weekdays = system.schedule("weekdays", cron="0 6 ? * MON-FRI *")

    @weekdays.task()
    def wake() -> None:
        """Wakes."""

    made = flow(system, Recording(system="crons", made_on="", handlers={"wake": recorded()}), 0, ASSUMED)
    assert made.firings * timedelta(weeks=1).total_seconds() == pytest.approx(5, rel=0.01)


def test_an_authorizer_runs_for_each_request_unless_it_is_remembered_or_the_route_is_public() -> None:
    system = System("gate")

    @system.authorizer()
    def ask(request: Request) -> Caller:
        """Who calls."""
        return Caller("ada")

    api = system.api("api", auth=ask)

    @api.get("/mine")
    def mine() -> None:
        """Yours."""

    @api.get("/all", public=True)
    def everyone() -> None:
        """Everybody's."""

    handlers = {name: recorded() for name in ("ask", "mine", "everyone")}
    made = Recording(system="gate", made_on="", handlers=handlers)
    assert flow(system, made, 7200, ASSUMED).streams["ask"].deliveries == pytest.approx(1)
    cached = Deployment(authorizer_cached=True)
    assert flow(system, made, 7200, ASSUMED, cached).streams["ask"].deliveries == 0


@given(rate=st.floats(0.001, 1e9), batch=st.sampled_from([1, 10, 100, 10_000]), concurrency=st.integers(1, 1000))
def test_every_message_is_delivered_in_batches_that_are_allowed(rate: float, batch: int, concurrency: int) -> None:
    made = at(rate, batch=batch, concurrency=concurrency)
    pack, feed = made.streams["pack"], made.feeds["jobs"]
    assert pack.deliveries * pack.messages == pytest.approx(rate / 3600)
    assert 1 <= pack.messages <= batch
    assert feed.receives * feed.per_receive >= rate / 3600 * (1 - 1e-9)
    assert feed.deletes * feed.per_delete == pytest.approx(rate / 3600)
    assert max(feed.per_receive, feed.per_delete) <= 10


@given(low=st.floats(0.01, 1e8), factor=st.floats(1, 1000))
def test_batches_grow_with_the_traffic(low: float, factor: float) -> None:
    assert at(low, batch=100).streams["pack"].messages <= at(low * factor, batch=100).streams["pack"].messages + 1e-6


def test_few_messages_come_alone_and_very_many_in_full_batches() -> None:
    assert at(36, batch=100).streams["pack"].messages == pytest.approx(1, abs=0.01)
    assert at(36_000_000, batch=100).streams["pack"].messages == 100
    assert at(36_000_000, None, Deployment(batches=False), batch=100).streams["pack"].messages == 1


def test_a_queue_without_messages_is_polled_all_the_same() -> None:
    feed = flow(shop(), recording(), 0, ASSUMED).feeds["jobs"]
    assert (feed.messages, feed.deletes) == (0, 0)
    assert feed.receives == pytest.approx(5 / 20)


def test_what_an_environment_asks_once_in_a_while_is_counted_by_environments() -> None:
    place = Recorded(
        samples=[Sample(own_ms=0, calls=[call("dynamodb", "GetItem", "orders", count=100)])],  # 0.6 s
        first=[call("secretsmanager", "GetSecretValue", "key")],
        again_after=60,
    )

    def readings(requests: float) -> float:
        made = at(requests, recording(place=place))
        return sum(one.count * rate for one, rate in made.calls if one.service == "secretsmanager")

    assert readings(1) == pytest.approx(1 / 3600)  # each delivery is the first in a minute
    assert readings(36_000) == pytest.approx((1 + 10 * 0.6) / 60)  # six run on average


@dataclass(frozen=True, slots=True)
class Job:
    id: str


def chain(again: float) -> Flow:
    """A consumer that sends `again` messages to its own queue for each that it gets."""
    system = System("chain")
    jobs = system.queue("jobs", Job)
    api = system.api("api")

    @api.post("/jobs", uses=[jobs.send])
    def start(body: Job) -> None:
        """Starts."""

    @jobs.consumer(uses=[jobs.send], allow_cycle=True)
    def work(job: Job) -> None:
        """Works."""

    handlers = {
        "start": recorded(call("sqs", "SendMessage", "jobs", items=1, bytes=100)),
        "work": recorded(call("sqs", "SendMessage", "jobs", count=again, items=again, bytes=again * 100)),
    }
    return flow(system, Recording(system="chain", made_on="", handlers=handlers), 3600, ASSUMED)


def test_messages_are_followed_from_queue_to_queue() -> None:
    assert chain(0.5).feeds["jobs"].messages == pytest.approx(2)


def test_a_circle_that_grows_is_refused() -> None:
    with pytest.raises(Misuse, match="consumers of chain send each other more than they receive"):
        chain(1.0)
