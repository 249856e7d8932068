"""Which limit a flow meets first."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from tests.unit.synth.recordings import call, recorded, recording, shop
from windlass import System
from windlass.synth.flow import flow
from windlass.synth.limit import Use, uses
from windlass.synth.price import price_table
from windlass.synth.recording import Recording

TABLE = price_table()


def limits(requests_a_second: float, made: Recording | None = None, hot_key: float = 0.01) -> list[Use]:
    used = flow(shop(), made or recording(), requests_a_second * 3600, TABLE.assumptions, None, {"place": 1})
    return uses(used, TABLE, hot_key=hot_key)


def used(found: list[Use], limit: str, of: str = "") -> float:
    (use,) = (use for use in found if (use.limit, use.of) == (limit, of))
    return use.used


def test_the_limit_that_is_met_first_is_first() -> None:
    found = limits(10)
    assert [use.share for use in found] == sorted((use.share for use in found), reverse=True)
    assert all(use.used > 0 for use in found)


def test_what_the_system_declares_limits_it_too() -> None:
    found = limits(50)
    throttle = next(use for use in found if use.limit == "throttle")
    assert (throttle.of, throttle.share, throttle.declared) == ("POST /orders", 0.5, True)
    concurrency = next(use for use in found if use.limit == "concurrency")
    assert (concurrency.of, concurrency.most) == ("pack", 10)
    assert not next(use for use in found if use.limit == "api_requests").declared


def test_functions_running_at_once_are_rate_times_duration() -> None:
    slow = recorded(call("dynamodb", "GetItem", "orders", count=100, items=100, bytes=100))
    found = limits(1000, recording(place=slow))
    assert used(found, "lambda_concurrency") == pytest.approx(600, rel=0.02)
    assert used(found, "lambda_requests") == used(found, "api_requests") == pytest.approx(1000)


def test_a_table_is_limited_as_a_whole_and_by_its_busiest_key() -> None:
    calls = [
        call("dynamodb", "PutItem", "orders", items=1, bytes=2000),
        call("dynamodb", "Query", "orders/by_day", items=1, bytes=5000),
    ]
    found = limits(100, recording(place=recorded(*calls)), hot_key=0.5)
    assert used(found, "table_writes", "orders") == pytest.approx(200), "an index has a quota of its own"
    assert used(found, "key_writes", "orders") == pytest.approx(100)
    assert used(found, "table_reads", "orders") == pytest.approx(100)
    assert used(found, "key_reads", "orders") == pytest.approx(50)


def test_calls_of_other_services_have_quotas() -> None:
    calls = [
        call("cognito-idp", "InitiateAuth", "users"),
        call("cognito-idp", "RevokeToken", "users", count=2),
        call("secretsmanager", "GetSecretValue", "key", count=3),
        call("sesv2", "SendEmail", "mails", count=4, items=4),
    ]
    found = limits(1, recording(place=recorded(*calls)))
    assert [used(found, name) for name in ("sign_ins", "token_calls", "secret_reads", "mails")] == [1, 2, 3, 4]
    assert found[0].limit == "mails"


@dataclass(frozen=True, slots=True)
class Job:
    id: str


def test_a_fifo_queue_takes_few_calls() -> None:
    system = System("line")
    jobs = system.queue("jobs", Job, fifo=True, deduplicate="content")
    api = system.api("api")

    @api.post("/jobs", uses=[jobs.send])
    def start(body: Job) -> None:
        """Starts."""

    @jobs.consumer()
    def work(job: Job) -> None:
        """Works."""

    handlers = {"start": recorded(call("sqs", "SendMessage", "jobs", items=1, bytes=50)), "work": recorded()}
    made = Recording(system="line", made_on="", handlers=handlers)
    first = uses(flow(system, made, 600 * 3600, TABLE.assumptions), TABLE)[0]
    assert (first.limit, first.of) == ("fifo_calls", "jobs")
    assert first.share == pytest.approx(2, rel=0.01)
