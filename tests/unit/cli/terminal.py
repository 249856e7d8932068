"""What the tests of the command line share: how to run it, all its commands, and a system that was used."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
from click.testing import Result

import windlass
from windlass.cli.main import main
from windlass.model.queue import Queue
from windlass.model.system import System
from windlass.testing import Driver

Run = Callable[..., Result]

ENVIRONMENT = {**os.environ, "PYTHONPATH": str(Path(windlass.__file__).resolve().parents[1])}
"""For a Python that is started as a process of its own."""


def commands(group: click.Group = main, path: str = "windlass") -> dict[str, click.Command]:
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


@contextmanager
def running(system: System, home: Path) -> Iterator[Driver]:
    """A driver of `system` on the state in `home`, whose resources can be used."""
    with system.run_embedded(home) as driver, driver.bound():
        yield driver


def send(driver: Driver, name: str, **fields: Any) -> None:
    """Sends a message to one of the driver's queues."""
    queue = driver.system.resources[name]
    assert isinstance(queue, Queue)
    queue.send(queue.message(**fields))
