"""windlass alarms."""

import json
import signal
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest

from tests.unit.cli.terminal import ENVIRONMENT, Run, running, send
from windlass.model.system import System


@pytest.fixture
def alarmed(desk: System, here: Path) -> Path:
    """The state in the present folder, where the desk ran from 2024-06-12 09:00:00 on, and has a dead letter."""
    home = here / ".windlass"
    with running(desk, home) as driver:
        send(driver, "replies", id="3", subject="")
        driver.advance(timedelta(minutes=3))
    return home


def test_alarms_are_listed_with_their_state(run: Run, alarmed: Path) -> None:
    head, first, second, *_ = run("alarms", "desk").output.splitlines()
    assert head.split() == ["STATE", "ALARM", "SINCE", "LAST", "THRESHOLD", "OF"]
    assert " ".join(first.split()) == (
        "ALARM replies_dead_letters 2024-06-12 09:00:02Z 1 above 0 queue replies: dead, maximum of 1 min"
    )
    assert second.startswith("OK     staff_errors")


def test_those_of_one_state(run: Run, alarmed: Path) -> None:
    result = run("alarms", "desk", "--state", "alarm")
    assert [line.split()[:2] for line in result.output.splitlines()[1:]] == [["ALARM", "replies_dead_letters"]]
    assert run("alarms", "desk", "--state", "insufficient_data").output == "no alarm is like that\n"
    assert run("alarms", "desk", "--state", "broken").exit_code == 2


def test_the_list_as_json(run: Run, alarmed: Path) -> None:
    (alarm,) = json.loads(run("alarms", "desk", "--state", "ALARM", "--json").output)
    rule = alarm.pop("rule")
    assert alarm == {
        "system": "desk",
        "name": "replies_dead_letters",
        "state": "ALARM",
        "since": "2024-06-12T09:00:02.000000Z",
        "value": 1.0,
        "reason": "1 is above 0",
    }
    assert rule == {
        "noun": "queue",
        "of": "replies",
        "metric": "dead",
        "series": "queue_dead",
        "labels": {"queue": "replies", "system": "desk"},
        "statistic": "maximum",
        "comparison": "above",
        "threshold": 0.0,
        "unit": "",
        "period": 1,
        "periods": 1,
        "datapoints": 1,
        "missing": "not_breaching",
        "description": "Messages could not be handled.",
        "default": True,
    }


def test_the_history(run: Run, alarmed: Path) -> None:
    lines = run("alarms", "desk", "--history", "--state", "alarm").output.splitlines()
    assert lines[0].split() == ["TIME", "SYSTEM", "ALARM", "FROM", "TO", "WHY"]
    assert lines[1:] == ["2024-06-12 09:00:02Z  desk    replies_dead_letters  INSUFFICIENT_DATA  ALARM  1 is above 0"]
    assert len(run("alarms", "desk", "--history", "--limit", "3").output.splitlines()) == 4
    (change,) = json.loads(run("alarms", "desk", "--history", "--limit", "1", "--state", "ALARM", "--json").output)
    assert change == {
        "time": "2024-06-12T09:00:02.000000Z",
        "system": "desk",
        "alarm": "replies_dead_letters",
        "from": "INSUFFICIENT_DATA",
        "to": "ALARM",
        "value": 1.0,
        "reason": "1 is above 0",
    }


def test_without_a_system_those_of_all(run: Run, here: Path, alarmed: Path) -> None:
    (here / "systems" / "broken").unlink()
    output = run("alarms").output
    assert "desk queue replies: dead, maximum of 1 min" in output
    assert "twin_pools user pool" in output


def test_without_any_system_it_says_so(run: Run, here: Path) -> None:
    for system in (here / "systems").iterdir():
        system.unlink()
    result = run("alarms")
    assert (result.exit_code, result.stderr) == (
        1,
        "error: there is no system in ./systems or in the present folder\n  fix: name one: windlass alarms SYSTEM\n",
    )


def test_nothing_was_started(run: Run, here: Path) -> None:
    result = run("alarms", "desk")
    assert result.exit_code == 1
    assert "nothing has been started" in result.stderr


def test_the_mail_about_it_is_in_the_inbox(run: Run, alarmed: Path) -> None:
    (mail,) = json.loads(run("mail", "list", "desk", "--mailer", "alarms", "--json").output)
    assert (mail["mailer"], mail["state"], mail["to"]) == ("alarms", "kept", ["operator@localhost"])
    assert mail["subject"] == "Help desk: ALARM replies_dead_letters"
    assert mail["id"] in run("mail", "list", "desk").output
    shown = run("mail", "show", "desk", mail["id"]).output
    assert "mend:   windlass queue redrive desk replies" in shown


def test_changes_are_followed(desk: System, here: Path, alarmed: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "windlass",
        "alarms",
        "desk",
        "--history",
        "--state",
        "alarm",
        "--follow",
        "--json",
    ]
    follower = subprocess.Popen(command, cwd=here, env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    with follower:
        assert follower.stdout is not None
        first = json.loads(follower.stdout.readline())
        assert first["alarm"] == "replies_dead_letters"
        with desk.run_embedded(alarmed) as driver:
            driver.clock.set(driver.clock.now() + 3600)
            driver.queue("replies").purge(dead=True)
            driver.advance(timedelta(minutes=5))
            with driver.bound():
                send(driver, "replies", id="4", subject="")
            driver.advance(timedelta(minutes=3))
        again = json.loads(follower.stdout.readline())
        assert (again["alarm"], again["to"]) == ("replies_dead_letters", "ALARM")
        assert again["time"] > first["time"]
        follower.send_signal(signal.SIGINT)
        assert follower.wait(30) == 0
