"""windlass graph, and windlass openapi."""

import json
from pathlib import Path

import pytest

from tests.unit.cli.terminal import Run
from windlass.graph.build import build
from windlass.graph.diagram import mermaid
from windlass.graph.document import Document
from windlass.graph.svg import svg
from windlass.model.system import System


@pytest.mark.parametrize("arguments", [(), ("--json",), ("--format", "json")], ids=["default", "flag", "format"])
def test_the_document(run: Run, desk: System, arguments: tuple[str, ...]) -> None:
    result = run("graph", "desk", *arguments)
    assert result.exit_code == 0
    assert Document.decode(result.stdout_bytes) == build(desk)


def test_a_flowchart(run: Run, desk: System) -> None:
    assert run("graph", "desk", "--format", "mermaid").stdout == mermaid(build(desk))


def test_a_drawing_in_a_file(run: Run, desk: System, here: Path) -> None:
    result = run("graph", "systems/desk", "--format", "svg", "--out", "desk.svg")
    assert (result.exit_code, result.output) == (0, "")
    assert (here / "desk.svg").read_text() == svg(build(desk))


def test_another_format_is_a_usage_error(run: Run) -> None:
    result = run("graph", "desk", "--format", "png")
    assert result.exit_code == 2
    assert "'png' is not one of 'json', 'mermaid', 'svg'" in result.stderr


def test_openapi(run: Run, here: Path) -> None:
    document = json.loads(run("openapi", "desk").stdout)
    assert list(document["paths"]) == ["/tickets"]
    assert document["servers"] == [{"url": "/desk"}]
    result = run("openapi", "desk", "--server", "https://a.example", "--server", "https://b.example", "--out", "o.json")
    assert (result.exit_code, result.output) == (0, "")
    written = (here / "o.json").read_text()
    assert json.loads(written)["servers"] == [{"url": "https://a.example"}, {"url": "https://b.example"}]
    assert written.endswith("}\n")
