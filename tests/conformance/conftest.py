"""Runs each conformance test on every engine."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Protocol

import pytest

from tests.conformance.divergences import DIVERGENCES
from tests.conformance.engines import ENGINES, Engine
from windlass import System
from windlass.testing import Driver


class Start(Protocol):
    """Starts a system on the engine under test; it is closed when the test ends. Starting again with the same
    `state` finds what the run before left, which must be closed by then."""

    def __call__(
        self, system: System, *, seed: int | None = None, clock_start: datetime | None = None, state: str = "state"
    ) -> Driver: ...


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "engine" not in metafunc.fixturenames:
        return
    name = metafunc.function.__name__
    params = []
    for engine in ENGINES.values():
        rows = [row for row in DIVERGENCES if row.engine == engine.name and row.test == name]
        marks = [pytest.mark.xfail(reason=row.reason, raises=row.raises, strict=True) for row in rows]
        params.append(pytest.param(engine, id=engine.name, marks=marks))
    metafunc.parametrize("engine", params)


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
