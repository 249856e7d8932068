"""The group: what is imported when, and how errors are told."""

import os
import subprocess
import sys
from pathlib import Path

import click
import pytest

import windlass
from windlass.cli.main import COMMANDS, main

from .conftest import Run

SOURCE = Path(windlass.__file__).resolve().parents[1]


def commands(group: click.Group, path: str = "windlass") -> dict[str, click.Command]:
    """All commands below `group`, by what one types."""
    found: dict[str, click.Command] = {}
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        found[f"{path} {name}"] = command
        if isinstance(command, click.Group):
            found |= commands(command, f"{path} {name}")
    return found
