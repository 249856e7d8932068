"""The master key: what is left when it could not be written."""

import resource
from pathlib import Path

import pytest

from windlass.engines.embedded.keyring import Keyring
from windlass.errors import HomeError


def test_a_key_that_could_not_be_written_is_not_in_the_way(tmp_path: Path) -> None:
    path = tmp_path / "master.key"
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, hard))
    try:
        with pytest.raises(OSError, match="large"):
            Keyring.open(path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    made = Keyring.open(path)
    assert Keyring.open(path).derive("x") == made.derive("x")


def test_what_is_no_key_is_refused(tmp_path: Path) -> None:
    (tmp_path / "master.key").write_bytes(b"short")
    with pytest.raises(HomeError, match="has 5 bytes, not 32"):
        Keyring.open(tmp_path / "master.key")
