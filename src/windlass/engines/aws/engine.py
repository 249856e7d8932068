"""The engine: one system over boto3, as a function of it uses it, and as an operator does."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

from windlass.dispatch.context import Context
from windlass.dispatch.telemetry import Telemetry
from windlass.engines.aws.clients import Clients
from windlass.engines.aws.stage import Stage
from windlass.errors import EngineUnavailable
from windlass.model.resource import Resource
from windlass.model.system import System
from windlass.ports.clock import Clock, SystemClock

if TYPE_CHECKING:
    from windlass.dispatch.http import HttpDispatch
    from windlass.dispatch.messages import MessageDispatch
    from windlass.dispatch.redact import Redactor
    from windlass.dispatch.tick import TickDispatch
    from windlass.model.alarm import Alarm
    from windlass.model.api import Api
    from windlass.model.mailer import Mailer
    from windlass.model.queue import Queue
    from windlass.model.schedule import Schedule
    from windlass.model.secret import Secret
    from windlass.model.site import Site
    from windlass.model.table import Table
    from windlass.model.user_pool import UserPool
    from windlass.ports.idempotency import IdempotencyPort

__all__ = ["AwsSystem"]


class AwsSystem:
    """`system`, deployed as `stage`: a port for each of its resources, and its dispatch. `only` names the one handler
    that a function runs, and there are ports for no more than that needs; None: all of them. `cursor_key` signs
    cursors. `redactor` is told of each secret that is read."""

    def __init__(
        self,
        system: System,
        stage: Stage,
        clients: Clients,
        *,
        cursor_key: bytes,
        only: str | None = None,
        clock: Clock | None = None,
        telemetry: Telemetry | None = None,
        redactor: Redactor | None = None,
    ) -> None:
        self.model, self.stage, self.clients, self.only = system, stage, clients, only
        self.clock = clock or SystemClock()
        self.telemetry = telemetry or Telemetry(self.clock)
        self._redactor = redactor
        self.ports: dict[str, Any] = {
            name: self._port(resource) for name, resource in system.resources.items() if self._needs(resource)
        }
        self.context = Context(system, self.ports, self.clock, cursor_key, self.telemetry)

    @cached_property
    def http(self) -> HttpDispatch:
        """The routes."""
        from windlass.dispatch.http import HttpDispatch
        from windlass.dispatch.throttle import Throttles

        admit = Throttles(self.clock.now).admit
        idempotency = self._idempotency()
        return HttpDispatch(self.context, admit=admit, idempotency=idempotency, only=self.only)

    def _idempotency(self) -> IdempotencyPort | None:
        from windlass.model.api import Api

        routes = (route for api in self.model.of(Api) for route in api.routes)
        if not any(route.idempotent for route in routes if self.only in (None, route.handler.name)):
            return None
        from windlass.engines.aws.idempotency import AwsIdempotency

        return AwsIdempotency(self.stage, self.clients, self.clock)

    def messages(self, queue: str) -> MessageDispatch:
        """The consumer of a queue."""
        from windlass.dispatch.messages import MessageDispatch
        from windlass.model.queue import Queue

        model = self.model.resources[queue]
        assert isinstance(model, Queue)
        return MessageDispatch(self.context, model, model.consumers[0])

    def ticks(self, schedule: str) -> TickDispatch:
        """The handler of a schedule."""
        from windlass.dispatch.tick import TickDispatch
        from windlass.model.schedule import Schedule

        model = self.model.resources[schedule]
        assert isinstance(model, Schedule)
        assert model.handler is not None
        return TickDispatch(self.context, model.handler)

    def _needs(self, resource: Resource) -> bool:
        """Whether what runs here may ask for a resource: what it has a grant for, what needs none, and the user pools
        that check tokens."""
        if self.only is None or resource.noun == "api":
            return True
        if resource.noun == "user_pool" and any(
            getattr(other, "auth", None) is resource for other in self.model.resources.values()
        ):
            return True
        granted = (grant for handler in self.model.handlers if handler.name == self.only for grant in handler.grants)
        return any(grant.resource.partition("/")[0] == resource.name for grant in granted)

    def _port(self, resource: Resource) -> Any:
        # A noun's modules, the model's too, are imported for a system that has it: a cold start pays for every import.
        make = getattr(self, f"_{resource.noun}", None)
        if make is None:
            raise EngineUnavailable(f"the AWS engine has no {resource.noun}, which {resource.where} is")
        return make(resource)

    def _table(self, resource: Table[Any]) -> Any:
        from windlass.engines.aws.table import AwsTable

        return AwsTable(resource, self.stage, self.clients, self.clock)

    def _queue(self, resource: Queue[Any]) -> Any:
        from windlass.engines.aws.queue import AwsQueue

        return AwsQueue(resource, self.stage, self.clients, self.clock, self.telemetry.metrics)

    def _user_pool(self, resource: UserPool) -> Any:
        from windlass.engines.aws.user_pool import AwsUserPool

        return AwsUserPool(resource, self.stage, self.clients, self.clock)

    def _secret(self, resource: Secret) -> Any:
        from windlass.engines.aws.secret import AwsSecret

        tell = None if self._redactor is None else self._redactor.add
        return AwsSecret(resource, self.stage, self.clients, self.clock, tell)

    def _mailer(self, resource: Mailer) -> Any:
        from windlass.engines.aws.mailer import AwsMailer

        return AwsMailer(resource, self.stage, self.clients, self.clock)

    def _schedule(self, resource: Schedule) -> Any:
        from windlass.engines.aws.schedule import AwsSchedule

        return AwsSchedule(resource, self.stage, self.clients, self.clock)

    def _api(self, resource: Api) -> Any:
        from windlass.engines.aws.api import AwsApi

        return AwsApi(resource, self.stage)

    def _site(self, resource: Site) -> Any:
        from windlass.engines.aws.site import AwsSite

        return AwsSite(resource)

    def _alarm(self, resource: Alarm) -> Any:
        from windlass.engines.aws.alarm import AwsAlarm

        return AwsAlarm(resource, self.stage, self.clients, self.clock)
