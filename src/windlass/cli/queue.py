"""`windlass queue`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
import msgspec

from windlass.cli.confirmation import confirm, yes_option
from windlass.cli.declared import chosen, system_argument
from windlass.cli.document import json_option, print_json
from windlass.cli.home import home_options
from windlass.cli.listing import harmless, moment, print_listing
from windlass.cli.state import open_state
from windlass.model.queue import Queue
from windlass.model.system import System
from windlass.ports.clock import iso
from windlass.ports.queue import Stored

__all__ = ["queue"]


@click.group(
    epilog="""\b
Examples:
  windlass queue list shop
  windlass queue peek shop payments --dead
  windlass queue redrive shop payments"""
)
def queue() -> None:
    """Look into queues, redrive dead letters, purge."""


@queue.command(
    "list",
    epilog="""\b
Examples:
  windlass queue list shop
  windlass queue list shop --json""",
)
@system_argument
@json_option
@home_options
def list_(system: System, as_json: bool, home: Path, namespace: str) -> None:
    """List queues with how many messages wait, are being handled, are delayed, and are dead.

    OLDEST is how long the oldest waiting message has waited.
    """
    with open_state(system, home, namespace) as state:
        found = [(model.name, state.queue(model).stats()) for model in system.of(Queue)]
    if as_json:
        print_json([{"name": name, **msgspec.to_builtins(stats)} for name, stats in found])
        return
    rows = [
        [name, stats.waiting, stats.in_flight, stats.delayed, stats.dead, round(stats.oldest_age)]
        for name, stats in found
    ]
    columns = ["NAME", "WAITING", "IN FLIGHT", "DELAYED", "DEAD", "OLDEST (s)"]
    print_listing(columns, rows, empty=f"{system.name} declares no queue")


@queue.command(
    epilog="""\b
Examples:
  windlass queue peek shop payments
  windlass queue peek shop payments --dead --limit 1
  windlass queue peek shop payments --dead --json"""
)
@system_argument
@click.argument("name")
@click.option("--dead", is_flag=True, help="Of the dead-letter queue.")
@click.option("--limit", type=click.IntRange(min=1), default=10, show_default=True, help="How many at most.")
@json_option
@home_options
def peek(system: System, name: str, dead: bool, limit: int, as_json: bool, home: Path, namespace: str) -> None:
    """Show the oldest messages, without receiving them."""
    model: Queue[Any] = chosen(system, Queue, name)
    with open_state(system, home, namespace) as state:
        messages = state.queue(model).peek(limit, dead=dead)
    if as_json:
        print_json([_document(message) for message in messages])
        return
    if not messages:
        click.echo(f"{model.where} has no dead letter" if dead else f"{model.where} has no message")
    for message in messages:
        parts = [f"sent {moment(message.sent_at)}", f"attempts {message.attempts}"]
        parts += [f"group {message.group}"] if message.group is not None else []
        parts += [f"trace {message.trace}"] if message.trace is not None else []
        click.secho(message.id, bold=True, nl=False)
        click.echo("  " + harmless("  ".join(parts)))
        if message.reason is not None:
            click.echo(f"  failed: {harmless(message.reason)}")
        click.echo(f"  {harmless(message.body.decode(errors='replace'))}")


@queue.command(
    epilog="""\b
Examples:
  windlass queue redrive shop payments
  windlass queue redrive shop payments --limit 1"""
)
@system_argument
@click.argument("name")
@click.option("--limit", type=click.IntRange(min=1), help="How many at most, the oldest first; else all.")
@json_option
@home_options
def redrive(system: System, name: str, limit: int | None, as_json: bool, home: Path, namespace: str) -> None:
    """Move dead letters back to the queue, to be tried as if they were new."""
    model: Queue[Any] = chosen(system, Queue, name)
    with open_state(system, home, namespace) as state:
        moved = state.queue(model).redrive(limit)
    if as_json:
        print_json({"name": model.name, "moved": moved})
    else:
        click.echo(f"{_count(moved)} moved back to {model.where}.")


@queue.command(
    epilog="""\b
Examples:
  windlass queue purge shop payments --dead
  windlass queue purge shop payments --yes"""
)
@system_argument
@click.argument("name")
@click.option("--dead", is_flag=True, help="The dead-letter queue, and not the queue.")
@yes_option
@json_option
@home_options
def purge(system: System, name: str, dead: bool, yes: bool, as_json: bool, home: Path, namespace: str) -> None:
    """Remove all messages of a queue, also those that are being handled, or of its dead-letter queue."""
    model: Queue[Any] = chosen(system, Queue, name)
    with open_state(system, home, namespace) as state:
        stats = state.queue(model).stats()
        there = stats.dead if dead else stats.waiting + stats.in_flight + stats.delayed
        place = f"the dead-letter queue of {model.where}" if dead else model.where
        if there:
            confirm(f"Remove {_count(there)} from {place}?", yes=yes)
        removed = state.queue(model).purge(dead=dead)
    if as_json:
        print_json({"name": model.name, "removed": removed})
    else:
        click.echo(f"{_count(removed)} removed from {place}.")


def _count(number: int) -> str:
    return f"{number} message" if number == 1 else f"{number} messages"


def _document(message: Stored) -> dict[str, Any]:
    return {
        "id": message.id,
        "sent_at": iso(message.sent_at),
        "visible_at": iso(message.visible_at),
        "attempts": message.attempts,
        "group": message.group,
        "trace": message.trace,
        "reason": message.reason,
        "body": msgspec.Raw(message.body),
    }
