"""windlass check."""

import json
from pathlib import Path

import pytest

from tests.unit.cli.terminal import Run

SOUND = "desk: sound, 7 resources, 3 handlers\n"
FAULTS = """\
error: broken.jobs: nobody handles the messages of this queue: they would wait until they are dropped
  fix: write @jobs.consumer() above a function that takes a Job
error: broken.nightly: nothing happens when this schedule fires
  fix: write @nightly.task() above the function that it should start
"""


def test_a_sound_system(run: Run) -> None:
    result = run("check", "desk")
    assert (result.exit_code, result.stdout, result.stderr) == (0, SOUND, "")


@pytest.mark.parametrize("arguments", [(), ("systems",)], ids=["everything", "folder"])
def test_all_systems_are_checked_though_one_is_broken(run: Run, arguments: tuple[str, ...]) -> None:
    result = run("check", *arguments)
    assert result.exit_code == 1
    assert result.stdout == f"{FAULTS}{SOUND}twin_pools: sound, 2 resources, 0 handlers\n"


def test_json(run: Run) -> None:
    result = run("check", "broken", "desk", "--json")
    assert result.exit_code == 1
    broken, desk = json.loads(result.stdout)
    assert desk == {"path": "systems/desk", "system": "desk", "resources": 7, "handlers": 3, "faults": []}
    assert list(broken) == list(desk)
    assert broken["faults"][1] == {
        "where": "broken.nightly",
        "summary": "nothing happens when this schedule fires",
        "fix": "write @nightly.task() above the function that it should start",
    }


def test_what_cannot_be_imported_is_a_fault_too(run: Run, here: Path) -> None:
    (here / "unread.py").write_text("import windlass\n\nwindlass.System('Unread')\n")
    result = run("check", "unread", "desk")
    assert result.exit_code == 1
    assert result.stdout == (
        f"error: {here}/unread.py, line 3: 'Unread' cannot name a system\n"
        "  fix: use 1 to 40 lower-case letters, digits and underscores, starting with a letter\n" + SOUND
    )


def test_nothing_to_check_is_an_error(run: Run, here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (here / "empty").mkdir()
    monkeypatch.chdir(here / "empty")
    result = run("check")
    assert result.exit_code == 1
    assert result.stderr.startswith("error: there is no system in ./systems or in the present folder\n  fix: ")
