"""windlass secret."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.unit.cli.terminal import ENVIRONMENT, Run
from windlass.cli.state import open_state
from windlass.errors import SecretNotSet
from windlass.model.secret import Secret
from windlass.model.system import System


def value(desk: System, here: Path) -> str:
    with open_state(desk, here / ".windlass", "default") as state:
        return state.secret(desk.of(Secret)[0]).read()


@pytest.mark.parametrize(
    ("stdin", "kept"),
    [
        ("s3cret", "s3cret"),
        ("s3cret\n", "s3cret"),
        ("s3cret\r\n", "s3cret"),
        ("a\nb\n\n", "a\nb\n"),
        (" łąka ", " łąka "),
    ],
    ids=["bare", "unix", "windows", "lines", "spaces"],
)
def test_a_secret_is_set_to_what_standard_input_holds(
    run: Run, desk: System, here: Path, stdin: str, kept: str
) -> None:
    result = run("secret", "set", "desk", "bank_key", stdin=stdin.encode())
    assert (result.exit_code, result.output) == (0, "desk.bank_key is set.\n")
    assert value(desk, here) == kept


def test_a_list_says_what_is_set_and_never_to_what(run: Run, used: Path) -> None:
    assert run("secret", "list", "desk").output == "NAME      STATE\nbank_key  not set\n"
    run("secret", "set", "desk", "bank_key", stdin="s3cret")
    assert run("secret", "list", "desk").output == "NAME      STATE\nbank_key  set\n"
    assert json.loads(run("secret", "list", "desk", "--json").output) == [{"name": "bank_key", "set": True}]


def test_a_system_without_secrets_says_so(run: Run) -> None:
    run("users", "add", "twin_pools", "ada", "--pool", "hosts")
    assert run("secret", "list", "twin_pools").output == "twin_pools declares no secret\n"


@pytest.mark.parametrize(
    ("name", "stdin", "said"),
    [
        ("bank", b"x", "desk has no secret 'bank'\n  fix: name one of its secrets: bank_key"),
        ("bank_key", b"", "the value of 'bank_key' has 0 bytes; a secret has 1 to 65,536"),
        ("bank_key", b"x" * 65_537, "the value of 'bank_key' has 65,537 bytes; a secret has 1 to 65,536"),
        ("bank_key", b"\xff", "value of bank_key on standard input is not text in UTF-8"),
    ],
    ids=["unknown", "empty", "long", "bytes"],
)
def test_what_cannot_be_set_is_refused(run: Run, desk: System, here: Path, name: str, stdin: bytes, said: str) -> None:
    result = run("secret", "set", "desk", name, stdin=stdin)
    assert (result.exit_code, result.stdout, result.stderr) == (1, "", f"error: {said}\n")
    if (here / ".windlass").exists():
        with pytest.raises(SecretNotSet):
            value(desk, here)


@pytest.mark.skipif(sys.platform == "win32", reason="there are no pseudo-terminals")
def test_at_a_terminal_it_is_asked_for_unseen(desk: System, here: Path) -> None:
    ours, theirs = os.openpty()
    command = [sys.executable, "-m", "windlass", "secret", "set", "desk", "bank_key"]
    # A session of its own has no controlling terminal, so that the one given as standard input is asked.
    with subprocess.Popen(
        command, stdin=theirs, stdout=theirs, stderr=theirs, env=ENVIRONMENT, start_new_session=True
    ) as process:
        os.close(theirs)
        seen = ""
        for prompt in ("value of bank_key: ", "Repeat for confirmation: "):
            while not seen.endswith(prompt):
                seen += os.read(ours, 1024).decode()
            os.write(ours, b"s3cret\n")
        while "is set." not in seen:
            seen += os.read(ours, 1024).decode()
    os.close(ours)
    assert process.returncode == 0
    assert "s3cret" not in seen
    assert value(desk, here) == "s3cret"
