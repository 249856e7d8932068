"""docs/cli.md: it has every command with its options, and its examples do what it says."""

import json
import re
import shlex
from pathlib import Path

import click
import pytest

from tests.unit.cli.terminal import Run, commands

PAGE = (Path(__file__).parents[3] / "docs" / "cli.md").read_text(encoding="utf-8")
ALL = commands()
SHARED = {"--home", "--namespace"}  # told of once, at the page's beginning
VARYING = [
    (r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", "ID"),
    (r"\b[0-9a-f]{32}\b", "TRACE"),
    (r"(?m)^password: \S{24}$", "password: MADE"),
    (r"\d{4}-\d\d-\d\dT[\d:.]+Z", "MOMENT"),
    (r"(?m)\d{4}-\d\d-\d\d$", "DAY"),
    (r"(?m)^(\w+(?: +\d+){4}) +\d+$", r"\1 AGE"),
]


def section(heading: str) -> str:
    """The text below a heading, up to the next one of any depth."""
    found = re.search(rf"^#+ {re.escape(heading)}\n(.*?)(?=^#+ |\Z)", PAGE, re.DOTALL | re.MULTILINE)
    assert found is not None, f"docs/cli.md has no section {heading!r}"
    return found[1]


def steps() -> list[tuple[str, str]]:
    """Every command of the page's console blocks with the output that the page shows, in order."""
    blocks = re.findall(r"^```console\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
    found = []
    for block in blocks:
        for step in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            line, _, output = step.partition("\n")
            found.append((line, output))
    return found


def steady(text: str) -> str:
    """`text` with what differs from run to run made equal."""
    for pattern, word in VARYING:
        text = re.sub(pattern, word, text)
    return text


@pytest.mark.parametrize("path", ALL)
def test_every_command_has_a_section_with_its_options(path: str) -> None:
    text = section(path)
    assert f"`{path}" in text or isinstance(ALL[path], click.Group)
    options = {name for option in ALL[path].params if isinstance(option, click.Option) for name in option.opts}
    assert [name for name in sorted(options - SHARED) if not re.search(rf"`{name}\b", text)] == []


def test_every_section_is_of_a_command() -> None:
    headings = re.findall(r"^#+ (windlass .*)$", PAGE, re.MULTILINE)
    assert sorted(headings) == sorted(ALL)


def test_the_examples_print_what_the_page_shows(run: Run, used: Path, here: Path) -> None:
    (here / "password.txt").write_text("correct horse battery\n")
    (here / "bank.key").write_text("a key of at least 32 bytes, as HS256 needs\n")
    oldest = json.loads(run("mail", "list", "desk", "--json").output)[-1]["id"]
    ran = set()
    for line, expected in steps():
        words, _, file = line.partition(" < ")
        arguments = shlex.split(words)[1:]
        if arguments[:2] == ["mail", "show"]:
            arguments[3] = oldest
        stdin = (here / file).read_text() if file else None
        output = steady(run(*arguments, stdin=stdin).output)
        shown, elided, _ = steady(expected).partition("...\n")
        assert (output[: len(shown)] if elided else output) == shown, line
        ran.add(" ".join(["windlass", *arguments[: 1 if arguments[0] in {"up", "check"} else 2]]))
    leaves = {path for path, command in ALL.items() if not isinstance(command, click.Group)} - {"windlass up"}
    assert {path for path in leaves if not any(f"{one} ".startswith(f"{path} ") for one in ran)} == set()
