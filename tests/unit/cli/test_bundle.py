"""windlass bundle. What is in a bundle is tested with `synth.bundle`."""

import json
import sys
import zipfile
from pathlib import Path

import pytest

from tests.unit.cli.terminal import Run
from windlass.synth.wheels import Target

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="what is installed is not for Lambda's Linux")

# msgspec alone, which is installed as it runs on Lambda with this Python: nothing is fetched.
HERE = ("--arch", Target.here().arch, "--python", Target.here().python) if sys.platform == "linux" else ()


@pytest.fixture
def small(here: Path) -> Path:
    """A system that needs no package."""
    place = here / "systems" / "lone"
    place.symlink_to(Path(__file__).parent / "lone")
    return place


def test_a_bundle_and_its_sizes(run: Run, here: Path, small: Path) -> None:
    result = run("bundle", "lone", "--out", "small.zip", *HERE, "--wheels", "kept")
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    assert lines[0].split() == ["PACKAGE", "VERSION", "ZIPPED", "ON", "DISK"]
    assert {line.split()[0] for line in lines[1:4]} == {"windlass", "msgspec", "lone"}
    size = (here / "small.zip").stat().st_size
    assert lines[4].split()[:3] == ["in", "all", str(size)]
    assert lines[6].startswith("The largest file is ")
    assert lines[-1] == f"small.zip is for Python {Target.here().python} on {Target.here().arch}."
    assert "lone/system.py" in zipfile.ZipFile(here / "small.zip").namelist()
    assert sorted(path.name for path in here.iterdir()) == ["small.zip", "systems"]


def test_sizes_as_json(run: Run, here: Path, small: Path) -> None:
    told = json.loads(run("bundle", "lone", "--out", "small.zip", *HERE, "--wheels", "kept", "--json").stdout)
    assert list(told) == ["file", "bytes", "unzipped", "sha256", "compiled", "parts"]
    assert told["bytes"] == (here / "small.zip").stat().st_size
    assert told["compiled"] is True
    (msgspec,) = (part for part in told["parts"] if part["name"] == "msgspec")
    assert list(msgspec) == ["name", "version", "bytes", "unzipped", "largest"]
    assert "_core" in msgspec["largest"]["file"]


def test_a_system_with_faults_gets_none(run: Run, here: Path) -> None:
    result = run("bundle", "broken", "--out", "broken.zip")
    assert result.exit_code == 1
    assert "nobody handles the messages of this queue" in result.stderr
    assert not (here / "broken.zip").exists()


def test_a_folder_that_is_not_there_is_told(run: Run, small: Path) -> None:
    result = run("bundle", "lone", "--out", "nowhere/small.zip", *HERE)
    assert result.exit_code == 1
    assert result.stderr == "error: nowhere is not a folder\n  fix: make it, or name another file\n"


def test_another_processor_is_a_usage_error(run: Run) -> None:
    assert run("bundle", "desk", "--out", "desk.zip", "--arch", "mips").exit_code == 2
