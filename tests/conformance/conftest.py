"""Runs each conformance test on every engine."""

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


class Start(Protocol):
    """Starts a system on the engine under test; it is closed when the test ends. Starting again with the same
    `state` finds what the run before left, which must be closed by then."""

    def __call__(
        self, system: System, *, seed: int | None = None, clock_start: datetime | None = None, state: str = "state"
    ) -> Driver: ...


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "engine" not in metafunc.fixturenames:
        return
    absent = missing()
    params = []
    for engine in ENGINES.values():
        marks = [pytest.mark.skip(reason=absent)] if absent and engine.aws else []
        params.append(pytest.param(engine, id=engine.name, marks=marks))
    metafunc.parametrize("engine", params)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if not isinstance(item, pytest.Function) or "engine" not in item.fixturenames:
            continue
        engine = item.callspec.params["engine"].name
        item.user_properties.append((ENGINE, engine))
        for row in DIVERGENCES:
            if row.covers(engine, item.originalname or item.name, item.name):
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
