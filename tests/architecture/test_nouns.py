"""A noun has one file name everywhere: port, model, engine, conformance tests, page."""

from __future__ import annotations

from pathlib import Path

import pytest

import windlass
from windlass.model.index import TableIndex
from windlass.model.resource import Resource

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src" / "windlass"


def nouns() -> set[str]:
    for name in windlass.__all__:  # a noun is imported when it is asked for
        getattr(windlass, name)
    return {kind.noun for kind in Resource.__subclasses__() if kind is not TableIndex}


@pytest.mark.parametrize(
    "place",
    [
        "src/windlass/ports/{}.py",
        "src/windlass/model/{}.py",
        "src/windlass/engines/embedded/{}.py",
        "src/windlass/engines/aws/{}.py",
        "tests/conformance/test_{}.py",
        "docs/resources/{}.md",
    ],
)
def test_each_noun_has_its_file(place: str) -> None:
    assert [noun for noun in sorted(nouns()) if not (ROOT / place.format(noun)).is_file()] == []


def test_there_are_no_pages_without_a_noun() -> None:
    assert {page.stem for page in (ROOT / "docs" / "resources").glob("*.md")} == nouns()


def test_a_system_has_a_method_for_each_noun() -> None:
    assert all(callable(getattr(windlass.System, noun)) for noun in nouns())


def test_every_public_name_is_in_a_page() -> None:
    pages = [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]
    text = "\n".join(page.read_text() for page in pages)
    assert [name for name in windlass.__all__ if name not in text] == []


def test_every_public_name_exists_and_tells_what_it_is() -> None:
    silent = [name for name in windlass.__all__ if not getattr(windlass, name).__doc__]
    assert silent == []


def test_ports_stay_narrow() -> None:
    """A port is what an engine must do; conveniences belong to the model. Data that crosses it are not counted."""
    for noun in nouns():
        text = (SOURCE / "ports" / f"{noun}.py").read_text()
        protocols = text[text.index("(Protocol):") - 40 :] if "(Protocol):" in text else ""
        assert len(protocols.splitlines()) <= 80, noun
