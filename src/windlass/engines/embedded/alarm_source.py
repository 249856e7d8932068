"""When alarms are evaluated, and on what: once a minute, a little after it is over, by the engine's clock."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from windlass.dispatch.alarm import Verdict, judge, span_minutes, values_of
from windlass.dispatch.context import logger
from windlass.dispatch.metrics import Distribution, Series, minute_of, series
from windlass.dispatch.telemetry import Telemetry
from windlass.engines.embedded.alarm import AlarmBook
from windlass.engines.embedded.alarm_mail import AlarmPost
from windlass.engines.embedded.queue import EmbeddedQueue
from windlass.errors import EngineUnavailable
from windlass.ports.alarm import AlarmRule, AlarmStatus
from windlass.ports.clock import Clock
from windlass.ports.queue import QueueStats

__all__ = ["AlarmSource", "MinuteMetrics", "WatchedSystem"]

_MINUTE = 60.0
# What other processes measured in a minute is stored a second after it at the latest.
_GRACE = 2.0


class MinuteMetrics(Protocol):
    """What is stored of the metrics of all processes."""

    def window(
        self, name: str, labels: Mapping[str, str], first_minute: int, minutes: int
    ) -> list[Distribution | None]: ...

    def latest_minute(self) -> int | None: ...


class _Gauge:
    """A queue's figures, which are not counted but looked at. `held` is what they were when they were looked at
    last, None before that."""

    def __init__(self, queue: EmbeddedQueue) -> None:
        self._queue = queue
        self._labels = {"system": queue.model.system.name, "queue": queue.model.name}
        self.held: QueueStats | None = None

    def look(self) -> QueueStats:
        return self._queue.stats()

    def series(self, stats: QueueStats) -> dict[Series, float]:
        figures = {
            "queue_depth": stats.waiting,
            "queue_in_flight": stats.in_flight,
            "queue_delayed": stats.delayed,
            "queue_dead": stats.dead,
            "queue_age": stats.oldest_age,
        }
        return {series(name, **self._labels): float(value) for name, value in figures.items()}

    @property
    def still(self) -> bool:
        """Whether its figures stay as they are until somebody does something."""
        return self.held is not None and not (self.held.waiting or self.held.in_flight or self.held.delayed)


class WatchedSystem:
    """The alarms of one system, its queues, and the post that tells of changes."""

    def __init__(self, book: AlarmBook, post: AlarmPost, queues: Sequence[EmbeddedQueue]) -> None:
        self.book, self.post = book, post
        self.gauges = [_Gauge(queue) for queue in queues]

    def evaluate(self, metrics: MinuteMetrics, minute: int) -> None:
        """Evaluates all rules on the minutes up to `minute`."""

        def found(status: AlarmStatus) -> Verdict:
            rule = status.rule
            span = span_minutes(rule)
            window = metrics.window(rule.series, dict(rule.labels), minute - span + 1, span)
            return judge(rule, values_of(rule, window), status.state)

        self.book.enter([(status, found(status)) for status in self.book.statuses()])

    def steady(self) -> bool:
        """Whether every alarm stays as it is for as long as nothing is recorded and the gauges stand still."""
        held: dict[Series, float] = {}
        for gauge in self.gauges:
            if gauge.held is not None:
                held |= gauge.series(gauge.held)

        def stays(rule: AlarmRule) -> list[float | None]:
            if rule.statistic == "count" and (rule.series, rule.labels) in held:
                return [float(rule.period)] * (span_minutes(rule) // rule.period)
            constant = held.get((rule.series, rule.labels))
            if constant is not None and rule.statistic == "sum":
                constant *= rule.period
            return [constant] * (span_minutes(rule) // rule.period)

        return all(judge(one.rule, stays(one.rule), one.state).state == one.state for one in self.book.statuses())


class AlarmSource:
    """All alarms of an engine, as a source of work for the pump.

    It rests when another evaluation would find what the last one found: nothing was recorded within the rules'
    reach, no queue has messages that wait or are being handled, every state is steady, and nothing waits to be told.
    It goes on when something is recorded here, or dead letters vanish. With `shared`, other processes record too, and
    it does not rest. After a rest, the gauges stood where they were when it began. After a pause of any other kind
    (the machine slept, the process was down) there is one evaluation, with what is missing.

    `merge` stores what this process has recorded.
    """

    concurrency = 1
    timeout = 60.0

    def __init__(
        self,
        clock: Clock,
        telemetry: Telemetry,
        metrics: MinuteMetrics,
        merge: Callable[[], None],
        systems: Sequence[WatchedSystem],
        *,
        shared: bool = False,
    ) -> None:
        self._clock, self._telemetry, self._metrics, self._merge = clock, telemetry, metrics, merge
        self._systems, self._shared = list(systems), shared
        self._reach = max((span_minutes(rule) for one in systems for rule in one.book.rules), default=0)
        self._next: float | None = _following(clock.now())
        self._active: int | None = None  # the last minute in which something was recorded
        self._begun = False
        self._resting_since: int | None = None
        self._mark = 0

    def due_at(self) -> float | None:
        now = self._clock.now()
        if self._next is None:
            if self._telemetry.recorded_since(self._mark) or self._dead_letters_changed():
                self._next = _following(now)
        elif self._next > now + 2 * _MINUTE:  # the clock went back
            self._next = _following(now)
        return self._next

    def claim(self, now: float, room: int) -> list[AlarmSource]:
        self._next = _following(now)
        return [self]

    def run(self) -> None:
        try:
            self._evaluate()
        except EngineUnavailable as error:
            logger.error("alarms cannot be evaluated now: %s", error)
        except Exception:
            logger.exception("alarms could not be evaluated")

    def expire(self) -> None:
        logger.warning("evaluating the alarms takes longer than a minute")

    def _evaluate(self) -> None:
        now = self._clock.now()
        minute = minute_of(now - _GRACE) - 1
        if not self._begun:
            self._merge()
            self._active, self._begun = self._metrics.latest_minute(), True
        elif self._telemetry.recorded_since(self._mark):
            self._active = minute_of(now)
        self._sample(minute)
        self._merge()
        self._mark = self._telemetry.metrics.mark()
        waiting = 0
        for one in self._systems:
            one.evaluate(self._metrics, minute)
            waiting += one.post.tell()
        if not self._shared and not waiting and self._at_rest(minute):
            self._next, self._resting_since = None, minute

    def _sample(self, minute: int) -> None:
        """Looks at the gauges, and takes what they show for the minute that has just ended."""
        rested, self._resting_since = self._resting_since, None
        add = self._telemetry.metrics.add
        for one in self._systems:
            for gauge in one.gauges:
                if rested is not None and gauge.held is not None:
                    for counted, value in gauge.series(gauge.held).items():
                        for missed in range(max(rested + 1, minute - self._reach), minute):
                            add(counted, missed, [value])
                shown = gauge.look()
                if gauge.held is not None and gauge.held != shown:
                    self._active = minute
                gauge.held = shown
                for counted, value in gauge.series(shown).items():
                    add(counted, minute, [value])

    def _at_rest(self, minute: int) -> bool:
        latest = self._metrics.latest_minute()
        return (
            (self._active is None or self._active <= minute - self._reach)
            and (latest is None or latest <= minute)  # else something was recorded during this evaluation
            and all(gauge.still for one in self._systems for gauge in one.gauges)
            and all(one.steady() for one in self._systems)
        )

    def _dead_letters_changed(self) -> bool:
        return any(
            gauge.look().dead != gauge.held.dead
            for one in self._systems
            for gauge in one.gauges
            if gauge.held is not None and gauge.held.dead
        )


def _following(now: float) -> float:
    """The next time for an evaluation: the first after `now` that is the grace after a full minute."""
    return ((now - _GRACE) // _MINUTE + 1) * _MINUTE + _GRACE
