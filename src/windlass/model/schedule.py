"""A schedule: starts a handler at a rate or by a cron expression, as EventBridge Scheduler has them.

https://docs.aws.amazon.com/scheduler/latest/UserGuide/schedule-types.html
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, TypeVar

from windlass.errors import DeclarationError
from windlass.model.handler import Handler, declare
from windlass.model.resource import Resource, check_duration

if TYPE_CHECKING:
    from windlass.model.cron import Cron
    from windlass.model.system import System

__all__ = ["Schedule"]

F = TypeVar("F", bound=Callable[..., Any])


class Schedule(Resource):
    """Declared with `system.schedule(name, every=timedelta(minutes=5))` or
    `system.schedule(name, cron="0 3 * * ? *", timezone="Europe/Madrid")`.

    `every` is a whole number of minutes. A handler that raises is tried again `retries` times (0, 1 or 2), after
    one minute and then after two, as Lambda does it. While no engine runs nothing fires; at the next start the latest
    missed firing is made up for, once.
    """

    noun = "schedule"

    def __init__(
        self,
        system: System,
        name: str,
        *,
        every: timedelta | None = None,
        cron: str | None = None,
        timezone: str = "UTC",
        retries: int = 2,
    ) -> None:
        super().__init__(system, name)
        # Imported for a system that has a schedule: time zones and the calendar cost every other start 5 ms.
        from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

        from windlass.model.cron import Cron

        if (every is None) == (cron is None):
            raise DeclarationError(
                "give either every= or cron=", where=self.where, fix='every=timedelta(minutes=5) or cron="0 3 * * ? *"'
            )
        if every is not None:
            check_duration(every, "every", where=self.where)
        if every is not None and (every < timedelta(minutes=1) or every % timedelta(minutes=1)):
            raise DeclarationError(
                f"every={every} is not a whole number of minutes", where=self.where, fix="every=timedelta(minutes=1)"
            )
        if not 0 <= retries <= 2:
            raise DeclarationError(
                f"retries={retries} is out of range", where=self.where, fix="give 0, 1 or 2, as Lambda has it"
            )
        try:
            zone = ZoneInfo(timezone)
        except (ZoneInfoNotFoundError, ValueError):
            raise DeclarationError(
                f"timezone={timezone!r} is unknown", where=self.where, fix='an IANA name such as "Europe/Madrid"'
            ) from None
        self.every, self.cron_text, self.timezone, self.retries = every, cron, timezone, retries
        self.cron: Cron | None = None if cron is None else Cron(cron, zone, where=self.where)
        self.handler: Handler | None = None

    def next_after(self, moment: datetime) -> datetime | None:
        """The first firing after `moment` (UTC); None when there is none. A rate fires at whole multiples of its
        period since 1970, so that restarts do not shift it."""
        if self.every is not None:
            period = int(self.every.total_seconds())
            return datetime.fromtimestamp((int(moment.timestamp()) // period + 1) * period, UTC)
        assert self.cron is not None
        return self.cron.next_after(moment)

    def latest(self, first: datetime, until: datetime) -> datetime:
        """The last firing that is not after `until`, given that `first` is one that is not: what is made up for
        when an engine was down. It is found in about thirty steps, however many firings lie between."""
        known, beyond = first, until
        while beyond - known >= timedelta(minutes=1):
            middle = known + (beyond - known) / 2
            found = self.next_after(middle)
            if found is not None and found <= until:
                known = found
            else:
                beyond = middle
        return known

    def task(self, *, uses: Sequence[object] = (), timeout: timedelta = timedelta(minutes=1)) -> Callable[[F], F]:
        """Makes a function the one that this schedule starts. It takes no parameter, or one: a `Tick`."""

        def register(function: F) -> F:
            if self.handler is not None:
                raise DeclarationError(
                    f"the schedule starts {self.handler.name} already",
                    where=self.where,
                    fix="declare a second schedule, or let one function call the other",
                )
            self.handler = declare(
                self.system.name, function, "schedule", f"schedule {self.name}", uses, timeout, timedelta(minutes=15)
            )
            self.system.add_handler(self.handler)
            return function

        return register
