"""`windlass bundle`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import get_args

import click

from windlass.cli.declared import find_system
from windlass.cli.document import json_option, print_json
from windlass.cli.listing import print_listing
from windlass.errors import BundleError
from windlass.graph.build import build
from windlass.graph.load import load
from windlass.synth.bundle import Bundle
from windlass.synth.bundle import bundle as make_bundle
from windlass.synth.wheels import RUNTIMES, Arch, Target, Wheels

__all__ = ["bundle"]


@click.command(
    epilog="""\b
Examples:
  windlass bundle todos --out todos.zip
  windlass bundle systems/todos --out todos.zip --arch x86_64 --python 3.13"""
)
@click.argument("system", metavar="SYSTEM")
@click.option(
    "--out", type=click.Path(path_type=Path, dir_okay=False), required=True, metavar="FILE", help="The zip to write."
)
@click.option(
    "--arch",
    type=click.Choice(get_args(Arch)),
    default="arm64",
    show_default=True,
    help="The processor of the functions.",
)
@click.option(
    "--python",
    default="3.12",
    show_default=True,
    metavar="VERSION",
    help=f"Their Python: one of {', '.join(RUNTIMES)}.",
)
@click.option(
    "--wheels",
    type=click.Path(path_type=Path, file_okay=False),
    envvar="WINDLASS_WHEELS",
    show_envvar=True,
    metavar="DIRECTORY",
    help="Where fetched packages are kept (default: windlass/wheels in the user's cache).",
)
@json_option
def bundle(system: str, out: Path, arch: Arch, python: str, wheels: Path | None, as_json: bool) -> None:
    """Write the zip that a system's functions run from on AWS.

    In it are the system's code, what that needs of Windlass, and the packages that these import, as Lambda needs them.
    The same code and packages give the same bytes.
    """
    path, target = find_system(system), Target(arch, python)
    build(load(path))  # what would not pass `windlass check` is not for AWS
    if not out.parent.is_dir():
        raise BundleError(f"{out.parent} is not a folder\n  fix: make it, or name another file")
    made = make_bundle(path, Wheels(target, wheels or _user_cache()), target)
    unfinished = out.with_name(f".{out.name}.unfinished")
    unfinished.write_bytes(made.content)
    unfinished.replace(out)
    if as_json:
        print_json(_as_data(made, out))
    else:
        _show(made, out, target)


def _user_cache() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "windlass" / "wheels"


def _as_data(made: Bundle, out: Path) -> dict[str, object]:
    parts = [
        {
            "name": part.name,
            "version": part.version or None,
            "bytes": part.zipped,
            "unzipped": part.unzipped,
            "largest": {"file": part.largest[0], "bytes": part.largest[1]},
        }
        for part in made.parts
    ]
    return {
        "file": str(out),
        "bytes": len(made.content),
        "unzipped": made.unzipped,
        "sha256": made.sha256,
        "compiled": made.compiled,
        "parts": parts,
    }


def _show(made: Bundle, out: Path, target: Target) -> None:
    rows: list[tuple[str, str, int, int]] = [
        (each.name, each.version, each.zipped, each.unzipped) for each in made.parts
    ]
    rows.append(("in all", "", len(made.content), made.unzipped))
    print_listing(["PACKAGE", "VERSION", "ZIPPED", "ON DISK"], rows, empty="")
    name, size = max((part.largest for part in made.parts), key=lambda largest: largest[1])
    click.echo(f"\nThe largest file is {name}: {size} bytes zipped.")
    if not made.compiled:
        click.echo(
            f"There is no Python {target.python} here to compile it with, so each cold start will, and take longer:\n"
            f"put python{target.python} on the PATH, or choose the Python that you have."
        )
    click.echo(f"{out} is for Python {target.python} on {target.arch}.")
