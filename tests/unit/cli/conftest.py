"""A folder with three systems in ./systems, and the commands to run in it."""

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from tests.unit.cli.terminal import Run, running, send
from windlass.cli.main import main
from windlass.graph.load import load
from windlass.model.system import System

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


@pytest.fixture
def used(desk: System, here: Path) -> Path:
    """The state in the present folder, where the desk ran on 2024-06-12: two mails were sent, two tickets are to be
    archived, one message is dead and one waits."""
    home = here / ".windlass"
    with running(desk, home) as driver:
        send(driver, "replies", id="1", subject="Printer")
        driver.settle()
        driver.clock.set(driver.clock.now() + 60)
        send(driver, "replies", id="2", subject="Screen")
        send(driver, "replies", id="3", subject="")
        driver.settle()
        driver.clock.set(driver.clock.now() + 60)
        send(driver, "replies", id="4", subject="Mouse\x1b[31m")
    return home
