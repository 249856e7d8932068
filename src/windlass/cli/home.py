"""Where the state is: the options that every command has that reads or changes it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

__all__ = ["home_options"]

F = TypeVar("F", bound=Callable[..., Any])

_home = click.option(
    "--home",
    type=click.Path(path_type=Path, file_okay=False),
    envvar="WINDLASS_HOME",
    show_envvar=True,
    default=Path(".windlass"),
    show_default=True,
    help="The folder that holds all state.",
)

_namespace = click.option(
    "--namespace",
    envvar="WINDLASS_NAMESPACE",
    show_envvar=True,
    default="default",
    show_default=True,
    metavar="NAME",
    help="Which world of state in it.",
)


def home_options(command: F) -> F:
    """Gives a command the options --home and --namespace, as `home: Path` and `namespace: str`."""
    return _home(_namespace(command))
