"""A system's state, opened for an operator, be there a server that runs on it or not."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from windlass.dispatch.redact import Redactor
from windlass.dispatch.telemetry import Telemetry
from windlass.engines.embedded.alarm import AlarmBook
from windlass.engines.embedded.engine import EmbeddedSystem
from windlass.engines.embedded.namespace import Namespace, folder
from windlass.errors import HomeError
from windlass.model.mailer import Mailer
from windlass.model.queue import Queue
from windlass.model.secret import Secret
from windlass.model.system import System
from windlass.model.user_pool import UserPool
from windlass.ports.mailer import MailerOperator
from windlass.ports.queue import QueueOperator
from windlass.ports.secret import SecretOperator
from windlass.ports.user_pool import UserPoolOperator

__all__ = ["State", "open_state"]


class State:
    """The operator's side of a system's resources."""

    def __init__(self, running: EmbeddedSystem) -> None:
        self._running, self._ports = running, running.ports

    def user_pool(self, model: UserPool) -> UserPoolOperator:
        """The port of a user pool."""
        port: UserPoolOperator = self._ports[model.name]
        return port

    def secret(self, model: Secret) -> SecretOperator:
        """The port of a secret."""
        port: SecretOperator = self._ports[model.name]
        return port

    def queue(self, model: Queue[Any]) -> QueueOperator:
        """The port of a queue."""
        port: QueueOperator = self._ports[model.name]
        return port

    @property
    def alarms(self) -> AlarmBook:
        """All alarms, the default ones too."""
        return self._running.alarms

    @property
    def mailers(self) -> list[Mailer]:
        """All mailers: those that are declared, and the one that tells of alarms."""
        return [*self._running.model.of(Mailer), self._running.alarm_mailer.model]

    def mailer(self, model: Mailer) -> MailerOperator:
        """The port of a mailer."""
        if model is self._running.alarm_mailer.model:
            return self._running.alarm_mailer
        port: MailerOperator = self._ports[model.name]
        return port


@contextmanager
def open_state(system: System, home: Path, namespace: str, *, make: bool = False) -> Iterator[State]:
    """Opens the state of `system`; at the end everything is stored. A server that runs on it sees what changed
    within a second.

    Nothing is started, and nothing is freed that a server's handlers hold. Raises HomeError where nothing was
    started yet, unless `make` allows to begin.
    """
    path = folder(home, namespace)
    if not make and not (path / "state.sqlite").is_file():
        raise HomeError(
            f"nothing has been started in {path} yet\n"
            f"  fix: start it with `windlass up`, or say where the state is, with --home and --namespace"
        )
    opened = Namespace(home, namespace)
    try:
        running = EmbeddedSystem(system, opened, Telemetry(opened.clock), Redactor(), lambda: None)
        # The tables that a new resource needs are there now; a server would wait for an open transaction.
        opened.store.flush()
        yield State(running)
    finally:
        opened.close()
