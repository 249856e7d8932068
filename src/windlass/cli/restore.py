"""`windlass restore`."""

from __future__ import annotations

from pathlib import Path

import click

from windlass.cli.home import home_options
from windlass.cli.listing import harmless
from windlass.engines.embedded.backup import restore as restore_backup
from windlass.engines.embedded.namespace import folder

__all__ = ["restore"]


@click.command(
    epilog="""\b
Examples:
  windlass restore monday.zip
  windlass restore monday.zip --namespace monday     beside the present state, to look at it
  windlass restore monday.zip --force                in the place of the present state"""
)
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--force", is_flag=True, help="Move state that is there aside.")
@home_options
def restore(file: Path, force: bool, home: Path, namespace: str) -> None:
    """Make a namespace of a backup.

    FILE is what `windlass backup` has written. It refuses while a server runs on the namespace, and when there is state
    in it already. With --force that state is moved to NAMESPACE.before-restore-TIME, and never deleted. Restore
    only files that you have kept: one that somebody else has made brings users and keys of their own.
    """
    manifest, aside = restore_backup(home, namespace, file, force=force)
    click.echo(f"The state of {harmless(manifest.time)} is in {folder(home, namespace)}.")
    if aside is not None:
        click.echo(f"What was there is in {aside}.")
