"""Declaring a site, and what is found wrong with its folder."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from windlass.errors import DeclarationError, GraphError
from windlass.graph.build import build
from windlass.graph.check import check
from windlass.graph.load import load
from windlass.model.site import MAX_FILE, Site, is_public
from windlass.model.system import System

DECLARED = """
from windlass import System

{name} = System("{name}")
page = {name}.site("page", folder="{folder}")
"""


def declared(tmp_path: Path, name: str, folder: str = "site") -> System:
    """A system in a folder of its own, with a site in it. It is imported by name, so each test has its own."""
    home = tmp_path / name
    (home / "site").mkdir(parents=True)
    (home / "site" / "index.html").write_text("<h1>Home</h1>")
    (home / "system.py").write_text(DECLARED.format(name=name, folder=folder))
    return load(home)


def faults(system: System) -> list[str]:
    try:
        check(system)
    except GraphError as error:
        return [f"{fault.where}: {fault.summary} -> {fault.fix}" for fault in error.faults]
    return []


def test_the_folder_is_beside_the_file_that_declares_it(tmp_path: Path) -> None:
    system = declared(tmp_path, "site_beside")
    (site,) = system.of(Site)
    assert site.folder == tmp_path / "site_beside" / "site"
    assert faults(system) == []
    assert build(system).resources[0].settings["folder"] == "site", "the document is the same on every machine"


def test_declaring_does_not_look_at_the_folder(tmp_path: Path) -> None:
    system = System("shop")
    system.site("page", folder=tmp_path / "nowhere")
    assert faults(system) == [
        f"shop.page: folder='{tmp_path / 'nowhere'}': its folder does not exist -> "
        "make it, with index.html in it; folder= is relative to the file that declares the site"
    ]


def test_without_a_file_it_is_in_the_present_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    exec(DECLARED.format(name="shop", folder="pages"), names)
    assert names["page"].folder == tmp_path / "pages"


@pytest.mark.parametrize("folder", [".", "..", "site/.."])
def test_a_folder_that_holds_the_code_is_refused(tmp_path: Path, folder: str) -> None:
    (fault,) = faults(declared(tmp_path, f"site_code_{len(folder)}", folder))
    assert "its folder holds system.py, so that everybody could read the code" in fault
    assert 'folder="site"' in fault


def test_documents_that_are_missing_are_named(tmp_path: Path) -> None:
    (tmp_path / "site").mkdir()
    system = System("shop")
    system.site("page", folder=tmp_path / "site", not_found="404.html")
    first, second = faults(system)
    assert "index.html is missing in its folder" in first
    assert "404.html is missing in its folder" in second
    assert "not_found=" in second


def test_what_could_not_be_sent_is_named(tmp_path: Path) -> None:
    folder = tmp_path / "site"
    (folder / "_next").mkdir(parents=True)
    (tmp_path / "secret.txt").write_text("x")
    (folder / "index.html").write_text("x")
    (folder / "_next" / "page.js").write_text("x")
    (folder / "link.txt").symlink_to(tmp_path / "secret.txt")
    (folder / ".DS_Store").write_text("x")
    with (folder / "film.mp4").open("wb") as film:
        film.truncate(MAX_FILE + 1)
    system = System("shop")
    system.site("page", folder=folder)
    found = faults(system)
    assert [fault.split("': ")[1].split(" ")[0] for fault in found] == [
        "_next",
        "_next/page.js",
        "film.mp4",
        "link.txt",
    ]
    assert "leads out of its folder" in found[3]
    assert "16,777,217 bytes" in found[2]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"folder": ""}, "is no folder"),
        ({"folder": 1}, "is no folder"),
        ({"index": ""}, "index="),
        ({"index": "a/b.html"}, "index="),
        ({"index": "../b.html"}, "index="),
        ({"index": ".index"}, "index="),
        ({"not_found": "../404.html"}, "not_found="),
        ({"max_age": 60}, "is not a timedelta"),
        ({"max_age": timedelta(seconds=-1)}, "out of range"),
        ({"max_age": timedelta(days=366)}, "out of range"),
        ({"headers": {"Content-Type": "text/html"}}, "not yours to say"),
        ({"headers": {"Cache-Control": "max-age=1"}}, "not yours to say"),
        ({"headers": {"ETag": "x"}}, "not yours to say"),
        ({"headers": {"Transfer-Encoding": "chunked"}}, "not yours to say"),
        ({"headers": {"X-Content-Type-Options": "x"}}, "not yours to say"),
        ({"headers": {"X-A": "a\r\nSet-Cookie: b=c"}}, "cannot be a header"),
        ({"headers": {"X-A": "ä"}}, "cannot be a header"),
        ({"headers": {"X A": "a"}}, "cannot be a header"),
        ({"headers": {"": "a"}}, "cannot be a header"),
        ({"headers": {"X-A": None}}, "cannot be a header"),
        ({"headers": {"X-A": 1}}, "cannot be a header"),
    ],
)
def test_what_cannot_be_is_refused_with_a_fix(options: dict[str, Any], said: str) -> None:
    with pytest.raises(DeclarationError, match=said) as raised:
        System("shop").site("page", **{"folder": "site"} | options)
    assert raised.value.fix


def test_a_system_has_one_site() -> None:
    system = System("shop")
    system.site("page", folder="site")
    with pytest.raises(DeclarationError, match="has the site 'page' already"):
        system.site("other", folder="other")


@given(st.lists(st.text(alphabet="ab./\\:\0 ~%_-é\n", max_size=6), max_size=5).map("/".join))
def test_a_public_path_stays_below_its_folder(path: str) -> None:
    """Against a plain walk over its parts."""
    root = Path("/folder")
    if is_public(path):
        assert "\0" not in path
        assert "\\" not in path
        parts = (root / path).parts
        assert parts[:2] == root.parts
        assert not any(part.startswith(".") for part in parts)
        assert "/".join(parts[2:]) == path
    else:
        assert any(
            not part or part[0] == "." or not part.isprintable() or {"\\", ":"} & set(part) for part in path.split("/")
        )
