"""windlass token."""

import time
from pathlib import Path
from typing import Any

import jwt
import pytest

from tests.unit.cli.terminal import Run
from windlass.cli.state import open_state
from windlass.graph.load import load
from windlass.model.secret import Secret

KEY = "a key of at least 32 bytes, as HS256 needs"
KEYED = """
from windlass import System

{name} = System("{name}")
jwt_key = {name}.secret("jwt_key", generate=32)
"""


@pytest.fixture
def keyed(here: Path) -> str:
    """A system that has a secret jwt_key, which is generated. Each test has its own, for it is imported by name."""
    name = f"keyed_{abs(hash(here))}"[:40]
    (here / "systems" / name).mkdir()
    (here / "systems" / name / "system.py").write_text(KEYED.format(name=name))
    return name


def key_of(name: str, here: Path) -> str:
    system = load(here / "systems" / name)
    with open_state(system, here / ".windlass", "default") as state:
        return state.secret(system.of(Secret)[0]).read()


def claims(token: str, key: str) -> dict[str, Any]:
    return jwt.decode(token, key, algorithms=["HS256"])


def test_it_prints_a_token_and_nothing_else(run: Run, keyed: str, here: Path) -> None:
    result = run("token", keyed, "--sub", "ada", "--role", "data.read", "--role", "data.write")
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout.count("\n") == 1
    made = claims(result.stdout.strip(), key_of(keyed, here))
    assert (made["sub"], made["Role"]) == ("ada", ["data.read", "data.write"])
    assert made["iat"] == made["nbf"]
    assert abs(made["iat"] - time.time()) < 60
    assert made["exp"] - made["iat"] == 3600
    assert set(made) == {"sub", "Role", "iat", "nbf", "exp"}


def test_a_key_that_was_generated_stays(run: Run, keyed: str, here: Path) -> None:
    tokens = [run("token", keyed, "--sub", "ada").stdout.strip() for _ in range(2)]
    key = key_of(keyed, here)
    assert [claims(token, key)["sub"] for token in tokens] == ["ada", "ada"]


def test_the_claim_of_the_roles_has_the_name_that_was_asked_for(run: Run, keyed: str, here: Path) -> None:
    result = run("token", keyed, "--sub", "ada", "--role", "a", "--role", "a", "--role-claim", "groups")
    made = claims(result.stdout.strip(), key_of(keyed, here))
    assert made["groups"] == ["a"]
    assert "Role" not in made


def test_a_token_without_a_role_has_an_empty_list(run: Run, keyed: str, here: Path) -> None:
    result = run("token", keyed, "--sub", "ada")
    assert claims(result.stdout.strip(), key_of(keyed, here))["Role"] == []


@pytest.mark.parametrize(("said", "seconds"), [("90s", 90), ("30m", 1800), ("2h", 7200), ("7d", 604_800)])
def test_it_expires_when_it_was_asked_to(run: Run, keyed: str, here: Path, said: str, seconds: int) -> None:
    result = run("token", keyed, "--sub", "ada", "--expires", said)
    made = claims(result.stdout.strip(), key_of(keyed, here))
    assert made["exp"] - made["iat"] == seconds


def test_the_key_is_the_secret_that_was_named(run: Run) -> None:
    run("secret", "set", "desk", "bank_key", stdin=KEY)
    result = run("token", "desk", "--sub", "ada", "--secret", "bank_key")
    assert claims(result.stdout.strip(), KEY)["sub"] == "ada"
    with pytest.raises(jwt.InvalidSignatureError):
        claims(result.stdout.strip(), KEY.upper())


def test_a_system_without_such_a_secret_is_told_of_those_that_it_has(run: Run) -> None:
    result = run("token", "desk", "--sub", "ada")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == "error: desk has no secret 'jwt_key'\n  fix: name one of its secrets: bank_key\n"


def test_a_system_without_secrets_says_so(run: Run) -> None:
    result = run("token", "twin_pools", "--sub", "ada")
    assert (result.exit_code, result.stderr) == (1, "error: twin_pools declares no secret\n")


def test_a_secret_that_is_not_set_is_told_with_the_command_that_sets_it(run: Run, used: Path) -> None:
    result = run("token", "desk", "--sub", "ada", "--secret", "bank_key")
    assert (result.exit_code, result.stdout) == (1, "")
    assert "windlass secret set desk bank_key" in result.stderr


def test_no_state_is_made_for_a_secret_that_an_operator_sets(run: Run, here: Path) -> None:
    result = run("token", "desk", "--sub", "ada", "--secret", "bank_key")
    assert result.exit_code == 1
    assert "nothing has been started" in result.stderr
    assert not (here / ".windlass").exists()


@pytest.mark.parametrize(
    ("key", "said"),
    [
        ("k" * 31, "desk.bank_key has 31 bytes, and a key for HS256 has 32 or more"),
        ('{"kty": "oct", "k": "c2VjcmV0LXNlY3JldC1zZWNyZXQ"}', "desk.bank_key is not a shared key"),
        ("-----BEGIN PUBLIC KEY-----\nMIIBIjANBgkqhki\n-----END PUBLIC KEY-----", "desk.bank_key is not a shared key"),
    ],
    ids=["short", "jwk", "pem"],
)
def test_what_is_no_key_for_hs256_is_refused(run: Run, key: str, said: str) -> None:
    run("secret", "set", "desk", "bank_key", stdin=key)
    result = run("token", "desk", "--sub", "ada", "--secret", "bank_key")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.startswith(f"error: {said}")
    assert "\n  fix: " in result.stderr
    assert key not in result.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("--sub", " "),
        ("--sub", "ada", "--expires", "soon"),
        ("--sub", "ada", "--expires", "0s"),
        ("--sub", "ada", "--expires", "367d"),
        ("--sub", "ada", "--expires", "1"),
        ("--sub", "ada", "--role-claim", "exp"),
        ("--sub", "ada", "--role-claim", ""),
    ],
    ids=" ".join,
)
def test_a_wrong_command_line_is_said(run: Run, here: Path, arguments: tuple[str, ...]) -> None:
    result = run("token", "desk", *arguments)
    assert (result.exit_code, result.stdout) == (2, "")
    assert not (here / ".windlass").exists()
