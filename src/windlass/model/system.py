"""A system: everything that is declared together, runs together and is deployed together."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from windlass.errors import DeclarationError
from windlass.model.handler import Function, Handler, declare
from windlass.model.resource import Resource, check_name

# A noun is imported when one is declared: a function on AWS starts anew every time that its load grows, and a system
# has few of the nouns.
if TYPE_CHECKING:
    from windlass.model.alarm import Alarm, AlarmSettings, Threshold
    from windlass.model.api import Api, Throttle
    from windlass.model.index import Index
    from windlass.model.mailer import Mailer
    from windlass.model.queue import Queue
    from windlass.model.schedule import Schedule
    from windlass.model.secret import Secret
    from windlass.model.site import Site
    from windlass.model.table import Table
    from windlass.model.user_pool import UserPool
    from windlass.ports.alarm import Missing
    from windlass.testing import Driver

__all__ = ["System"]

T = TypeVar("T")
F = TypeVar("F", bound=Callable[..., Any])
R = TypeVar("R", bound=Resource)


class System:
    """`System("todos")`, in a `system.py`; its methods declare what exists, and the resources' decorators what
    runs. `title` is for people."""

    def __init__(self, name: str, *, title: str | None = None, description: str = "") -> None:
        self.name = check_name(name, "system")
        self.title = title or name
        self.description = description
        self.resources: dict[str, Resource] = {}
        self.handlers: list[Handler] = []
        self.authorizers: dict[Function, Handler] = {}
        self._alarm_settings: AlarmSettings | None = None

    def __repr__(self) -> str:
        return f"<System {self.name}: {len(self.resources)} resources, {len(self.handlers)} handlers>"

    @property
    def alarm_settings(self) -> AlarmSettings:
        """What `alarms` was told; the defaults where it was not called."""
        from windlass.model.alarm import AlarmSettings

        return self._alarm_settings or AlarmSettings()

    def of(self, kind: type[R]) -> list[R]:
        """The declared resources of one noun, in the order of their declaration."""
        return [resource for resource in self.resources.values() if isinstance(resource, kind)]

    def api(
        self,
        name: str,
        *,
        auth: UserPool | Function | None = None,
        cors: Sequence[str] = (),
        throttle: float | Throttle | None = None,
        throttle_per_caller: float | Throttle | None = None,
        max_body: int = 1024 * 1024,
        title: str | None = None,
        description: str = "",
    ) -> Api:
        """An HTTP API; see `Api`."""
        from windlass.model.api import Api

        return self._add(
            Api(
                self,
                name,
                auth=auth,
                cors=cors,
                throttle=throttle,
                throttle_per_caller=throttle_per_caller,
                max_body=max_body,
                title=title,
                description=description,
            )
        )

    def user_pool(
        self,
        name: str,
        *,
        sign_in: Literal["email", "username"] = "email",
        groups: Sequence[str] = (),
        first_user: str | None = None,
        first_user_groups: Sequence[str] = (),
        access_token_life: timedelta = timedelta(hours=1),
        refresh_token_life: timedelta = timedelta(days=30),
        min_password_length: int = 12,
        lockout: int = 5,
        lockout_time: timedelta = timedelta(seconds=1),
    ) -> UserPool:
        """People and machines that sign in; see `UserPool`."""
        from windlass.model.user_pool import UserPool

        return self._add(
            UserPool(
                self,
                name,
                sign_in=sign_in,
                groups=groups,
                first_user=first_user,
                first_user_groups=first_user_groups,
                access_token_life=access_token_life,
                refresh_token_life=refresh_token_life,
                min_password_length=min_password_length,
                lockout=lockout,
                lockout_time=lockout_time,
            )
        )

    def table(
        self,
        name: str,
        item: type[T],
        *,
        key: str,
        sort: str | None = None,
        indexes: Mapping[str, Index] | None = None,
        ttl: str | None = None,
        version: str | None = None,
    ) -> Table[T]:
        """Items under keys; see `Table`."""
        from windlass.model.table import Table

        return self._add(Table(self, name, item, key=key, sort=sort, indexes=indexes, ttl=ttl, version=version))

    def queue(
        self,
        name: str,
        message: type[T],
        *,
        visibility: timedelta = timedelta(seconds=30),
        max_attempts: int = 5,
        retention: timedelta = timedelta(days=4),
        delay: timedelta = timedelta(0),
        fifo: bool = False,
        deduplicate: Literal["id", "content"] = "id",
    ) -> Queue[T]:
        """Messages to be handled later; see `Queue`."""
        from windlass.model.queue import Queue

        return self._add(
            Queue(
                self,
                name,
                message,
                visibility=visibility,
                max_attempts=max_attempts,
                retention=retention,
                delay=delay,
                fifo=fifo,
                deduplicate=deduplicate,
            )
        )

    def schedule(
        self,
        name: str,
        *,
        every: timedelta | None = None,
        cron: str | None = None,
        timezone: str = "UTC",
        retries: int = 2,
    ) -> Schedule:
        """Something that happens at times; see `Schedule`."""
        from windlass.model.schedule import Schedule

        return self._add(Schedule(self, name, every=every, cron=cron, timezone=timezone, retries=retries))

    def mailer(self, name: str, *, sender: str) -> Mailer:
        """Mail from one address; see `Mailer`."""
        from windlass.model.mailer import Mailer

        if name == "alarms":
            raise DeclarationError(
                "the mailer alarms is Windlass's own: it tells of this system's alarms",
                where=f"{self.name}.{name}",
                fix="give yours another name",
            )
        return self._add(Mailer(self, name, sender=sender))

    def secret(self, name: str, *, generate: int | None = None) -> Secret:
        """A text that nobody may see; see `Secret`."""
        from windlass.model.secret import Secret

        return self._add(Secret(self, name, generate=generate))

    def site(
        self,
        name: str,
        *,
        folder: str | Path,
        index: str = "index.html",
        not_found: str | None = None,
        max_age: timedelta = timedelta(0),
        headers: Mapping[str, str | None] | None = None,
    ) -> Site:
        """Files for a browser; see `Site`. `folder` is relative to the file that says this."""
        from windlass.model.site import Site

        beside = sys._getframe(1).f_globals.get("__file__")
        return self._add(
            Site(
                self,
                name,
                folder=folder,
                beside=beside,
                index=index,
                not_found=not_found,
                max_age=max_age,
                headers=headers,
            )
        )

    def alarm(
        self,
        name: str,
        *,
        of: Resource | Function | None = None,
        metric: str,
        statistic: str | None = None,
        above: Threshold | None = None,
        at_least: Threshold | None = None,
        below: Threshold | None = None,
        at_most: Threshold | None = None,
        period: timedelta = timedelta(minutes=1),
        periods: int = 1,
        datapoints: int | None = None,
        missing: Missing = "not_breaching",
        description: str = "",
    ) -> Alarm:
        """A rule about a metric; see `Alarm`. One that has the name of a default rule takes its place."""
        from windlass.model.alarm import Alarm

        return self._add(
            Alarm(
                self,
                name,
                of=of,
                metric=metric,
                statistic=statistic,
                above=above,
                at_least=at_least,
                below=below,
                at_most=at_most,
                period=period,
                periods=periods,
                datapoints=datapoints,
                missing=missing,
                description=description,
            )
        )

    def alarms(self, *, defaults: bool = True, to: Sequence[str] = (), sender: str | None = None) -> None:
        """About all alarms: whether every noun has its default rules, and whom changes of state are mailed to, from
        which address (that of the first of them, unless said). Without `to`, the mails stay in the inbox."""
        from windlass.model.alarm import AlarmSettings

        self._alarm_settings = AlarmSettings.checked(self.name, defaults, to, sender)

    def authorizer(self, *, uses: Sequence[object] = (), timeout: timedelta = timedelta(seconds=5)) -> Callable[[F], F]:
        """Makes a function an authorizer, to be given to an api as `auth=`.

        It takes the `Request` and returns the `Caller`; it raises Unauthorized or Forbidden for one it refuses.
        """

        def register(function: F) -> F:
            handler = declare(self.name, function, "authorizer", "authorizer", uses, timeout, timedelta(seconds=10))
            self.authorizers[function] = handler
            self.add_handler(handler)
            return function

        return register

    def add_handler(self, handler: Handler) -> None:
        """Registers a handler; the decorators of the nouns call this."""
        self.handlers.append(handler)

    def run_embedded(
        self, path: Path | str | None = None, *, seed: int | None = None, clock_start: datetime | None = None
    ) -> Driver:
        """A test driver over this system on the embedded engine; see `windlass.testing.Driver`.

        `path` is the folder for its state (None: one that is removed at the end); `seed` shuffles and repeats
        deliveries; `clock_start` (UTC) is the time at which the driver's clock stands.
        """
        # Looked up by name: a model that imported the engines would turn the import direction around.
        driver: type[Driver] = importlib.import_module("windlass.testing").Driver
        return driver(self, path, seed=seed, clock_start=clock_start)

    def _add(self, resource: R) -> R:
        if resource.name in self.resources:
            other = self.resources[resource.name]
            raise DeclarationError(
                f"{resource.name!r} is declared twice, as {other.noun} and as {resource.noun}",
                where=f"{self.name}.{resource.name}",
                fix="give each resource of a system its own name",
            )
        self.resources[resource.name] = resource
        return resource
