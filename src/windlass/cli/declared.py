"""SYSTEM on the command line: which declaration is meant."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from windlass.errors import LoadError, NotFound
from windlass.graph.load import discover, load
from windlass.model.resource import Resource
from windlass.model.system import System

__all__ = ["chosen", "find_system", "found_systems", "system_argument"]

F = TypeVar("F", bound=Callable[..., Any])
R = TypeVar("R", bound=Resource)

_PLACES = (Path("systems"), Path())


def _loaded(ctx: click.Context, _: click.Parameter, said: str) -> System | None:
    return None if ctx.resilient_parsing else load(find_system(said))


def system_argument(command: F) -> F:
    """Gives a command the argument SYSTEM, as `system: System`."""
    return click.argument("system", callback=_loaded, metavar="SYSTEM")(command)


def find_system(said: str) -> Path:
    """What `windlass.graph.load.load` takes, for a path or a name.

    A path is a system's folder, its system.py, or a file such as app.py. A name is looked for as a path first, then
    as a folder with a system.py, or a file, in ./systems and in the present folder. Raises LoadError, which lists
    what is there.
    """
    path = Path(said)
    if path.is_file() or (path / "system.py").is_file():
        return path
    if path.name != said:
        return path  # load() says what is wrong with it
    for place in _PLACES:
        for candidate in (place / said, place / f"{said}.py"):
            if candidate.is_file() or (candidate / "system.py").is_file():
                return candidate
    found = found_systems()
    there = ", ".join(map(str, found)) or "none at all"
    raise LoadError(
        f"there is no system {said!r} in ./systems or in the present folder (found: {there})\n"
        f"  fix: give the path of a system's folder, or of a file such as app.py"
    )


def found_systems() -> list[Path]:
    """The folders with a system.py in ./systems and in the present folder, or that folder itself."""
    found: list[Path] = []
    for place in _PLACES:
        try:
            found += discover(place)
        except LoadError:
            continue
    return found


def chosen(system: System, kind: type[R], name: str | None) -> R:
    """The resource of that noun and name; without a name, the only one of its noun. Raises NotFound, and
    UsageError where a name is needed."""
    candidates = system.of(kind)
    noun = kind.noun.replace("_", " ")
    if not candidates:
        raise NotFound(f"{system.name} declares no {noun}")
    names = ", ".join(resource.name for resource in candidates)
    if name is None:
        if len(candidates) > 1:
            raise click.UsageError(f"{system.name} has several {noun}s: say which, one of {names}")
        return candidates[0]
    for resource in candidates:
        if resource.name == name:
            return resource
    raise NotFound(f"{system.name} has no {noun} {name!r}\n  fix: name one of its {noun}s: {names}")
