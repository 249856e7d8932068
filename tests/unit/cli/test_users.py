"""windlass users."""

import json
import re
from pathlib import Path

import pytest

from tests.unit.cli.terminal import Run
from windlass.cli.state import open_state
from windlass.errors import WrongCredentials
from windlass.model.system import System
from windlass.model.user_pool import UserPool

LONG = "correct horse battery"


def signs_in(desk: System, here: Path, name: str, password: str) -> bool:
    """Whether a user can sign in, in a process that opens the state anew."""
    with open_state(desk, here / ".windlass", "default") as state:
        try:
            state.user_pool(desk.of(UserPool)[0]).sign_in(name, password)
        except WrongCredentials:
            return False
    return True


def test_a_user_is_added_with_a_password_that_is_shown_once(run: Run, desk: System, here: Path) -> None:
    result = run("users", "add", "desk", "ada", "--group", "agent", "--email", "ada@example.com")
    assert result.exit_code == 0
    shown = re.fullmatch(
        r"ada was added to desk\.staff\.\npassword: (\S{24,})\n"
        r"It is kept nowhere and shown only now; `windlass users password` sets another\.\n",
        result.stdout,
    )
    assert shown is not None
    assert signs_in(desk, here, "ada", shown[1])
    assert "password" not in run("users", "list", "desk", "--json").stdout


@pytest.mark.parametrize("stdin", [LONG, f"{LONG}\n", f"{LONG}\r\n"], ids=["bare", "unix", "windows"])
def test_a_password_on_standard_input_is_not_shown(run: Run, desk: System, here: Path, stdin: str) -> None:
    result = run("users", "add", "desk", "ada", "--password-stdin", stdin=stdin.encode())
    assert (result.exit_code, result.output) == (0, "ada was added to desk.staff.\n")
    assert signs_in(desk, here, "ada", LONG)


def test_json_has_the_password_that_was_made(run: Run, desk: System, here: Path) -> None:
    added = json.loads(run("users", "add", "desk", "ada", "--group", "agent", "--json").stdout)
    assert list(added) == [
        "pool", "username", "id", "email", "groups", "enabled", "created_at", "locked_until", "password",
    ]  # fmt: skip
    assert signs_in(desk, here, "ada", added.pop("password"))
    assert json.loads(run("users", "list", "desk", "--json").stdout) == [added]


def test_users_are_listed(run: Run) -> None:
    run("users", "add", "desk", "ada", "--group", "agent", "--group", "lead")
    run("users", "add", "desk", "bartholomew", "--email", "bart@example.com")
    run("users", "disable", "desk", "ada")
    result = run("users", "list", "desk")
    assert re.sub(r"\d{4}-\d\d-\d\d", "2024-06-12", result.stdout) == (
        "POOL   NAME         STATE     GROUPS       E-MAIL            SINCE\n"
        "staff  ada          disabled  agent, lead                    2024-06-12\n"
        "staff  bartholomew  enabled                bart@example.com  2024-06-12\n"
    )


def test_a_pool_without_users_says_so(run: Run) -> None:
    run("users", "add", "twin_pools", "ada", "--pool", "hosts")
    assert run("users", "list", "twin_pools", "--pool", "guests").stdout == "no users\n"
    assert "hosts  ada" in run("users", "list", "twin_pools").stdout
    assert json.loads(run("users", "list", "twin_pools", "--pool", "guests", "--json").stdout) == []


def test_a_locked_user_is_seen(run: Run, desk: System, here: Path) -> None:
    run("users", "add", "desk", "ada", "--password-stdin", stdin=LONG)
    for _ in range(5):
        assert not signs_in(desk, here, "ada", "wrong")
    assert json.loads(run("users", "list", "desk", "--json").stdout)[0]["locked_until"] is not None
    run("users", "enable", "desk", "ada")
    assert json.loads(run("users", "list", "desk", "--json").stdout)[0]["locked_until"] is None


def test_disable_and_enable(run: Run, desk: System, here: Path) -> None:
    run("users", "add", "desk", "ada", "--password-stdin", stdin=LONG)
    assert run("users", "disable", "desk", "ada").output == "ada is disabled and signed out.\n"
    assert not signs_in(desk, here, "ada", LONG)
    assert run("users", "enable", "desk", "ada").output == "ada may sign in.\n"
    assert signs_in(desk, here, "ada", LONG)


def test_a_new_password(run: Run, desk: System, here: Path) -> None:
    run("users", "add", "desk", "ada")
    made = json.loads(run("users", "password", "desk", "ada", "--json").stdout)["password"]
    assert signs_in(desk, here, "ada", made)
    result = run("users", "password", "desk", "ada", "--password-stdin", stdin=LONG)
    assert result.output == "ada has a new password and is signed out.\n"
    assert signs_in(desk, here, "ada", LONG)
    assert not signs_in(desk, here, "ada", made)


def test_groups(run: Run) -> None:
    run("users", "add", "desk", "ada", "--group", "lead")
    assert run("users", "groups", "desk", "ada").output == "ada is in lead.\n"
    assert run("users", "groups", "desk", "ada", "agent", "lead").output == "ada is in agent, lead.\n"
    assert json.loads(run("users", "groups", "desk", "ada", "agent", "--json").stdout)["groups"] == ["agent"]
    assert run("users", "groups", "desk", "ada", "--none").output == "ada is in no group.\n"
    assert run("users", "groups", "desk", "ada", "lead", "--none").exit_code == 2


def test_a_user_is_removed(run: Run) -> None:
    run("users", "add", "desk", "ada")
    refused = run("users", "delete", "desk", "ada", stdin="y\n")
    assert refused.exit_code == 2
    assert refused.stderr.endswith("Remove the user ada of desk.staff? Nobody can be asked here: add --yes.\n")
    assert run("users", "delete", "desk", "ada", "--yes").output == "ada was removed.\n"
    assert run("users", "list", "desk").output == "no users\n"


ERRORS = {
    "taken": (
        ["add", "desk", "ada"],
        "there is a user ada already\n"
        "  fix: give another name, or set this user's password: windlass users password desk ada",
    ),
    "group": (["add", "desk", "eve", "--group", "nope"], "unknown groups: nope (declared: agent, lead)"),
    "name": (["add", "desk", "e v e"], "a user name of this pool is 1 to 128 characters without spaces"),
    "pool": (
        ["list", "desk", "--pool", "staf"],
        "desk has no user pool 'staf'\n  fix: name one of its user pools: staff",
    ),
    **{
        command: (
            [command, "desk", "eve", *more],
            "there is no user 'eve'\n  fix: see who there is: windlass users list desk",
        )
        for command, more in {
            "disable": [], "enable": [], "password": [], "groups": [], "delete": ["--yes"],
        }.items()
    },
}  # fmt: skip


@pytest.mark.parametrize("case", ERRORS)
def test_errors_are_told_with_their_fix(run: Run, case: str) -> None:
    run("users", "add", "desk", "ada")
    arguments, said = ERRORS[case]
    result = run("users", *arguments)
    assert (result.exit_code, result.stdout, result.stderr) == (1, "", f"error: {said}\n")


def test_a_weak_password_is_refused(run: Run) -> None:
    result = run("users", "add", "desk", "ada", "--password-stdin", stdin="short\n")
    assert result.stderr == "error: the password has 5 characters; the least is 12, the most 256\n"
    assert run("users", "add", "desk", "ada", "--password-stdin", stdin=b"\xff" * 12).stderr == (
        "error: password on standard input is not text in UTF-8\n"
    )


def test_of_two_pools_one_must_be_named(run: Run) -> None:
    result = run("users", "add", "twin_pools", "ada@example.com")
    assert result.exit_code == 2
    assert "twin_pools has several user pools: say which, one of guests, hosts" in result.stderr
    assert run("users", "add", "twin_pools", "ada@example.com", "--pool", "guests").exit_code == 0


def test_where_nothing_was_started_there_is_nothing_to_list(run: Run, here: Path) -> None:
    result = run("users", "list", "desk", "--namespace", "pr-1")
    assert result.exit_code == 1
    assert result.stderr == (
        "error: nothing has been started in .windlass/pr-1 yet\n"
        "  fix: start it with `windlass up`, or say where the state is, with --home and --namespace\n"
    )
    assert not (here / ".windlass").exists()


def test_the_environment_says_where_the_state_is(run: Run, here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WINDLASS_HOME", "elsewhere")
    monkeypatch.setenv("WINDLASS_NAMESPACE", "pr-1")
    run("users", "add", "desk", "ada")
    assert (here / "elsewhere/pr-1/state.sqlite").is_file()
    assert "ada" in run("users", "list", "desk").output
    assert run("users", "list", "desk", "--namespace", "pr-2").exit_code == 1
