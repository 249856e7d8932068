from __future__ import annotations

import io
from pathlib import Path

import pytest

from file_sla_collector.config import ConfigError
from file_sla_collector.credentials import Credentials, find_credentials, find_username, readable_by_others


def test_the_environment_outranks_the_configuration() -> None:
    assert find_username("configured", {"FILE_SLA_USERNAME": "given"}) == "given"
    assert find_username("configured", {"FILE_SLA_USERNAME": " "}) == "configured"
    with pytest.raises(ConfigError, match="no username"):
        find_username(None, {})


def test_a_file_outranks_standard_input_and_that_the_environment(tmp_path: Path) -> None:
    file = tmp_path / "password"
    file.write_bytes(b"from file\n")
    environment = {"FILE_SLA_PASSWORD": "from environment"}
    stream = io.BytesIO(b"from stdin\r\n")
    assert find_credentials("u", environment, password_file=file)() == Credentials("u", "from file")
    assert find_credentials("u", environment, password_stream=stream)() == Credentials("u", "from stdin")
    assert find_credentials("u", environment)() == Credentials("u", "from environment")


def test_a_password_file_is_read_again_at_every_sign_in(tmp_path: Path) -> None:
    file = tmp_path / "password"
    file.write_text("old")
    source = find_credentials("u", {}, password_file=file)
    file.write_text("new")
    assert source().password == "new"
    file.unlink()
    with pytest.raises(ConfigError, match="cannot be read"):
        source()


@pytest.mark.parametrize(
    ("content", "password"),
    [(b"a b ", "a b "), (b"\xef\xbb\xbfx\r\n", "x"), (b"x\n\n", "x\n"), ("é".encode(), "é")],
)
def test_only_one_line_ending_is_taken_off(content: bytes, password: str) -> None:
    assert find_credentials("u", {}, password_stream=io.BytesIO(content))().password == password


@pytest.mark.parametrize(
    ("content", "says"),
    [(b"", "is empty"), (b"\n", "is empty"), (b"\xff", "not UTF-8"), (b"x" * 5000, "longer than")],
)
def test_passwords_that_cannot_be_used(content: bytes, says: str) -> None:
    with pytest.raises(ConfigError, match=says) as caught:
        find_credentials("u", {}, password_stream=io.BytesIO(content))
    assert caught.value.__cause__ is None


@pytest.mark.parametrize("environment", [{}, {"FILE_SLA_PASSWORD": ""}, {"FILE_SLA_PASSWORD": "\udcff"}])
def test_an_environment_without_a_usable_password(environment: dict[str, str]) -> None:
    with pytest.raises(ConfigError, match="password"):
        find_credentials("u", environment)


def test_a_password_file_that_others_can_read_is_noticed(tmp_path: Path) -> None:
    file = tmp_path / "password"
    file.write_text("x")
    file.chmod(0o640)
    assert readable_by_others(file)
    file.chmod(0o600)
    assert not readable_by_others(file)
    assert not readable_by_others(tmp_path / "none")
