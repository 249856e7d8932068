"""The engine: systems over a namespace, with the threads that run their handlers."""

from __future__ import annotations

import math
import random
import threading
from collections.abc import Callable, Sequence
from typing import Any, Literal

from argon2 import PasswordHasher

from windlass.dispatch.context import Context, logger
from windlass.dispatch.http import HttpDispatch
from windlass.dispatch.messages import MessageDispatch
from windlass.dispatch.metrics import series
from windlass.dispatch.redact import Redactor
from windlass.dispatch.telemetry import Telemetry
from windlass.dispatch.throttle import Throttles
from windlass.dispatch.tick import TickDispatch
from windlass.engines.embedded.alarm import AlarmBook, EmbeddedAlarm
from windlass.engines.embedded.alarm_evidence import Evidence, SpanFinder, recorded_spans
from windlass.engines.embedded.alarm_mail import AlarmPost, alarm_mailer
from windlass.engines.embedded.alarm_source import AlarmSource, WatchedSystem
from windlass.engines.embedded.api import EmbeddedApi
from windlass.engines.embedded.baton import Baton
from windlass.engines.embedded.clock_jump import ClockJump, Timers
from windlass.engines.embedded.idempotency import EmbeddedIdempotency
from windlass.engines.embedded.mailer import EmbeddedMailer
from windlass.engines.embedded.namespace import Namespace
from windlass.engines.embedded.passwords import Passwords
from windlass.engines.embedded.pump import Pump, Source
from windlass.engines.embedded.queue import EmbeddedQueue, QueueSource
from windlass.engines.embedded.recorder import Export, Limits, Recorder
from windlass.engines.embedded.schedule import EmbeddedSchedule, ScheduleSource
from windlass.engines.embedded.secret import EmbeddedSecret
from windlass.engines.embedded.shared_throttles import SharedThrottles
from windlass.engines.embedded.site import EmbeddedSite
from windlass.engines.embedded.smtp import SmtpSettings
from windlass.engines.embedded.table import EmbeddedTable
from windlass.engines.embedded.user_pool import EmbeddedUserPool
from windlass.engines.embedded.workers import Workers
from windlass.errors import EngineUnavailable
from windlass.graph.check import check
from windlass.model.alarm import Alarm
from windlass.model.api import Api
from windlass.model.mailer import Mailer
from windlass.model.queue import Queue
from windlass.model.resource import Resource
from windlass.model.schedule import Schedule
from windlass.model.secret import Secret
from windlass.model.site import Site
from windlass.model.system import System
from windlass.model.table import Table
from windlass.model.user_pool import UserPool

__all__ = ["EmbeddedEngine", "EmbeddedSystem", "Role"]

Role = Literal["all", "gateway", "consumers"]

_HOUSEKEEPING_SECONDS = 60.0


class EmbeddedSystem:
    """One system: a port for each of its resources, its HTTP dispatch, and its sources of background work."""

    def __init__(
        self,
        system: System,
        namespace: Namespace,
        telemetry: Telemetry,
        redactor: Redactor,
        arrived: Callable[[], None],
        *,
        smtp: SmtpSettings | None = None,
        chaos: random.Random | None = None,
        throttles: Throttles | SharedThrottles | None = None,
        hasher: PasswordHasher | None = None,
        owner: str = "main",
    ) -> None:
        check(system)
        self.model, self._namespace, self._owner = system, namespace, owner
        tables: dict[str, EmbeddedTable] = {}
        self.alarms = AlarmBook(system, namespace)
        self.alarm_mailer = alarm_mailer(system, namespace, smtp, arrived)

        def implement(resource: Resource) -> Any:
            match resource:
                case Table():
                    return EmbeddedTable(resource, namespace, tables)
                case Queue():
                    return EmbeddedQueue(resource, namespace, arrived, telemetry.metrics)
                case UserPool():
                    passwords = Passwords(resource.min_password_length, hasher=hasher)
                    return EmbeddedUserPool(resource, namespace, passwords=passwords)
                case Secret():
                    return EmbeddedSecret(resource, namespace, redactor)
                case Mailer():
                    failures = series("mail_failures", system=system.name, mailer=resource.name)
                    return EmbeddedMailer(resource, namespace, smtp, arrived, lambda: telemetry.metrics.count(failures))
                case Schedule():
                    return EmbeddedSchedule(resource, namespace)
                case Api():
                    return EmbeddedApi(resource, namespace)
                case Site():
                    return EmbeddedSite(resource)
                case Alarm():
                    return EmbeddedAlarm(resource, self.alarms)
            raise EngineUnavailable(f"the embedded engine has no {resource.noun}, which {resource.where} is")

        self.ports: dict[str, Any] = {name: implement(resource) for name, resource in system.resources.items()}
        key = namespace.keyring.derive(f"cursors/{system.name}")
        self.context = Context(system, self.ports, namespace.clock, key, telemetry)
        self.idempotency = EmbeddedIdempotency(namespace, owner)
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
            self.sources += [self.alarm_mailer, *(self.ports[mailer.name] for mailer in system.of(Mailer))]

    def prepare(self) -> list[tuple[str, str, str]]:
        """What happens once before the first delivery: frees what a process that died held, generates secrets,
        and creates first users, which are returned as (pool, user name, password), to be shown once."""
        self.idempotency.release_all()
        self.alarms.forget_others()
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

    def succeed(self, role: Role) -> None:
        """What happens before the first delivery in a process that takes the place of one that ended, beside others
        that serve: frees what that one held."""
        if role == "gateway":
            self.idempotency.release(self._owner)
        else:
            for port in self.ports.values():
                if isinstance(port, EmbeddedQueue):
                    port.release_all()

    def housekeeping(self) -> None:
        """Deletes what has expired."""
        for port in (self.idempotency, self.alarms, self.alarm_mailer, *self.ports.values()):
            if (remove := getattr(port, "remove_expired", None)) is not None:
                try:
                    remove()
                except EngineUnavailable as error:  # the others go on: a damaged table must not make all the rest grow
                    logger.error("what has expired could not be deleted: %s", error)

    def timers(self) -> list[Timers]:
        """What is to be moved when the clock goes back."""
        ports = (self.idempotency, self.alarm_mailer, *self.ports.values())
        return [port for port in ports if hasattr(port, "clock_went_back")]

    def watched(self, find: SpanFinder, mask: Callable[[str], str]) -> WatchedSystem:
        """The system as its alarms watch it; `mask` hides secrets in what their mails say."""
        queues = {queue.name: self.ports[queue.name] for queue in self.model.of(Queue)}
        evidence = Evidence(self.model, queues, find)
        post = AlarmPost(self.alarms, self.alarm_mailer, self._namespace, evidence, mask)
        return WatchedSystem(self.alarms, post, list(queues.values()))


class EmbeddedEngine:
    """All systems of a namespace, in this process, or what its `role` among several is: `gateway` answers requests,
    `consumers` does all that happens in the background, `all` does both."""

    def __init__(
        self,
        namespace: Namespace,
        systems: Sequence[System],
        *,
        smtp: SmtpSettings | None = None,
        chaos: random.Random | None = None,
        throttles: Throttles | SharedThrottles | None = None,
        hasher: PasswordHasher | None = None,
        role: Role = "all",
        owner: str = "main",
        arrived: Callable[[], None] | None = None,
        limits: Limits | None = None,
        export: Export | None = None,
    ) -> None:
        """`limits` says how much telemetry is kept, `export` sends it somewhere else too. `owner` names this process
        among several, and `arrived` tells the one with the pump that something may be due. `hasher` makes password
        hashes with other costs than argon2-cffi's own, `throttles` may have a clock of their own, `chaos` shuffles and
        repeats deliveries: all for tests."""
        self.namespace, self.telemetry, self.redactor = namespace, Telemetry(namespace.clock), Redactor()
        self._baton = Baton()
        self.recorder = Recorder(
            self.telemetry, self.redactor, namespace.path, limits=limits, export=export, baton=self._baton
        )
        self.systems = {
            system.name: EmbeddedSystem(
                system,
                namespace,
                self.telemetry,
                self.redactor,
                self.wake,
                smtp=smtp,
                chaos=chaos,
                throttles=throttles,
                hasher=hasher,
                owner=owner,
            )
            for system in systems
        }
        find = recorded_spans(self.recorder, namespace.path)
        alarms = AlarmSource(
            namespace.clock,
            self.telemetry,
            self.recorder.metrics,
            self.recorder.merge,
            [system.watched(find, self.redactor.mask) for system in self.systems.values()],
            shared=role != "all",
        )
        self.sources: list[Source] = [*(s for system in self.systems.values() for s in system.sources), alarms]
        self.workers = Workers(idle=self._flush, baton=self._baton)
        self.consumers = Workers(longest_wait=math.inf, idle=self._flush, baton=self._baton, polite=True)
        self.jump = ClockJump(
            namespace.store, namespace.clock, (timers for system in self.systems.values() for timers in system.timers())
        )
        self.role, self._arrived = role, arrived
        self._pump: Pump | None = None
        self._tidying: _Tidying | None = None
        # The tables of the nouns are made: other processes wait for an open transaction.
        namespace.store.flush()

    def prepare(self) -> list[tuple[str, str, str, str]]:
        """Prepares every system; returns first users as (system, pool, user name, password)."""
        self.jump.begin()
        shown = [(name, *user) for name, system in self.systems.items() for user in system.prepare()]
        self.namespace.store.flush()
        return shown

    def succeed(self) -> None:
        """Frees what the process held whose place this one takes."""
        for system in self.systems.values():
            system.succeed(self.role)
        self.namespace.store.flush()

    def start(self) -> None:
        """Starts the threads: deliveries begin."""
        self.recorder.start()
        self.workers.start()
        if self.role == "gateway":
            self._tidying = _Tidying(self._flush)
            return
        self.consumers.start()
        for source in self.sources:
            if isinstance(source, QueueSource):
                source.paced = True
        housekeeping = _Housekeeping(self)
        self.jump.timers.append(housekeeping)
        sources = [*self.sources, housekeeping]
        self._pump = Pump(self.namespace.store, self.consumers, self.namespace.clock, sources, self.jump, self._baton)
        self._pump.start()

    def stop(self, patience: float = 10.0) -> bool:
        """Stops deliveries, waits up to `patience` seconds for those that run, commits and closes; whether all
        had come to an end."""
        if self._pump is not None:
            self._pump.stop()
        if self._tidying is not None:
            self._tidying.stop()
        ended = self.workers.stop(patience)
        ended = self.consumers.stop(patience) and ended
        self._remember_time()
        self.recorder.stop()
        self.namespace.close()
        return ended

    def wake(self) -> None:
        """Tells the pump that something may be due."""
        if self._pump is not None:
            self._pump.wake()
        elif self._arrived is not None:
            self._arrived()

    def _remember_time(self) -> None:
        try:
            self.jump.remember()
        except EngineUnavailable as error:
            logger.error("the time could not be stored: %s", error)

    def _flush(self) -> None:
        try:
            self.namespace.store.flush()
        except EngineUnavailable as error:
            logger.error("what was written could not be stored: %s", error)


class _Tidying:
    """Commits, once a second, what a thread of a handler's own wrote: nobody answers, and so commits, after it. Where
    there is a pump, it does that."""

    def __init__(self, flush: Callable[[], None]) -> None:
        self._flush = flush
        self._over = threading.Event()
        threading.Thread(target=self._run, name="windlass-tidying", daemon=True).start()

    def _run(self) -> None:
        while not self._over.wait(1.0):
            self._flush()

    def stop(self) -> None:
        """Ends the thread."""
        self._over.set()


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
        for system in self._engine.systems.values():
            system.housekeeping()
        self._engine._remember_time()

    def clock_went_back(self, seconds: float) -> None:
        """Comes when it would have come."""
        self._next -= seconds

    def expire(self) -> None:
        logger.warning("deleting what has expired takes longer than a minute")
