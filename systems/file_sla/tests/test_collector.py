"""The collector and the API together, as they run in earnest."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.up import Up

SYSTEM = Path(__file__).parents[1]


class Collector:
    """`file-sla-collector --once --json` over a folder of its own."""

    def __init__(self, folder: Path) -> None:
        self.inbox = folder / "in"
        (self.inbox / "archive").mkdir(parents=True)
        self.config = folder / "folders.toml"
        self.config.write_text('[[folders]]\npath = "in"\nsla = "20m"\nname = "orders"\n')

    def put(self, name: str, minutes: int) -> None:
        """A file that has lain there for so many minutes."""
        path = self.inbox / name
        path.write_text("x")
        then = time.time() - minutes * 60
        os.utime(path, (then, then))

    def run(self, url: str, credentials: tuple[str, str]) -> dict[str, Any]:
        done = subprocess.run(
            [
                *(sys.executable, "-m", "file_sla_collector", "--config", self.config),
                *("--url", url, "--once", "--json", "--attempts", "1"),
            ],
            env={**os.environ, "FILE_SLA_USERNAME": credentials[0], "FILE_SLA_PASSWORD": credentials[1]},
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        assert done.stdout, done.stderr
        result: dict[str, Any] = json.loads(done.stdout)
        assert result["exit_code"] == done.returncode
        return result


@pytest.fixture
def collector(tmp_path: Path) -> Collector:
    return Collector(tmp_path)


def breaches(up: Up, credentials: tuple[str, str]) -> list[dict[str, Any]]:
    """All breaches of the folder `orders`, the oldest first."""
    token = up.sign_in("file_sla", *credentials)
    answer = up.http.get(
        "/file_sla/file_sla_errors", params={"folder": "orders"}, headers={"authorization": f"Bearer {token}"}
    )
    items: list[dict[str, Any]] = answer.json()["items"]
    return items[::-1]


def test_what_lies_too_long_is_found_posted_and_stored(tmp_path: Path, collector: Collector) -> None:
    collector.put("late.csv", 30)
    collector.put("in-time.csv", 10)
    collector.put("archive/done.csv", 300)
    with Up(SYSTEM, home=tmp_path / "home", options=("--no-reload",)) as up:
        credentials = up.credentials["file_sla"]
        result = collector.run(f"{up.url}/file_sla", credentials)
        assert (result["exit"], result["exit_code"]) == ("sent", 0)
        (breach,) = breaches(up, credentials)
    assert breach["SLA"] == 20
    (file,) = breach["Files"]
    assert file["Filename"] == "late.csv"
    age = datetime.now(UTC) - datetime.fromisoformat(file["CreationDate"])
    assert timedelta(minutes=29) < age < timedelta(minutes=35)


def test_what_could_not_be_sent_is_sent_in_order_when_the_server_is_back(tmp_path: Path, collector: Collector) -> None:
    with Up(SYSTEM, home=tmp_path / "home", options=("--no-reload",)) as up:
        credentials, port = up.credentials["file_sla"], up.url.rpartition(":")[2]
        up.kill()
    url = f"http://127.0.0.1:{port}/file_sla"
    for name in ("first.csv", "second.csv"):
        collector.put(name, 30)
        result = collector.run(url, credentials)
        assert (result["exit"], result["exit_code"]) == ("spooled", 4)
    with Up(SYSTEM, home=tmp_path / "home", options=("--no-reload", "--port", port)) as up:
        collector.put("third.csv", 30)
        assert collector.run(url, credentials)["exit"] == "sent"
        found = [[file["Filename"] for file in breach["Files"]] for breach in breaches(up, credentials)]
    assert [sorted(names) for names in found] == [
        ["first.csv"],
        ["first.csv", "second.csv"],
        ["first.csv", "second.csv", "third.csv"],
    ]


def test_a_wrong_password_sends_nothing_and_says_so(tmp_path: Path, collector: Collector) -> None:
    collector.put("late.csv", 30)
    with Up(SYSTEM, home=tmp_path / "home", options=("--no-reload",)) as up:
        credentials = up.credentials["file_sla"]
        result = collector.run(f"{up.url}/file_sla", (credentials[0], "not the password"))
        assert (result["exit"], result["exit_code"]) == ("sign_in", 3)
        assert breaches(up, credentials) == []
        assert collector.run(f"{up.url}/file_sla", credentials)["exit"] == "sent"
        assert len(breaches(up, credentials)) == 2, "the report that waited, and the new one"
