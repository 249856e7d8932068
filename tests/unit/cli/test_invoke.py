"""windlass invoke."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from tests.unit.cli.terminal import Run

POST = {
    "version": "2.0",
    "rawPath": "/parcels",
    "headers": {"content-type": "application/json"},
    "requestContext": {"http": {"method": "POST"}, "stage": "$default"},
    "body": '{"id":"p1","grams":5}',
}


@pytest.fixture
def parcels_app(here: Path) -> Path:
    """The present folder, with a system that has functions."""
    (here / "systems" / "parcels_app").symlink_to(Path(__file__).parent / "parcels_app")
    (here / "event.json").write_text(json.dumps(POST))
    return here


def lines(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def test_a_function_runs_and_its_answer_is_printed(run: Run, parcels_app: Path) -> None:
    before = dict(os.environ)
    result = run("invoke", "parcels_app", "accept", "--event", "event.json", "--stage", "prod", "--env", "COLOUR=red")
    assert result.exit_code == 0, result.stderr
    answer = json.loads(result.stdout)
    assert (answer["statusCode"], json.loads(answer["body"])) == (201, {"id": "p1", "stage": "prod"})
    (log,) = lines(result.stderr)
    assert log["message"] == "password=*** in red"
    assert log["trace_id"] == answer["headers"]["x-trace-id"]
    assert dict(os.environ) == before


def test_an_event_comes_on_standard_input(run: Run, parcels_app: Path) -> None:
    batch: dict[str, list[object]] = {"Records": []}
    result = run("invoke", "parcels_app", "deliver", "--event", "-", stdin=json.dumps(batch))
    assert json.loads(result.stdout) == {"batchItemFailures": []}


def test_what_the_environment_lacks_for_a_resource_is_told(run: Run, parcels_app: Path) -> None:
    event = {**POST, "rawPath": "/send"}
    result = run("invoke", "parcels_app", "dispatch", "--event", "-", stdin=json.dumps(event))
    assert json.loads(result.stdout)["statusCode"] == 503
    assert "the function's environment lacks WINDLASS_OUTGOING_URL" in lines(result.stderr)[0]["message"]


def test_an_unknown_handler_is_answered_with_those_that_are_near(run: Run, parcels_app: Path) -> None:
    result = run("invoke", "parcels_app", "acept", "--event", "event.json")
    assert result.exit_code == 1
    assert result.stderr == "error: parcels_app has no handler 'acept'\n  fix: did you mean accept?\n"


def test_an_event_that_is_no_json_is_refused(run: Run, parcels_app: Path) -> None:
    result = run("invoke", "parcels_app", "accept", "--event", "-", stdin="{")
    assert result.exit_code == 1
    assert result.stderr.startswith("error: standard input is not JSON: ")


def test_an_event_of_another_kind_is_refused(run: Run, parcels_app: Path) -> None:
    result = run("invoke", "parcels_app", "deliver", "--event", "event.json")
    assert result.exit_code == 1
    assert result.stdout == ""
    said = result.stderr.splitlines()[-1]
    assert said == ("error: deliver is started by queue outgoing, and this event is of another kind: it has no Records")


def test_a_file_that_is_not_there_and_a_variable_that_is_none_are_faults_of_the_command(
    run: Run, parcels_app: Path
) -> None:
    assert "gone.json" in run("invoke", "parcels_app", "accept", "--event", "gone.json").stderr
    result = run("invoke", "parcels_app", "accept", "--event", "event.json", "--env", "COLOUR")
    assert result.exit_code == 2
    assert "'COLOUR' is not NAME=VALUE" in result.stderr
