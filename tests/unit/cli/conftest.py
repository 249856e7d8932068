"""A folder with three systems in ./systems, and the commands to run in it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from windlass.cli.main import main
from windlass.graph.load import load
from windlass.model.queue import Queue
from windlass.model.system import System
from windlass.testing import Driver

Run = Callable[..., Result]
SYSTEMS = Path(__file__).parent


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The present folder, without any state."""
    (tmp_path / "systems").mkdir()
    for name in ("broken", "desk", "twin_pools"):
        (tmp_path / "systems" / name).symlink_to(SYSTEMS / name)
    monkeypatch.chdir(tmp_path)
    for name in ("WINDLASS_HOME", "WINDLASS_NAMESPACE", "WINDLASS_TRACEBACK", "NO_COLOR"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


@pytest.fixture
def run(here: Path) -> Run:
    """Runs `windlass` with some arguments, and text on its standard input."""

    def invoke(*arguments: str, stdin: str | bytes | None = None, color: bool = False) -> Result:
        return CliRunner().invoke(main, arguments, input=stdin, prog_name="windlass", color=color)

    return invoke


@pytest.fixture
def desk() -> System:
    return load(SYSTEMS / "desk")


@contextmanager
def running(desk: System, home: Path) -> Iterator[Driver]:
    """A driver of the desk on the state in `home`, whose resources can be used."""
    with desk.run_embedded(home) as driver, driver.bound():
        yield driver


def sent(driver: Driver, name: str, **fields: Any) -> None:
    """Sends a message to one of the driver's queues."""
    queue = driver.system.resources[name]
    assert isinstance(queue, Queue)
    queue.send(queue.message(**fields))


@pytest.fixture
def used(desk: System, here: Path) -> Path:
    """The present folder, where the desk ran on 2024-06-12: two mails were sent, two tickets wait to be archived, one
    message is dead and one waits."""
    with running(desk, here / ".windlass") as driver:
        sent(driver, "replies", id="1", subject="Printer")
        driver.settle()
        driver.clock.set(driver.clock.now() + 60)
        sent(driver, "replies", id="2", subject="Screen")
        sent(driver, "replies", id="3", subject="")
        driver.settle()
        driver.clock.set(driver.clock.now() + 60)
        sent(driver, "replies", id="4", subject="Mouse\x1b[31m")
    return here
