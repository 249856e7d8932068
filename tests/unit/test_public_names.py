"""The package `windlass`: its names, imported when they are asked for."""

import subprocess
import sys
from pathlib import Path

import pytest

import windlass


def loaded_after(code: str) -> set[str]:
    """The modules of Windlass that a fresh interpreter has after some code."""
    told = f"{code}\nimport sys; print(*(name for name in sys.modules if name.startswith('windlass')))"
    environment = {"PYTHONPATH": str(Path(windlass.__file__).parents[1])}
    done = subprocess.run([sys.executable, "-c", told], env=environment, capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def test_every_public_name_has_its_place_and_no_other_name_has() -> None:
    assert sorted(windlass.PLACES) == sorted(windlass.__all__)
    assert all(getattr(windlass, name) is not None for name in windlass.__all__)


def test_a_name_is_where_its_place_says() -> None:
    assert windlass.System.__module__ == windlass.PLACES["System"]
    assert windlass.new_id.__module__ == windlass.PLACES["new_id"]
    assert windlass.NotFound.__module__ == windlass.PLACES["NotFound"]


def test_importing_the_package_imports_nothing_of_it() -> None:
    assert loaded_after("import windlass") == {"windlass"}


def test_a_system_imports_the_nouns_that_it_declares() -> None:
    code = "from windlass import System\napp = System('app')\napp.secret('key')"
    nouns = {"alarm", "api", "mailer", "queue", "schedule", "secret", "site", "table", "user_pool"}
    assert {name for name in nouns if f"windlass.model.{name}" in loaded_after(code)} == {"secret"}


def test_a_name_that_is_not_there_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="module 'windlass' has no attribute 'Sistem'"):
        getattr(windlass, "Sistem")  # noqa: B009, a type checker knows that it is not there
    with pytest.raises(ImportError, match="cannot import name 'Sistem'"):
        exec("from windlass import Sistem")


def test_dir_tells_all_names() -> None:
    assert set(windlass.__all__) <= set(dir(windlass))
