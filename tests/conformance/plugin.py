"""Runs a test that asks for `engine`, or for `start`, on every engine; a `conftest.py` imports what is here."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Protocol

import pytest

from tests.aws.servers import missing
from tests.conformance.divergences import DIVERGENCES
from tests.conformance.engines import ENGINES, Engine
from tests.conformance.report import ENGINE
from windlass import System
from windlass.testing import Driver

__all__ = ["Start", "pytest_generate_tests", "pytest_itemcollected", "start"]


class Start(Protocol):
    """Starts a system on the engine under test; it is closed when the test ends. Starting again with the same
    `state` finds what the run before left, which must be closed by then."""

    def __call__(
        self, system: System, *, seed: int | None = None, clock_start: datetime | None = None, state: str = "state"
    ) -> Driver: ...


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """One case for each engine; those of AWS are skipped where nothing can stand in for it."""
    if "engine" not in metafunc.fixturenames:
        return
    absent = missing()
    params = []
    for engine in ENGINES.values():
        marks = [pytest.mark.skip(reason=absent)] if absent and engine.aws else []
        params.append(pytest.param(engine, id=engine.name, marks=marks))
    metafunc.parametrize("engine", params)


def pytest_itemcollected(item: pytest.Item) -> None:
    """Marks what an engine is known to do otherwise."""
    if not isinstance(item, pytest.Function) or "engine" not in item.fixturenames:
        return
    engine = item.callspec.params["engine"]
    assert isinstance(engine, Engine)
    item.user_properties.append((ENGINE, engine.name))
    for row in DIVERGENCES:
        if row.covers(engine.name, item.originalname or item.name, item.name):
            item.add_marker(pytest.mark.xfail(reason=row.reason, raises=row.raises, strict=True))


@pytest.fixture
def start(engine: Engine, tmp_path: Path) -> Iterator[Start]:
    drivers: list[Driver] = []

    def begin(
        system: System, *, seed: int | None = None, clock_start: datetime | None = None, state: str = "state"
    ) -> Driver:
        driver = engine.start(system, tmp_path / state, seed, clock_start)
        drivers.append(driver)
        return driver

    yield begin
    for driver in drivers:
        driver.close()
