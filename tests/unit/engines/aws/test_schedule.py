"""Schedules on EventBridge Scheduler: what the Terraform is given. Scheduler's own checks are moto's."""

import json
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.engines.aws.aws_peer import ACCOUNT, REGION, clients_of, moto_server
from windlass import System
from windlass.engines.aws.clients import Clients
from windlass.engines.aws.schedule import AwsSchedule, expression, target_input
from windlass.engines.aws.stage import Stage
from windlass.model.schedule import Schedule
from windlass.ports.clock import ManualClock
from windlass.runtime.events.schedule import tick_of

NINE = datetime(2024, 6, 12, 9, 0, 1, tzinfo=UTC)


def declared(**settings: Any) -> Schedule:
    return System("shop").schedule("nightly", **settings)


@pytest.fixture(scope="module")
def moto() -> Iterator[str]:
    with moto_server() as endpoint:
        yield endpoint


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"every": timedelta(minutes=1)}, "rate(1 minute)"),
        ({"every": timedelta(minutes=5)}, "rate(5 minutes)"),
        ({"every": timedelta(minutes=90)}, "rate(90 minutes)"),
        ({"every": timedelta(minutes=60)}, "rate(1 hour)"),
        ({"every": timedelta(hours=36)}, "rate(36 hours)"),
        ({"every": timedelta(hours=24)}, "rate(1 day)"),
        ({"every": timedelta(weeks=1)}, "rate(7 days)"),
        ({"cron": "0 3 * * ? *"}, "cron(0 3 * * ? *)"),
        ({"cron": "  0/15 8-17  ? * MON-FRI\t*", "timezone": "Europe/Madrid"}, "cron(0/15 8-17 ? * MON-FRI *)"),
    ],
    ids=lambda value: value if isinstance(value, str) else "-",
)
def test_an_expression_is_as_scheduler_writes_it(settings: dict[str, Any], text: str) -> None:
    assert expression(declared(**settings)) == text


@given(st.integers(1, 10_000_000))
def test_a_rate_is_as_long_as_it_was_declared(minutes: int) -> None:
    count, unit = expression(declared(every=timedelta(minutes=minutes)))[5:-1].split()
    plural = unit if unit.endswith("s") else unit + "s"
    assert timedelta(**{plural: int(count)}) == timedelta(minutes=minutes)
    assert (count == "1") == (unit != plural)


def test_the_next_firing_is_that_of_the_declaration() -> None:
    clock, stage = ManualClock(NINE), Stage("shop", "dev", REGION, ACCOUNT)
    clients = Clients(REGION)
    rate = AwsSchedule(declared(every=timedelta(minutes=5)), stage, clients, clock)
    assert rate.next_at() == NINE.replace(minute=5, second=0).timestamp()
    madrid = AwsSchedule(declared(cron="0 12 * * ? *", timezone="Europe/Madrid"), stage, clients, clock)
    assert madrid.next_at() == NINE.replace(hour=10, second=0).timestamp()
    clock.advance(timedelta(days=400))
    assert AwsSchedule(declared(cron="0 12 * * ? 2024"), stage, clients, clock).next_at() is None


def fired(text: str, at: str, execution: str, attempt: int) -> dict[str, Any]:
    """The input as Scheduler fills it in."""
    for name, value in (("scheduled-time", at), ("execution-id", execution), ("attempt-number", str(attempt))):
        text = text.replace(f"<aws.scheduler.{name}>", value)
    assert "<aws." not in text
    event: dict[str, Any] = json.loads(text)
    return event


def test_the_runtime_reads_the_input_and_each_attempt_has_the_firings_id() -> None:
    text = target_input("nightly")
    first = tick_of(fired(text, "2024-06-12T09:00:00Z", "d32c5kddcf5bb8c3", 1))
    second = tick_of(fired(text, "2024-06-12T09:00:00Z", "e43d6leedg6cc9d4", 2))
    other = tick_of(fired(text, "2024-06-12T09:05:00Z", "f54e7mffeh7dd0e5", 1))
    assert (first[0], first[1].scheduled_at, first[1].attempt) == ("nightly", NINE.replace(second=0), 1)
    assert (second[1].attempt, second[1].id) == (2, first[1].id)
    assert other[1].id != first[1].id
    assert tick_of(fired(target_input("daily"), "2024-06-12T09:00:00Z", "x", 1))[1].id != first[1].id


def test_scheduler_keeps_the_input_as_it_is(moto: str) -> None:
    scheduler, name = clients_of(moto).client("scheduler"), f"nightly-{uuid.uuid4()}"
    model = declared(cron="0 3 * * ? *", timezone="Europe/Madrid")
    scheduler.create_schedule(
        Name=name,
        ScheduleExpression=expression(model),
        ScheduleExpressionTimezone=model.timezone,
        FlexibleTimeWindow={"Mode": "OFF"},
        Target={
            "Arn": f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:close",
            "RoleArn": f"arn:aws:iam::{ACCOUNT}:role/scheduler",
            "Input": target_input("nightly"),
        },
    )
    kept = scheduler.get_schedule(Name=name)
    assert (kept["ScheduleExpression"], kept["Target"]["Input"]) == ("cron(0 3 * * ? *)", target_input("nightly"))
