"""What the commands share that show telemetry: how long ago, of which system, whether anything was recorded."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import click

from windlass.engines.embedded.namespace import folder
from windlass.errors import HomeError

__all__ = [
    "LENGTH",
    "Length",
    "follow_option",
    "nothing_recorded",
    "repeat",
    "since_option",
    "started",
    "system_option",
]

F = TypeVar("F", bound=Callable[..., Any])

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_LENGTH = re.compile(r"(\d{1,9}(?:\.\d{1,3})?)(ms|s|m|h|d)\Z")
_POLL_SECONDS = 0.25


class Length(click.ParamType[float]):
    """A length of time such as `90s`, `10m`, `2h` or `7d`, as seconds."""

    name = "length"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Seconds."""
        if isinstance(value, float):
            return value
        match = _LENGTH.match(str(value))
        if match is None:
            self.fail(f"{value!r} is no length of time: give a number and ms, s, m, h or d, as in 10m", param, ctx)
        return float(match[1]) * _UNITS[match[2]]


LENGTH = Length()


class _Since(click.ParamType[float]):
    name = "since"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Epoch seconds."""
        if isinstance(value, float):
            return value
        text = str(value)
        if _LENGTH.match(text):
            return max(0.0, time.time() - LENGTH.convert(text, param, ctx))
        try:
            moment = datetime.fromisoformat(text)
        except ValueError:
            self.fail(
                f"{text!r} is neither a length of time, as in 10m, nor a moment, as in 2026-05-04T09:00:00Z", param, ctx
            )
        return max(0.0, (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp())


since_option = click.option(
    "--since", type=_Since(), metavar="WHEN", help="Not what is older: 10m, 2h, 7d, or a moment as in ISO 8601."
)
system_option = click.option("--system", metavar="NAME", help="Of this system only.")
follow_option = click.option("--follow", is_flag=True, help="Show what comes, until Ctrl-C.")


def started(home: Path, namespace: str) -> Path:
    """The namespace's folder. Raises HomeError where nothing was started yet."""
    path = folder(home, namespace)
    if not path.is_dir():
        raise HomeError(
            f"nothing has been started in {path} yet\n"
            f"  fix: start it with `windlass up`, or say where the state is, with --home and --namespace"
        )
    return path


def nothing_recorded(path: Path, what: str) -> HomeError:
    """To be raised where there is nothing of that kind at all."""
    return HomeError(
        f"no {what} were recorded in {path} yet\n"
        f"  fix: run it with `windlass up`, not with --telemetry-mb 0; or say where the state is, with --home and "
        f"--namespace"
    )


def repeat(show: Callable[[], None], seconds: float = _POLL_SECONDS) -> None:
    """Calls `show` again and again, until Ctrl-C."""
    pause = threading.Event()
    try:
        while not pause.wait(seconds):
            show()
    except KeyboardInterrupt:
        click.echo(err=True)  # the terminal has shown ^C
