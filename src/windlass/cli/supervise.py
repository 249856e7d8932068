"""Several processes that serve together, and the one that watches over them."""

from __future__ import annotations

import os
import signal
import sys
from types import FrameType

import click

from windlass.cli.log_lines import show_logs
from windlass.cli.serve import DRAIN_SECONDS, Settings, address, hold, say_credentials, say_ready, watch_code
from windlass.dispatch.redact import Redactor
from windlass.engines.embedded.server import listen, listen_together
from windlass.engines.embedded.supervisor import Supervisor
from windlass.errors import HomeError

__all__ = ["supervise"]

# What a process is given on top of its own time to drain, to write what is left and to end.
_GRACE_SECONDS = 5.0


def supervise(settings: Settings) -> None:
    """Starts the processes, starts again those that end, exchanges them when the code changes, and stops them all
    when it is told to."""
    listening = listen_together(settings.host, settings.port, settings.workers)
    base = address(settings, listening[0])
    port = listening[0].getsockname()[1]
    reopen = (lambda: listen(settings.host, port, beside=True)) if sys.platform == "linux" else None
    lock = hold(settings, base)
    show_logs(Redactor(), as_json=settings.as_json)
    command = [sys.executable, "-m", "windlass", *sys.argv[1:]]
    supervisor = Supervisor(command, base, listening, lock, reopen)
    asked = _Asked(supervisor)
    try:
        ready = supervisor.start()
    except HomeError:
        if asked.heard:
            return
        raise
    if settings.reload:
        watch_code(settings.found, lambda: _exchange(supervisor, settings), once=False)
    say_ready(settings, {**ready, "pid": os.getpid(), "processes": supervisor.processes})
    supervisor.wait()
    if not supervisor.stop(DRAIN_SECONDS + _GRACE_SECONDS):
        click.echo("some processes had to be killed", err=True)
    lock.release()
    if not asked.heard:
        raise click.exceptions.Exit(1)
    if not settings.as_json:
        click.echo("stopped")


def _exchange(supervisor: Supervisor, settings: Settings) -> None:
    supervisor.replace_all()
    made = supervisor.said.get("credentials", [])
    if made and not supervisor.asked:
        say_credentials(made, as_json=settings.as_json)


class _Asked:
    """Whether SIGINT or SIGTERM asked for the end; a second SIGINT ends all at once."""

    def __init__(self, supervisor: Supervisor) -> None:
        self._supervisor, self.heard = supervisor, False
        signal.signal(signal.SIGTERM, self._end)
        signal.signal(signal.SIGINT, self._end)

    def _end(self, number: int, _: FrameType | None) -> None:
        if self.heard and number == signal.SIGINT:
            self._supervisor.kill()
            raise SystemExit(128 + number)
        self.heard = True
        self._supervisor.end()
