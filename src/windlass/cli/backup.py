"""`windlass backup`."""

from __future__ import annotations

from pathlib import Path

import click

from windlass.cli.home import home_options
from windlass.engines.embedded.backup import backup as make_backup
from windlass.engines.embedded.namespace import folder

__all__ = ["backup"]


@click.command(
    epilog="""\b
Examples:
  windlass backup monday.zip
  windlass backup /backups/latest.zip --force --namespace pr-123"""
)
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--force", is_flag=True, help="Replace FILE if it is there.")
@home_options
def backup(file: Path, force: bool, home: Path, namespace: str) -> None:
    """Write all state of a namespace, and its keys, to one file.

    FILE is a zip with users, items, messages, mails and secrets. A server may run and write meanwhile. The copy is
    checked before FILE gets its name; damaged state is refused.

    FILE HOLDS THE KEYS: who can read it can read every secret, and sign in as every user. It is made readable by its
    owner only; keep it so wherever you take it. Telemetry is not in it.
    """
    make_backup(home, namespace, file, force=force)
    click.echo(f"The state in {folder(home, namespace)} was written to {file}.")
    click.echo("It holds the keys of that state: keep it where nobody else can read it.")
