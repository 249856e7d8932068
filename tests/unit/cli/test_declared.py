"""SYSTEM: by path or name."""

from pathlib import Path

import pytest

from windlass.cli.declared import chosen, find_system, found_systems
from windlass.errors import NotFound
from windlass.model.queue import Queue
from windlass.model.secret import Secret
from windlass.model.system import System
from windlass.model.table import Table

FILE = 'from windlass import System\n\nlone = System("lone")\n'


@pytest.mark.parametrize("said", ["desk", "systems/desk", "systems/desk/system.py", "./systems/desk/"])
def test_a_name_or_a_path_finds_a_folder(here: Path, said: str) -> None:
    assert find_system(said).resolve() in (here / "systems/desk").resolve().rglob("*") or (
        find_system(said).resolve() == (here / "systems/desk").resolve()
    )


def test_a_name_finds_a_file(here: Path) -> None:
    (here / "lone.py").write_text(FILE)
    assert find_system("lone") == Path("lone.py")
    assert find_system("lone.py") == Path("lone.py")


def test_a_folder_of_that_name_without_a_system_is_passed_by(here: Path) -> None:
    (here / "desk").mkdir()
    assert find_system("desk") == Path("systems/desk")


def test_in_a_folder_of_systems_a_name_finds_one(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(here / "systems")
    assert find_system("desk") == Path("desk")
    assert found_systems() == [Path("broken"), Path("desk"), Path("twin_pools")]


def test_in_a_systems_own_folder_it_is_found_as_a_dot(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(here / "systems/desk")
    assert find_system(".") == Path()
    assert found_systems() == [Path()]


def test_the_only_resource_of_a_noun_needs_no_name(desk: System) -> None:
    assert chosen(desk, Secret, None).name == "bank_key"
    assert chosen(desk, Queue, "archive").name == "archive"


def test_a_resource_that_is_not_declared_is_answered_with_those_that_are(desk: System) -> None:
    with pytest.raises(NotFound, match=r"desk has no queue 'mails'\n  fix: name one of its queues: replies, archive"):
        chosen(desk, Queue, "mails")
    with pytest.raises(NotFound, match="empty declares no table"):
        chosen(System("empty"), Table, None)
