"""The engine: systems over a namespace, with the threads that run their handlers."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import Any

from argon2 import PasswordHasher

from windlass.dispatch.context import Context, logger
from windlass.dispatch.http import HttpDispatch
from windlass.dispatch.messages import MessageDispatch
from windlass.dispatch.metrics import Metrics
from windlass.dispatch.tick import TickDispatch
from windlass.engines.embedded.api import EmbeddedApi, Throttles
from windlass.engines.embedded.idempotency import EmbeddedIdempotency
from windlass.engines.embedded.mailer import EmbeddedMailer
from windlass.engines.embedded.namespace import Namespace
from windlass.engines.embedded.passwords import Passwords
from windlass.engines.embedded.pump import Pump, Source
from windlass.engines.embedded.queue import EmbeddedQueue, QueueSource
from windlass.engines.embedded.redact import Redactor
from windlass.engines.embedded.schedule import EmbeddedSchedule, ScheduleSource
from windlass.engines.embedded.secret import EmbeddedSecret
from windlass.engines.embedded.smtp import SmtpSettings
from windlass.engines.embedded.table import EmbeddedTable
from windlass.engines.embedded.user_pool import EmbeddedUserPool
from windlass.engines.embedded.workers import Workers
from windlass.errors import EngineUnavailable
from windlass.graph.check import check
from windlass.model.api import Api
from windlass.model.mailer import Mailer
from windlass.model.queue import Queue
from windlass.model.resource import Resource
from windlass.model.schedule import Schedule
from windlass.model.secret import Secret
from windlass.model.system import System
from windlass.model.table import Table
from windlass.model.user_pool import UserPool

__all__ = ["EmbeddedEngine", "EmbeddedSystem"]

_HOUSEKEEPING_SECONDS = 60.0


class EmbeddedSystem:
    """One system: a port for each of its resources, its HTTP dispatch, and its sources of background work."""

    def __init__(
        self,
        system: System,
        namespace: Namespace,
        metrics: Metrics,
        redactor: Redactor,
        arrived: Callable[[], None],
        *,
        smtp: SmtpSettings | None = None,
        chaos: random.Random | None = None,
        throttles: Throttles | None = None,
        hasher: PasswordHasher | None = None,
    ) -> None:
        check(system)
        self.model = system
        tables: dict[str, EmbeddedTable] = {}

        def implement(resource: Resource) -> Any:
            match resource:
                case Table():
                    return EmbeddedTable(resource, namespace, tables)
                case Queue():
                    return EmbeddedQueue(resource, namespace, arrived)
                case UserPool():
                    passwords = Passwords(resource.min_password_length, hasher=hasher)
                    return EmbeddedUserPool(resource, namespace, passwords=passwords)
                case Secret():
                    return EmbeddedSecret(resource, namespace, redactor)
                case Mailer():
                    return EmbeddedMailer(resource, namespace, smtp, arrived)
                case Schedule():
                    return EmbeddedSchedule(resource, namespace)
                case Api():
                    return EmbeddedApi(resource, namespace)
            raise EngineUnavailable(f"the embedded engine has no {resource.noun}, which {resource.where} is")

        self.ports: dict[str, Any] = {name: implement(resource) for name, resource in system.resources.items()}
        key = namespace.keyring.derive(f"cursors/{system.name}")
        self.context = Context(system, self.ports, namespace.clock, key, metrics)
        self.idempotency = EmbeddedIdempotency(namespace)
        self.http = HttpDispatch(self.context, admit=(throttles or Throttles()).admit, idempotency=self.idempotency)
        self.sources: list[Source] = []
        for queue in system.of(Queue):
            if queue.consumers:
                dispatch = MessageDispatch(self.context, queue, queue.consumers[0])
                self.sources.append(QueueSource(self.ports[queue.name], dispatch, chaos=chaos))
        for schedule in system.of(Schedule):
            if schedule.handler is not None:
                ticks = TickDispatch(self.context, schedule.handler)
                self.sources.append(ScheduleSource(self.ports[schedule.name], ticks, chaos=chaos))
        if smtp is not None:
            self.sources += [self.ports[mailer.name] for mailer in system.of(Mailer)]

    def prepare(self) -> list[tuple[str, str, str]]:
        """What happens once before the first delivery: frees what a process that died held, generates secrets,
        and creates first users, which are returned as (pool, user name, password), to be shown once."""
        self.idempotency.release_all()
        shown = []
        for name, port in self.ports.items():
            if isinstance(port, EmbeddedQueue):
                port.release_all()
            elif isinstance(port, EmbeddedSecret):
                port.ensure_generated()
            elif isinstance(port, EmbeddedUserPool):
                port.jwks()  # makes the key now, not on the event loop for the first who asks
                if (first := port.ensure_first_user()) is not None:
                    shown.append((name, *first))
        return shown

    def housekeeping(self) -> None:
        """Deletes what has expired."""
        self.idempotency.remove_expired()
        for port in self.ports.values():
            if (remove := getattr(port, "remove_expired", None)) is not None:
                remove()


class EmbeddedEngine:
    """All systems of a namespace, in this process."""

    def __init__(
        self,
        namespace: Namespace,
        systems: Sequence[System],
        *,
        smtp: SmtpSettings | None = None,
        chaos: random.Random | None = None,
        throttles: Throttles | None = None,
        hasher: PasswordHasher | None = None,
    ) -> None:
        """`hasher` makes password hashes with other costs than argon2-cffi's own, `throttles` may have a clock of
        their own, `chaos` shuffles and repeats deliveries: all for tests."""
        self.namespace, self.metrics, self.redactor = namespace, Metrics(), Redactor()
        self.systems = {
            system.name: EmbeddedSystem(
                system,
                namespace,
                self.metrics,
                self.redactor,
                self.wake,
                smtp=smtp,
                chaos=chaos,
                throttles=throttles,
                hasher=hasher,
            )
            for system in systems
        }
        self.sources: list[Source] = [source for system in self.systems.values() for source in system.sources]
        self.workers = Workers(idle=self._flush)
        self.consumers = Workers(idle=self._flush)
        self._pump: Pump | None = None

    def prepare(self) -> list[tuple[str, str, str, str]]:
        """Prepares every system; returns first users as (system, pool, user name, password)."""
        shown = [(name, *user) for name, system in self.systems.items() for user in system.prepare()]
        self.namespace.store.flush()
        return shown

    def start(self) -> None:
        """Starts the threads: deliveries begin."""
        self.workers.start()
        self.consumers.start()
        sources = [*self.sources, _Housekeeping(self)]
        self._pump = Pump(self.namespace.store, self.consumers, self.namespace.clock, sources)
        self._pump.start()

    def stop(self, patience: float = 10.0) -> bool:
        """Stops deliveries, waits up to `patience` seconds for those that run, commits and closes; whether all
        had come to an end."""
        if self._pump is not None:
            self._pump.stop()
        ended = self.workers.stop(patience)
        ended = self.consumers.stop(patience) and ended
        self.namespace.close()
        return ended

    def wake(self) -> None:
        """Tells the pump that something may be due."""
        if self._pump is not None:
            self._pump.wake()

    def _flush(self) -> None:
        try:
            self.namespace.store.flush()
        except EngineUnavailable as error:
            logger.error("what was written could not be stored: %s", error)


class _Housekeeping:
    """The engine's own source of work: once a minute, what has expired is deleted."""

    concurrency = 1
    timeout = 60.0

    def __init__(self, engine: EmbeddedEngine) -> None:
        self._engine = engine
        self._next = engine.namespace.clock.now() + _HOUSEKEEPING_SECONDS

    def due_at(self) -> float | None:
        return self._next

    def claim(self, now: float, room: int) -> list[_Housekeeping]:
        self._next = now + _HOUSEKEEPING_SECONDS
        return [self]

    def run(self) -> None:
        try:
            for system in self._engine.systems.values():
                system.housekeeping()
        except EngineUnavailable as error:
            logger.error("what has expired could not be deleted: %s", error)

    def expire(self) -> None:
        logger.warning("deleting what has expired takes longer than a minute")
