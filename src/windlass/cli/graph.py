"""`windlass graph`."""

from __future__ import annotations

from pathlib import Path

import click

from windlass.cli.declared import system_argument
from windlass.cli.document import put_out
from windlass.graph.build import build
from windlass.model.system import System

__all__ = ["graph"]


@click.command(
    epilog="""\b
Examples:
  windlass graph todos
  windlass graph todos --format mermaid
  windlass graph systems/todos --format svg --out todos.svg"""
)
@system_argument
@click.option(
    "--format",
    "form",
    type=click.Choice(["json", "mermaid", "svg"]),
    default="json",
    show_default=True,
    help="The document, a flowchart's source, or a drawing.",
)
@click.option("--json", "form", flag_value="json", help="The same as --format json.")
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE", help="Write to FILE instead.")
def graph(system: System, form: str, out: Path | None) -> None:
    """Print what a system consists of: as JSON, Mermaid or SVG.

    The JSON document has everything: resources with their settings, handlers with their grants, and the edges
    between them. Nothing is started.
    """
    document = build(system)
    match form:
        case "mermaid":
            from windlass.graph.diagram import mermaid

            put_out(mermaid(document), out)
        case "svg":
            from windlass.graph.svg import svg

            put_out(svg(document), out)
        case _:
            put_out(document.encode().decode(), out)
