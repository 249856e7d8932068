"""windlass backup, windlass restore."""

import json
from pathlib import Path

import pytest

from tests.unit.cli.terminal import Run
from windlass.engines.embedded.lock import Lock


def test_what_was_backed_up_comes_back(run: Run, used: Path, here: Path) -> None:
    run("users", "add", "desk", "ada")
    before = run("queue", "list", "desk", "--json").output
    result = run("backup", "desk.zip")
    assert result.exit_code == 0
    assert result.output == (
        "The state in .windlass/default was written to desk.zip.\n"
        "It holds the keys of that state: keep it where nobody else can read it.\n"
    )
    run("users", "delete", "desk", "ada", "--yes")
    run("queue", "purge", "desk", "archive", "--yes")
    result = run("restore", "desk.zip", "--force")
    assert result.exit_code == 0
    assert result.output.startswith("The state of ")
    assert "is in .windlass/default.\nWhat was there is in .windlass/default.before-restore-" in result.output
    assert [user["username"] for user in json.loads(run("users", "list", "desk", "--json").output)] == ["ada"]
    for shown, known in zip(json.loads(run("queue", "list", "desk", "--json").output), json.loads(before), strict=True):
        assert shown["waiting"] == known["waiting"]
    [aside] = (path.name for path in (here / ".windlass").iterdir() if path.name != "default")
    assert json.loads(run("users", "list", "desk", "--json", "--namespace", aside).output) == []


def test_it_refuses_while_a_server_holds_the_namespace(run: Run, used: Path) -> None:
    with Lock.acquire(used / "default/lock", "http://127.0.0.1:8400"):
        assert run("backup", "desk.zip").exit_code == 0
        result = run("restore", "desk.zip", "--force")
    assert result.exit_code == 1
    assert result.stderr.startswith("error: .windlass/default is held by process ")


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("backup", "desk.zip"), "error: there is no state in .windlass/default\n  fix: "),
        (("restore", "desk.zip"), "error: desk.zip cannot be read: No such file or directory\n  fix: "),
        (("backup", "desk.zip", "--namespace", "../.."), "error: '../..' cannot name a namespace\n  fix: "),
        (("restore", "desk.zip", "--namespace", "../.."), "error: '../..' cannot name a namespace\n  fix: "),
    ],
)
def test_what_cannot_be_is_told_in_words(run: Run, here: Path, arguments: tuple[str, ...], told: str) -> None:
    result = run(*arguments)
    assert result.exit_code == 1
    assert result.stderr.startswith(told)
    assert not (here / ".windlass").exists()


@pytest.mark.parametrize("command", ["backup", "restore"])
def test_the_help_says_that_the_file_holds_the_keys(run: Run, command: str) -> None:
    words = " ".join(run(command, "--help").output.split())
    assert "keys" in words.lower()
    assert ("FILE HOLDS THE KEYS" in words) == (command == "backup")
