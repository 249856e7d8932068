"""`windlass check`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from windlass.cli.declared import find_system, found_systems
from windlass.cli.document import json_option, print_json
from windlass.errors import DeclarationError, GraphError, LoadError
from windlass.graph.check import check as check_system
from windlass.graph.load import discover, load

__all__ = ["check"]


@click.command(
    epilog="""\b
Examples:
  windlass check
  windlass check todos systems/shop
  windlass check systems --json"""
)
@click.argument("systems", nargs=-1, metavar="[SYSTEM]...")
@json_option
@click.pass_context
def check(ctx: click.Context, systems: tuple[str, ...], as_json: bool) -> None:
    """Say what is wrong with systems, and how to mend it.

    A SYSTEM may also be a folder of systems. Without any, all systems in ./systems and in the present folder are
    checked. The exit code is 1 when there is a fault.
    """
    paths = [path for said in systems for path in _paths(said)] if systems else found_systems()
    if not paths:
        raise LoadError(
            "there is no system in ./systems or in the present folder\n"
            "  fix: give the path of a system's folder, or of a file such as app.py"
        )
    results = [_checked(path) for path in paths]
    if as_json:
        print_json(results)
    else:
        for result in results:
            _print(result)
    if any(result["faults"] for result in results):
        ctx.exit(1)


def _paths(said: str) -> list[Path]:
    path = Path(said)
    return discover(path) if path.is_dir() and any(path.glob("*/system.py")) else [find_system(said)]


def _checked(path: Path) -> dict[str, Any]:
    result: dict[str, Any] = {"path": str(path), "system": None, "resources": 0, "handlers": 0, "faults": []}
    try:
        system = load(path)
        result |= {"system": system.name, "resources": len(system.resources), "handlers": len(system.handlers)}
        check_system(system)
    except GraphError as error:
        result["faults"] = [_fault(fault) for fault in error.faults]
    except LoadError as error:
        result["faults"] = [_fault(error)]
    return result


def _fault(error: DeclarationError | LoadError) -> dict[str, str]:
    if isinstance(error, DeclarationError):
        return {"where": error.where, "summary": error.summary, "fix": error.fix}
    summary, _, fix = str(error).partition("\n  fix: ")
    return {"where": "", "summary": summary, "fix": fix}


def _print(result: dict[str, Any]) -> None:
    name = result["system"] or result["path"]
    if not result["faults"]:
        click.echo(f"{name}: sound, {result['resources']} resources, {result['handlers']} handlers")
    for fault in result["faults"]:
        click.secho("error: ", fg="red", bold=True, nl=False)
        click.echo(f"{fault['where']}: {fault['summary']}" if fault["where"] else fault["summary"])
        if fault["fix"]:
            click.echo(f"  fix: {fault['fix']}")
