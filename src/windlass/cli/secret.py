"""`windlass secret`."""

from __future__ import annotations

from pathlib import Path

import click

from windlass.cli.declared import chosen, system_argument
from windlass.cli.document import json_option, print_json
from windlass.cli.hidden import hidden_text
from windlass.cli.home import home_options
from windlass.cli.listing import print_listing
from windlass.cli.state import open_state
from windlass.model.secret import Secret
from windlass.model.system import System

__all__ = ["secret"]


@click.group(
    epilog="""\b
Examples:
  windlass secret set shop bank_key < bank.key
  windlass secret list shop"""
)
def secret() -> None:
    """Set a system's secrets, and see which are set.

    A value is never shown.
    """


@secret.command(
    "set",
    epilog="""\b
Examples:
  windlass secret set shop bank_key                 asks for it, unseen
  windlass secret set shop bank_key < bank.key
  pass show bank | windlass secret set shop bank_key""",
)
@system_argument
@click.argument("name")
@home_options
def set_(system: System, name: str, home: Path, namespace: str) -> None:
    """Set a secret to what standard input holds.

    One line break at its end is dropped. A server that runs uses the new value from its next reading on.
    """
    model = chosen(system, Secret, name)
    value = hidden_text(f"value of {model.name}")
    with open_state(system, home, namespace, make=True) as state:
        state.secret(model).write(value)
    click.echo(f"{model.where} is set.")


@secret.command(
    "list",
    epilog="""\b
Examples:
  windlass secret list shop
  windlass secret list shop --json""",
)
@system_argument
@json_option
@home_options
def list_(system: System, as_json: bool, home: Path, namespace: str) -> None:
    """List a system's secrets, and whether they are set."""
    with open_state(system, home, namespace) as state:
        found = [(model.name, state.secret(model).is_set()) for model in system.of(Secret)]
    if as_json:
        print_json([{"name": name, "set": is_set} for name, is_set in found])
        return
    rows = [[name, "set" if is_set else "not set"] for name, is_set in found]
    print_listing(["NAME", "STATE"], rows, empty=f"{system.name} declares no secret")
