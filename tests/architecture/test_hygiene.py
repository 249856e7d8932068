"""Rules of the tree that no linter knows: sizes, names, honest tests, a complete lock, sound links.

Each rule is a function from a text to what is wrong with it. It is held against every file of the tree, and
against a text that breaks it, so that a rule which finds nothing any more is noticed.
"""

import ast
import re
import subprocess
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import unquote

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).resolve().parents[2]
LONGEST_MODULE = 500  # lines
NAMELESS = {"util", "utils", "helper", "helpers", "common", "manager", "managers"}

Rule = Callable[[str], list[str]]


# What belongs to the tree


def tree() -> list[Path]:
    """Every file that git tracks or would track, relative to the root; without git, every file on disk."""
    command = [
        "git",
        "-c",
        "safe.directory=*",
        "ls-files",
        "-z",
        "--cached",
        "--others",
        "--exclude-standard",
    ]
    try:
        listing = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
        found = {Path(name) for name in listing.split("\0") if name}
    except (OSError, subprocess.CalledProcessError):
        on_disk = (path.relative_to(ROOT) for path in ROOT.rglob("*"))
        found = {path for path in on_disk if not any(part.startswith(".") for part in path.parts)}
    return sorted(path for path in found if (ROOT / path).is_file())


def modules(*tops: str) -> list[Path]:
    """The Python modules under the top directories `tops`."""
    return [path for path in tree() if path.suffix == ".py" and path.parts[0] in tops]


def test_modules() -> list[Path]:
    """The Python modules that are tests, be they of Windlass or of one system."""
    return [path for path in modules("tests", "systems") if "tests" in path.parts]


test_modules.__test__ = False  # type: ignore[attr-defined]


def violations(rule: Rule, paths: list[Path]) -> list[str]:
    """What `rule` finds in `paths`, each finding with its file; `paths` must not be empty."""
    assert paths, "the rule is held against no file at all"
    return [f"{path}: {found}" for path in paths for found in rule((ROOT / path).read_text(encoding="utf-8"))]


# Python modules


def too_long(source: str) -> list[str]:
    lines = len(source.splitlines())
    return [f"{lines} lines, {LONGEST_MODULE} at most"] if lines > LONGEST_MODULE else []


def nameless(path: str) -> list[str]:
    """The parts of a module's path that name no noun."""
    names = Path(path).with_suffix("").parts
    return [f"name the noun, not {name!r}" for name in names if NAMELESS & set(name.lower().split("_"))]


def patched(source: str) -> list[str]:
    """Where a test replaces the code that it tests."""
    found = []
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Import(names=names) if any(name.name in {"mock", "unittest.mock"} for name in names):
                found.append((node.lineno, "imports mock"))
            case ast.ImportFrom(module="mock" | "unittest.mock"):
                found.append((node.lineno, "imports mock"))
            case ast.ImportFrom(module="unittest", names=names) if any(name.name == "mock" for name in names):
                found.append((node.lineno, "imports mock"))
            case ast.Attribute(attr="setattr"):
                found.append((node.lineno, "monkeypatch.setattr"))
            case ast.arg(arg="mocker"):
                found.append((node.lineno, "takes mocker"))
    return [f"line {line}: {what}: give the code another input instead" for line, what in sorted(found)]


def sleeping(source: str) -> list[str]:
    """Where a test waits for the wall clock."""
    found = []
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Attribute(value=ast.Name(id="time"), attr="sleep", ctx=ast.Load()):
                found.append(node.lineno)
            case ast.ImportFrom(module="time", names=names) if any(name.name == "sleep" for name in names):
                found.append(node.lineno)
    return [f"line {line}: time.sleep: use advance(), settle() or wait for an event" for line in sorted(found)]


def swallowed(source: str) -> list[str]:
    """Where an exception is caught and nothing at all is done about it."""
    found = []
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.ExceptHandler(body=[ast.Pass() | ast.Expr(value=ast.Constant())]):
                found.append(node.lineno)
    return [f"line {line}: the exception is swallowed: handle it, or suppress it by name" for line in found]


def test_no_module_is_too_long() -> None:
    assert violations(too_long, modules("src", "systems", "tests")) == []


def test_every_module_is_named_for_a_noun() -> None:
    paths = modules("src", "systems", "tests", "bench")
    assert paths
    assert [f"{path}: {found}" for path in paths for found in nameless(path.as_posix())] == []


def test_tests_patch_nothing() -> None:
    assert violations(patched, test_modules()) == []


def test_tests_do_not_sleep() -> None:
    assert violations(sleeping, test_modules()) == []


def test_no_exception_is_swallowed() -> None:
    assert violations(swallowed, modules("src")) == []


# The lock


def requirement_blocks(text: str) -> Iterator[tuple[str, list[str]]]:
    """Each requirement of a lock with its hashes, and each option line with none."""
    for line in text.replace("\\\n", " ").splitlines():
        words = line.split(" #", 1)[0].split()
        if words and not words[0].startswith("#"):
            hashes = [word for word in words if word.startswith("--hash=")]
            yield " ".join(word for word in words if word not in hashes), hashes


def unlocked(text: str) -> list[str]:
    """What in a lock leaves open which file is installed, or says from where."""
    found = [f"names a place: {line}" for line in text.splitlines() if "://" in line]
    for requirement, hashes in requirement_blocks(text):
        if requirement.startswith(("-", ".", "/")):
            found.append(f"is an option or a path: {requirement}")
        elif not re.match(r"[A-Za-z0-9._-]+==[^\s*]+( ;.*)?$", requirement):
            found.append(f"is not pinned: {requirement}")
        elif not hashes:
            found.append(f"has no hash: {requirement}")
    return found


def declared(project: Path) -> list[Requirement]:
    """What the pyproject.toml at `project` requires, with its extras and what it takes to build it."""
    content = tomllib.loads(project.read_text(encoding="utf-8"))
    extras: dict[str, list[str]] = content["project"].get("optional-dependencies", {})
    lines = [*content["build-system"]["requires"], *content["project"].get("dependencies", [])]
    return [Requirement(line) for line in [*lines, *(line for extra in extras.values() for line in extra)]]


def test_the_lock_pins_everything_with_hashes() -> None:
    assert violations(unlocked, [Path("requirements.txt")]) == []


def test_the_lock_satisfies_every_project() -> None:
    locked: dict[str, Version] = {}
    for line, _ in requirement_blocks((ROOT / "requirements.txt").read_text(encoding="utf-8")):
        name, exact, pinned = line.split(" ;")[0].partition("==")
        if exact:
            locked[canonicalize_name(name)] = Version(pinned)
    projects = [path for path in tree() if path.name == "pyproject.toml"]
    assert Path("pyproject.toml") in projects
    stale = []
    for project in projects:
        for requirement in declared(ROOT / project):
            if requirement.marker is not None and not requirement.marker.evaluate():
                continue
            version = locked.get(canonicalize_name(requirement.name))
            if version is None or version not in requirement.specifier:
                stale.append(f"{project}: {requirement} (locked: {version}): run make lock")
    assert stale == []


# Markdown

CODE = re.compile(r"^ {0,3}(```+|~~~+).*?^ {0,3}\1[`~]*[ \t]*$|(?<!`)(`+)(?!`).+?(?<!`)\2(?!`)", re.DOTALL | re.M)
LINK = re.compile(r"\]\(\s*<?([^)>\s]*)|^ {0,3}\[[^\]^][^\]]*\]:\s*<?([^>\s]+)", re.MULTILINE)


def dangling(document: Path) -> list[str]:
    """The relative links of the Markdown file `document` that lead to no file or directory."""
    text = CODE.sub("", document.read_text(encoding="utf-8"))
    targets = [inline or reference for inline, reference in LINK.findall(text)]
    found = []
    for target in targets:
        path = unquote(target.split("#", 1)[0])
        if not path or re.match(r"[A-Za-z][A-Za-z0-9+.-]*:|//", path):
            continue  # a place in the same page, or another site
        base = ROOT if path.startswith("/") else document.parent
        if not (base / path.lstrip("/")).exists():
            found.append(f"leads nowhere: {target}")
    return found


def test_every_relative_link_leads_somewhere() -> None:
    pages = [path for path in tree() if path.suffix == ".md" and (len(path.parts) == 1 or path.parts[0] == "docs")]
    assert pages, "no Markdown page at all"
    assert [f"{page}: {found}" for page in pages for found in dangling(ROOT / page)] == []


# The rules themselves


@pytest.mark.parametrize(
    ("rule", "bad", "good"),
    [
        pytest.param(too_long, "x = 1\n" * (LONGEST_MODULE + 1), "x = 1\n" * LONGEST_MODULE, id="too_long"),
        pytest.param(nameless, "src/windlass/queue_utils.py", "src/windlass/model/queue.py", id="module"),
        pytest.param(nameless, "src/windlass/common/queue.py", "src/windlass/commons.py", id="package"),
        pytest.param(patched, "from unittest.mock import patch", "from unittest import TestCase", id="from_mock"),
        pytest.param(patched, "from unittest import mock", "import unittest", id="mock"),
        pytest.param(patched, "import unittest.mock as m", "import mockery", id="import_mock"),
        pytest.param(patched, "monkeypatch.setattr(a, 'b', 1)", "monkeypatch.setenv('A', 'b')", id="setattr"),
        pytest.param(patched, "def test(mocker): ...", "def test(mockery): ...", id="mocker"),
        pytest.param(sleeping, "time.sleep(1)", "clock.sleep(1)", id="time.sleep"),
        pytest.param(sleeping, "from time import sleep", "from time import monotonic", id="sleep"),
        pytest.param(swallowed, "try: x\nexcept E: pass", "try: x\nexcept E: y = 1", id="pass"),
        pytest.param(swallowed, "try: x\nexcept E: ...", "try: x\nexcept E: raise", id="ellipsis"),
        pytest.param(unlocked, "a==1", "a==1 \\\n    --hash=sha256:0\n    # via b", id="hash"),
        pytest.param(unlocked, "a>=1 --hash=sha256:0", "a==1 --hash=sha256:0", id="pin"),
        pytest.param(unlocked, "--index-url x", "# a comment", id="option"),
        pytest.param(unlocked, "# from scheme://host", "a==1 ; sys_platform == 'x' --hash=sha256:0", id="place"),
    ],
)
def test_the_rule_finds_what_breaks_it(rule: Rule, bad: str, good: str) -> None:
    assert rule(bad)
    assert rule(good) == []


def test_the_link_rule_finds_what_breaks_it(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    (tmp_path / "a file.md").touch()
    page.write_text(
        "[a](a%20file.md#part) [b](#part) [c](scheme://host/x) `[d](code.md)` ![e](gone.png)\n"
        "```\n[f](fenced.md)\n```\n[g]: lost.md\n[h](<nowhere.md> 'title')\n",
        encoding="utf-8",
    )
    assert dangling(page) == [f"leads nowhere: {target}" for target in ("gone.png", "lost.md", "nowhere.md")]


def test_the_tree_is_found() -> None:
    assert Path(__file__).resolve().relative_to(ROOT) in test_modules()
    assert Path("src/windlass/__init__.py") in modules("src")
