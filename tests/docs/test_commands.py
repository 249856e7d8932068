"""The commands of the pages, run as they stand."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from click import Group

from tests.up import Up
from windlass.cli.main import main
from windlass.graph.build import build
from windlass.graph.load import load
from windlass.graph.svg import svg

ROOT = Path(__file__).parents[2]
SYSTEMS = sorted(path.parent for path in (ROOT / "systems").glob("*/system.py"))
PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").rglob("*.md"), *(ROOT / "systems").rglob("*.md")])


def blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL)


def test_what_the_readme_of_file_sla_says_to_try(tmp_path: Path) -> None:
    (script,) = blocks(ROOT / "systems" / "file_sla" / "README.md", "sh")
    with Up(ROOT / "systems" / "file_sla", home=tmp_path / "home", options=("--no-reload",)) as up:
        environment = {**os.environ, "URL": f"{up.url}/file_sla", "PASSWORD": up.credentials["file_sla"][1]}
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", script], env=environment, capture_output=True, text=True, check=False
        )
    assert done.returncode == 0, done.stderr
    first, second, by_day, by_folder, trend = done.stdout.splitlines()
    assert first == second
    assert by_day == by_folder
    assert '"total":{"breaches":1,"files":1}' in trend


def test_what_the_readme_of_presenter_says_to_try(tmp_path: Path) -> None:
    script = "\n".join(blocks(ROOT / "systems" / "presenter" / "README.md", "sh"))
    with Up(ROOT / "systems" / "presenter", home=tmp_path / "home", options=("--no-reload",)) as up:
        environment = {
            **os.environ,
            "URL": f"{up.url}/presenter",
            "WINDLASS": f"{sys.executable} -m windlass",
            "WINDLASS_HOME": str(tmp_path / "home"),
        }
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", script],
            env=environment,
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[:3] == ["201 0"] * 3
    assert [item["InformationOne"] for item in json.loads(lines[3])] == ["aaa23", "aaa22", "aaa21"]
    assert [item["InformationOne"] for item in json.loads(lines[4])] == ["aaa21"]
    moved = lines.index("0 messages moved back to presenter.data.")
    watched = "\n".join(lines[moved:])
    assert "POST /data" in watched
    assert "seconds_until_stored" in watched
    assert "data_dead_letters" in watched


@pytest.mark.parametrize("system", SYSTEMS, ids=lambda path: path.name)
def test_each_system_has_a_readme_with_the_diagram_of_its_graph(system: Path) -> None:
    assert (system / "diagram.svg").read_text() == svg(build(load(system)))
    assert "diagram.svg" in (system / "README.md").read_text()


def test_the_two_commands_of_the_readme_are_targets_of_the_makefile() -> None:
    (script,) = (block for block in blocks(ROOT / "README.md", "sh"))
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = re.findall(r"^make (\w+)", script, re.MULTILINE)
    assert named == ["up", "test"]
    assert set(named) <= targets


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_pages_name_only_commands_that_exist(page: Path) -> None:
    assert isinstance(main, Group)
    known = set(main.list_commands(None))  # type: ignore[arg-type]
    named = set(re.findall(r"(?<!from)(?:`|^|\s)windlass ([a-z]+)\b(?! is| runs| was)", page.read_text(), re.MULTILINE))
    assert named <= known, named - known
