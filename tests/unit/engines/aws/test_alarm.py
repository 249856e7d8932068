"""Alarms of CloudWatch, as an operator sees them. States against moto; changes as AWS's documentation shows them."""

import json
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from tests.unit.engines.aws.aws_peer import ACCOUNT, REGION, clients_of, moto_server
from windlass import System
from windlass.engines.aws.alarm import AwsAlarm, change_in, newest_value
from windlass.engines.aws.clients import Clients
from windlass.engines.aws.stage import Stage
from windlass.errors import NotFound
from windlass.ports.alarm import AlarmChange

NINE = datetime(2024, 6, 12, 9, tzinfo=UTC)


class World:
    """A declared alarm, deployed by `deploy`, each world's its own."""

    def __init__(self, clients: Clients) -> None:
        system = System("shop")
        api = system.api("api")
        model = system.alarm("errors", of=api, metric="errors", above=5)
        stage = Stage("shop", f"t{uuid.uuid4().hex[:10]}", REGION, ACCOUNT)
        self.name, self.cloudwatch = stage.called("errors"), clients.client("cloudwatch")
        self.model, self.alarm = model, AwsAlarm(model, stage, clients)

    def deploy(self) -> None:
        self.cloudwatch.put_metric_alarm(
            AlarmName=self.name,
            Namespace="shop",
            MetricName="errors",
            Statistic="Sum",
            Period=60,
            EvaluationPeriods=1,
            Threshold=5.0,
            ComparisonOperator="GreaterThanThreshold",
        )

    def turn(self, state: str, reason: str, data: dict[str, Any]) -> None:
        self.cloudwatch.set_alarm_state(
            AlarmName=self.name, StateValue=state, StateReason=reason, StateReasonData=json.dumps(data)
        )


@pytest.fixture(scope="module")
def moto() -> Iterator[Clients]:
    with moto_server() as endpoint:
        yield clients_of(endpoint)


@pytest.fixture
def world(moto: Clients) -> World:
    return World(moto)


def test_an_alarm_that_is_not_deployed_is_not_found(world: World) -> None:
    with pytest.raises(NotFound, match=rf"CloudWatch has no alarm {world.name}\n  fix: deploy"):
        world.alarm.status()


def test_an_alarm_stands_as_cloudwatch_says(world: World) -> None:
    world.deploy()
    before = world.alarm.status()
    assert (before.rule, before.value) == (world.model.rule(), None)
    assert before.reason == "Unchecked: Initial alarm creation"
    world.turn("ALARM", "Threshold Crossed", {"recentDatapoints": [1.0, 7.0]})
    after = world.alarm.status()
    assert (after.state, after.value, after.reason) == ("ALARM", 7.0, "Threshold Crossed")
    assert before.since is not None
    assert after.since is not None
    assert after.since >= before.since
    world.turn("INSUFFICIENT_DATA", "nothing", {})
    assert (world.alarm.status().state, world.alarm.status().value) == ("INSUFFICIENT_DATA", None)


# The form of docs.aws.amazon.com/cli/latest/reference/cloudwatch/describe-alarm-history.html
DATA = {
    "version": "1.0",
    "oldState": {
        "stateValue": "OK",
        "stateReason": "Threshold Crossed: 1 datapoint [0.0] was not greater than the threshold (5.0).",
        "stateReasonData": {"version": "1.0", "period": 60, "recentDatapoints": [0.0], "threshold": 5.0},
    },
    "newState": {
        "stateValue": "ALARM",
        "stateReason": "Threshold Crossed: 1 datapoint [7.0] was greater than the threshold (5.0).",
        "stateReasonData": {"version": "1.0", "period": 60, "recentDatapoints": [7.0], "threshold": 5.0},
    },
}


def test_a_change_is_read_from_its_record() -> None:
    item = {"Timestamp": NINE.replace(microsecond=442_000), "HistoryData": json.dumps(DATA)}
    assert change_in("errors", item) == AlarmChange(
        number=round(NINE.timestamp() * 1000) + 442,
        alarm="errors",
        at=NINE.timestamp() + 0.442,
        old="OK",
        new="ALARM",
        value=7.0,
        reason="Threshold Crossed: 1 datapoint [7.0] was greater than the threshold (5.0).",
    )


def test_the_data_of_a_reason_may_be_a_text() -> None:
    new = {**DATA["newState"], "stateReasonData": json.dumps({"recentDatapoints": [9.0]})}  # type: ignore[dict-item]
    item = {"Timestamp": NINE, "HistoryData": json.dumps({**DATA, "newState": new})}
    assert change_in("errors", item).value == 9.0


@pytest.mark.parametrize(
    "data",
    [None, "", "nonsense", "[]", "{}", '{"newState": 1}'],
    ids=["none", "empty", "text", "list", "object", "odd"],
)
def test_a_record_that_says_little_is_read_as_far_as_it_goes(data: str | None) -> None:
    item = {"Timestamp": NINE} | ({} if data is None else {"HistoryData": data})
    change = change_in("errors", item)
    assert (change.old, change.new, change.value, change.reason) == (
        "INSUFFICIENT_DATA",
        "INSUFFICIENT_DATA",
        None,
        "",
    )


@pytest.mark.parametrize(
    ("reason", "value"),
    [
        ({}, None),
        ({"recentDatapoints": []}, None),
        ({"recentDatapoints": [1.0, 2]}, 2.0),
        (
            {
                "recentDatapoints": [1.0, 3.0],
                "evaluatedDatapoints": [
                    {"timestamp": "2024-06-12T09:02:00.000+0000"},
                    {"timestamp": "2024-06-12T09:01:00.000+0000", "sampleCount": 1.0, "value": 3.0},
                    {"timestamp": "2024-06-12T09:00:00.000+0000", "sampleCount": 1.0, "value": 1.0},
                ],
            },
            3.0,
        ),
    ],
    ids=["nothing", "none", "recent", "evaluated"],
)
def test_the_newest_value_is_that_of_the_latest_time(reason: dict[str, Any], value: float | None) -> None:
    assert newest_value(reason) == value
