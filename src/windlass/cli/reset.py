"""`windlass reset`."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from windlass.cli.confirmation import confirm, yes_option
from windlass.cli.home import home_options
from windlass.engines.embedded.lock import Lock
from windlass.engines.embedded.namespace import folder
from windlass.engines.embedded.namespace import reset as reset_namespace
from windlass.errors import HomeError

__all__ = ["reset"]

_LOCK = "lock"
_OURS = ("master.key", "state.sqlite")


@click.command(
    epilog="""\b
Examples:
  windlass reset
  windlass reset --namespace pr-123 --yes"""
)
@yes_option
@home_options
def reset(yes: bool, home: Path, namespace: str) -> None:
    """Remove all state of a namespace: users, items, messages, mails, secrets, keys.

    It refuses while a server runs on it.
    """
    path = folder(home, namespace)
    if not path.is_dir():
        click.echo(f"There is nothing in {path}.")
        return
    _check_ours(path)
    with Lock.acquire(path / _LOCK, "windlass reset") as lock:
        confirm(f"Remove all state in {path}?", yes=yes)
        if sys.platform == "win32":
            lock.release()  # an open file cannot be removed there
        reset_namespace(home, namespace)
    click.echo(f"All state in {path} was removed.")


def _check_ours(path: Path) -> None:
    """Refuses to remove what Windlass has not made: a --home that was mistyped could be anything."""
    names = {child.name for child in path.iterdir()} - {_LOCK}
    if names and not names.intersection(_OURS):
        raise HomeError(
            f"{path} holds files, and none of them is state of Windlass\n"
            f"  fix: give the folder of the state with --home, and the namespace in it with --namespace"
        )
