"""What the README and the example files say is so."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path

import pytest

from file_sla_collector import config
from file_sla_collector.cli import main
from file_sla_collector.config import load
from file_sla_collector.outcome import ExitCode, Outcome
from hand_clock import START

FOLDER = Path(__file__).parents[1]
README = (FOLDER / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)


def test_the_example_shows_every_key_and_the_defaults() -> None:
    table = tomllib.loads((FOLDER / "folders.toml").read_text(encoding="utf-8"))
    assert set(table) == config.TOP_KEYS
    shown = {key for folder in table["folders"] for key in folder}
    assert shown | {"ignore"} == config.FOLDER_KEYS
    assert tuple(table["archive"]) == config.DEFAULT_ARCHIVE
    assert tuple(table["ignore"]) == config.DEFAULT_IGNORE
    example = load(FOLDER / "folders.toml")
    assert (example.spool_max_posts, example.spool_max_bytes) == (
        config.DEFAULT_SPOOL_POSTS,
        config.DEFAULT_SPOOL_MIB * 1024 * 1024,
    )


def test_the_json_example_can_be_read() -> None:
    assert [folder.sla_minutes for folder in load(FOLDER / "folders.json").folders] == [20, 120, 1440]


def test_the_configuration_of_the_readme_can_be_read(tmp_path: Path) -> None:
    (block,) = blocks("toml")
    (tmp_path / "folders.toml").write_text(block, encoding="utf-8")
    assert len(load(tmp_path / "folders.toml").folders) == 2


def test_the_readme_explains_every_key() -> None:
    for key in config.TOP_KEYS - {"folders"}:
        assert f"`{key}`" in README
    for key in config.FOLDER_KEYS:
        assert f"`folders[].{key}`" in README


def test_the_readme_explains_every_exit_code() -> None:
    rows = dict(re.findall(r"^\| ([0-9]) \| `(\w+)` \|", README, re.MULTILINE))
    assert {int(code): name for code, name in rows.items()} == {int(c): c.name.lower() for c in ExitCode}


def test_the_readme_shows_the_json_of_a_run() -> None:
    (block,) = blocks("json")
    assert list(json.loads(block)) == list(Outcome(START, START).as_json())


def test_every_option_in_the_readme_is_one(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--help"])
    known = set(re.findall(r"--[a-z][a-z-]+", capsys.readouterr().out))
    commands = re.findall(r"file-sla-collector(?:\.exe)? (--[^\n]*)", README)
    used = {option for line in commands for option in re.findall(r"(?<![\w-])--[a-z][a-z-]+", line)}
    assert len(used) > 5
    assert used <= known
