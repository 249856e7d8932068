"""A namespace's folder: what is in it, and whose eyes it is for."""

from __future__ import annotations

from pathlib import Path

import pytest

from windlass.engines.embedded.namespace import Namespace
from windlass.errors import HomeError


def test_the_state_is_for_its_owner_only(tmp_path: Path) -> None:
    namespace = Namespace(tmp_path / "home")
    namespace.store.execute("create table t (x)")
    namespace.store.flush()
    rights = {file.name: file.stat().st_mode & 0o077 for file in namespace.path.iterdir()}
    assert {"state.sqlite", "state.sqlite-wal", "master.key"} <= set(rights)
    assert set(rights.values()) == {0}
    namespace.close()


def test_state_without_its_key_is_refused_rather_than_given_a_new_one(tmp_path: Path) -> None:
    namespace = Namespace(tmp_path / "home")
    namespace.close()
    (namespace.path / "master.key").unlink()
    with pytest.raises(HomeError, match=r"master.key is missing\n  fix: restore master.key"):
        Namespace(tmp_path / "home")
    assert not (namespace.path / "master.key").exists()


def test_state_that_may_not_be_written_is_not_called_damaged(tmp_path: Path) -> None:
    namespace = Namespace(tmp_path / "home")
    namespace.close()
    state = namespace.path / "state.sqlite"
    for file in namespace.path.glob("state.sqlite*"):
        file.unlink()
    state.mkdir()  # root may write any file, so a folder stands in for one that may not be written
    with pytest.raises(HomeError, match="fix: see to it that you may read and write it"):
        Namespace(tmp_path / "home")


@pytest.mark.parametrize("name", ["", "..", "a/b", ".hidden", "x" * 65, "a\0b", "-x"])
def test_a_name_that_is_none_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(HomeError, match="cannot name a namespace"):
        Namespace(tmp_path / "home", name)
