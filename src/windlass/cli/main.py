"""`windlass`, the group of all commands.

A command's module is imported when the command is called, so that `windlass --help` and `windlass up` do not wait
for what the others need. The words that `--help` shows for each are here for the same reason.
"""

from __future__ import annotations

import errno
import importlib
import os
import traceback
from collections.abc import Mapping
from typing import Any, NamedTuple

import click

from windlass.errors import GraphError, WindlassError

__all__ = ["COMMANDS", "Place", "main"]


class Place(NamedTuple):
    """Where a command is, `module` having it under its own name, and what it does, in one line."""

    module: str
    help: str


COMMANDS: Mapping[str, Place] = {
    "up": Place("windlass.cli.up", "Run systems on this machine."),
    "check": Place("windlass.cli.check", "Say what is wrong with systems, and how to mend it."),
    "graph": Place("windlass.cli.graph", "Print what a system consists of: as JSON, Mermaid or SVG."),
    "openapi": Place("windlass.cli.openapi", "Print the OpenAPI document of a system's apis."),
    "explain": Place(
        "windlass.cli.explain", "Say what each handler may do on AWS, and which of its uses asked for it."
    ),
    "cost": Place("windlass.cli.cost", "Say what a system costs on AWS in a month, and which limit it meets first."),
    "bundle": Place("windlass.cli.bundle", "Write the zip that a system's functions run from on AWS."),
    "invoke": Place("windlass.cli.invoke", "Run a handler as its Lambda function would, on an event of AWS."),
    "users": Place("windlass.cli.users", "Add, list and change the users of a system."),
    "secret": Place("windlass.cli.secret", "Set a system's secrets, and see which are set."),
    "token": Place("windlass.cli.token", "Make a bearer token to try a system with."),
    "queue": Place("windlass.cli.queue", "Look into queues, redrive dead letters, purge."),
    "mail": Place("windlass.cli.mail", "Read the mails that a system has sent."),
    "backup": Place("windlass.cli.backup", "Write all state of a namespace, and its keys, to one file."),
    "restore": Place("windlass.cli.restore", "Make a namespace of a backup."),
    "logs": Place("windlass.cli.logs", "Show what was logged."),
    "traces": Place("windlass.cli.traces", "Show what happened: requests, and all that came of them."),
    "alarms": Place("windlass.cli.alarms", "List alarms with their state, and how they have changed."),
    "metrics": Place("windlass.cli.metrics", "Show what was counted and measured."),
    "reset": Place(
        "windlass.cli.reset", "Remove all state of a namespace: users, items, messages, mails, secrets, keys."
    ),
}


class Commands(click.Group):
    """The commands of `COMMANDS`. What they raise is told in words, on standard error, with exit code 1."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """All names, in the order in which one comes to need them."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of that name, imported now."""
        place = COMMANDS.get(cmd_name)
        if place is None:
            return None
        command = getattr(importlib.import_module(place.module), cmd_name)
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Lists the commands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, place.help) for name, place in COMMANDS.items()])

    def invoke(self, ctx: click.Context) -> Any:
        """Runs the command that was asked for."""
        try:
            return super().invoke(ctx)
        except (click.ClickException, click.Abort, click.exceptions.Exit):
            raise
        except Exception as error:
            if isinstance(error, OSError) and error.errno == errno.EPIPE:
                raise  # who reads has gone, as in `| head`: click ends quietly
            for text in _said(error):
                click.secho("error: ", fg="red", bold=True, nl=False, err=True)
                click.echo(text, err=True)
            if os.environ.get("WINDLASS_TRACEBACK") == "1":
                click.echo("".join(traceback.format_exception(error)), nl=False, err=True)
            ctx.exit(1)


def _said(error: Exception) -> list[str]:
    match error:
        case GraphError():
            return [str(fault) for fault in error.faults]
        case WindlassError():
            return [str(error)]
        case OSError(strerror=str(reason)):
            return [f"{error.filename}: {reason}" if error.filename else reason]
    return [
        f"an internal fault of Windlass: {type(error).__name__}: {error}\n"
        "  fix: run it again with WINDLASS_TRACEBACK=1 and report what it prints"
    ]


def _print_version(ctx: click.Context, _: click.Parameter, wanted: bool) -> None:
    if wanted and not ctx.resilient_parsing:
        from importlib.metadata import PackageNotFoundError, version  # 20 ms, for this alone

        try:
            click.echo(f"windlass {version('windlass')}")
        except PackageNotFoundError:
            click.echo("windlass, from a source tree that is not installed")
        ctx.exit()


@click.group(
    cls=Commands,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="""\b
Examples:
  windlass up                               run the systems in ./systems
  windlass check                            check them
  windlass users add todos ada@example.com  add a user, with a password that is made and shown
  windlass queue list todos                 see what waits""",
)
@click.option(
    "--version", is_flag=True, is_eager=True, expose_value=False, callback=_print_version, help="Show the version."
)
@click.pass_context
def main(ctx: click.Context) -> None:
    """Declare a serverless system once, in plain Python, and run all of it on one machine.

    SYSTEM, where a command takes one, is the path of a system's folder or file, or the name of one in ./systems or
    here. Each command has a --help of its own, with examples.
    """
    if os.environ.get("NO_COLOR"):  # https://no-color.org
        ctx.color = False
