"""windlass logs."""

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.unit.cli.recording import FAILED, POSTED, record
from tests.unit.cli.terminal import ENVIRONMENT, Run


@pytest.fixture
def kept(here: Path) -> Path:
    return record(here / ".windlass")


def test_what_was_logged_is_shown_as_a_terminal_can_bear_it(run: Run, kept: Path) -> None:
    assert run("logs").output == (
        f"2026-05-04T09:00:00.001Z INFO    order 1 is taken  system=shop  trace={POSTED}\n"
        f"2026-05-04T09:00:00.500Z WARNING it is low  system=shop  trace={POSTED}\n"
        f"2026-05-04T09:00:01.200Z ERROR   GET /broken failed  system=desk  trace={FAILED}\n"
        "ValueError: \\x1b[31mx\n"
    )


@pytest.mark.parametrize(
    ("options", "levels"),
    [
        (["--level", "warning"], ["WARNING", "ERROR"]),
        (["--level", "ERROR"], ["ERROR"]),
        (["--system", "shop"], ["INFO", "WARNING"]),
        (["--trace", POSTED], ["INFO", "WARNING"]),
        (["--trace", "B2B2"], ["ERROR"]),
        (["--trace", "x.*"], []),
        (["--handler", "store"], ["WARNING"]),
        (["--grep", "ORDER 1"], ["INFO"]),
        (["--since", "2026-05-04T09:00:01Z"], ["ERROR"]),
        (["--since", "1h"], []),
        (["--limit", "2"], ["WARNING", "ERROR"]),
    ],
)
def test_the_entries_are_narrowed_down(run: Run, kept: Path, options: list[str], levels: list[str]) -> None:
    assert [entry["level"] for entry in json.loads(run("logs", *options, "--json").output)] == levels


def test_an_entry_as_json(run: Run, kept: Path) -> None:
    assert json.loads(run("logs", "--limit", "1", "--json").output) == [
        {
            "time": "2026-05-04T09:00:01.200000Z",
            "level": "ERROR",
            "logger": "shop",
            "message": "GET /broken failed\nValueError: \x1b[31mx",
            "trace_id": FAILED,
            "system": "desk",
        }
    ]


def test_what_is_not_there_is_said(run: Run, here: Path) -> None:
    assert run("logs").stderr.startswith("error: nothing has been started in .windlass/default yet\n")
    (here / ".windlass" / "default").mkdir(parents=True)
    assert run("logs").stderr.startswith("error: no logs were recorded in .windlass/default yet\n")


def test_nothing_that_is_like_that(run: Run, kept: Path) -> None:
    assert run("logs", "--grep", "unheard of").output == "no log entry is like that\n"


def test_following_shows_what_comes_until_ctrl_c(kept: Path) -> None:
    command = [sys.executable, "-m", "windlass", "logs", "--follow", "--json", "--level", "warning"]
    following = subprocess.Popen(command, env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert following.stdout is not None
    assert following.stderr is not None
    assert json.loads(following.stdout.readline())["level"] == "WARNING"
    assert json.loads(following.stdout.readline())["level"] == "ERROR"
    [file] = (kept / "telemetry").glob("logs-*")
    with file.open("ab") as opened:
        for level in ("INFO", "CRITICAL"):
            entry = {"time": "2026-05-04T10:00:00Z", "level": level, "logger": "shop", "message": "new"}
            opened.write(json.dumps(entry).encode() + b"\n")
    assert json.loads(following.stdout.readline())["level"] == "CRITICAL"
    following.send_signal(signal.SIGINT)
    assert following.wait(20) == 0
    assert following.stderr.read() == "\n"
    following.stdout.close()
    following.stderr.close()
