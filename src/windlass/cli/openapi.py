"""`windlass openapi`."""

from __future__ import annotations

from pathlib import Path

import click
import msgspec

from windlass.cli.declared import system_argument
from windlass.cli.document import put_out
from windlass.graph.openapi import openapi as openapi_document
from windlass.model.system import System

__all__ = ["openapi"]


@click.command(
    epilog="""\b
Examples:
  windlass openapi todos
  windlass openapi todos --server https://api.example.com --out openapi.json"""
)
@system_argument
@click.option("--server", "servers", multiple=True, metavar="URL", help="Where it answers; may be repeated.")
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE", help="Write to FILE instead.")
def openapi(system: System, servers: tuple[str, ...], out: Path | None) -> None:
    """Print the OpenAPI document of a system's apis.

    It is JSON, of OpenAPI 3.1. Without --server the paths are below /SYSTEM, where `windlass up` serves them.
    """
    document = openapi_document(system, servers=servers or None)
    put_out(msgspec.json.format(msgspec.json.encode(document), indent=2).decode() + "\n", out)
