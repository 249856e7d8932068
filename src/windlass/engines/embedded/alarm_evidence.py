"""What there is to see about an alarm: the latest failures behind it with their traces, and what to type."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple, Protocol

from windlass.dispatch.alarm import span_minutes
from windlass.engines.embedded.queue import EmbeddedQueue
from windlass.engines.embedded.recorder import Recorder, span_reader
from windlass.model.schedule import Schedule
from windlass.model.system import System
from windlass.ports.alarm import AlarmRule
from windlass.ports.clock import from_epoch
from windlass.ports.telemetry import Span

__all__ = ["Clue", "Evidence", "SpanFinder", "recorded_spans"]

_MOST = 3
_LONGEST = 200


class Clue(NamedTuple):
    """Something that went wrong: when, what, and the trace it belongs to, empty where there is none."""

    moment: str
    text: str
    trace: str


class SpanFinder(Protocol):
    def __call__(self, number: int, since: float, keep: Callable[[Span], bool], holding: str) -> list[Span]:
        """The newest `number` spans from `since` (epoch seconds) on that `keep` is true of, the oldest first, among
        those whose JSON holds that text."""
        ...


def recorded_spans(recorder: Recorder, namespace: Path) -> SpanFinder:
    """Finds spans in what the processes of a namespace have recorded, this one's until now."""

    def find(number: int, since: float, keep: Callable[[Span], bool], holding: str) -> list[Span]:
        recorder.record()
        return span_reader(namespace).newest(number, since, keep, holding)

    return find


class Evidence:
    """Of one system: `queues` by their names, `find` looks into what was traced."""

    def __init__(self, system: System, queues: Mapping[str, EmbeddedQueue], find: SpanFinder) -> None:
        self._system, self._queues, self._find = system, queues, find

    def of(self, rule: AlarmRule, at: float, *, alarmed: bool) -> tuple[list[Clue], list[tuple[str, str]]]:
        """The latest clues to a change at `at`, the newest first, and commands: a word and what to type. What is over
        needs neither."""
        if not alarmed:
            return [], []
        commands = [("look", f"windlass alarms {self._system.name} --history")]
        queue = self._queues.get(rule.of) if rule.noun == "queue" else None
        if queue is not None:
            return self._of_queue(queue, rule)
        if rule.noun == "mailer" and rule.metric == "failures":
            return [], [("look", f"windlass mail list {self._system.name} --mailer {rule.of}")]
        return self._of_spans(rule, at), commands

    def _of_queue(self, queue: EmbeddedQueue, rule: AlarmRule) -> tuple[list[Clue], list[tuple[str, str]]]:
        system, name = self._system.name, rule.of
        dead = queue.newest_dead(_MOST)
        clues = [
            Clue(
                _clock_time(one.visible_at),
                _line(one.reason or "", _consumer(queue)),
                (one.trace or "").partition("-")[0],
            )
            for one in dead
        ]
        if not dead:
            return clues, [("look", f"windlass queue list {system}")]
        return clues, [
            ("look", f"windlass queue peek {system} {name} --dead"),
            ("mend", f"windlass queue redrive {system} {name}"),
        ]

    def _of_spans(self, rule: AlarmRule, at: float) -> list[Clue]:
        keep, holding = self._wanted(rule)
        if not holding:
            return []
        since = at - (span_minutes(rule) + 1) * 60.0
        system = self._system.name
        spans = self._find(_MOST, since, lambda span: span.system == system and keep(span), holding)
        return [
            Clue(_clock_time(span.start), _line(span.error or _described(span), span.handler), span.trace)
            for span in reversed(spans)
        ]

    def _wanted(self, rule: AlarmRule) -> tuple[Callable[[Span], bool], str]:
        """Which spans tell about a rule, and a text that each of them has in its JSON; none where spans do not tell."""
        named = f'"{rule.of}"'
        slow = rule.metric in ("latency", "duration") and rule.statistic != "count" and rule.comparison in _HIGH
        match rule.noun:
            case "api" if rule.metric == "throttles":
                return (lambda span: span.kind == "request" and span.resource == rule.of and span.status == 429), named
            case "api" if rule.metric == "client_errors":
                return (
                    lambda span: span.kind == "request" and span.resource == rule.of and 400 <= span.status < 500
                ), named
            case "api" if rule.metric == "errors":
                return (lambda span: span.kind == "request" and span.resource == rule.of and span.status >= 500), named
            case "api" if slow:
                return (
                    lambda span: span.kind == "request" and span.resource == rule.of and span.seconds > rule.threshold
                ), named
            case "handler" | "schedule" if slow or rule.metric == "errors":
                handler = self._handler(rule)
                ran: Callable[[Span], bool] = lambda span: (  # noqa: E731
                    span.handler == handler
                    and span.kind != "call"
                    and (span.ran > rule.threshold if slow else span.outcome == "error")
                )
                return ran, f'"{handler}"'
            case "table" | "mailer" | "secret" | "user_pool" if slow or rule.metric == "errors":
                return (
                    lambda span: (
                        span.kind == "call"
                        and span.resource == rule.of
                        and (span.seconds > rule.threshold if slow else span.outcome == "error")
                    )
                ), named
        return (lambda span: False), ""

    def _handler(self, rule: AlarmRule) -> str:
        schedule = self._system.resources.get(rule.of) if rule.noun == "schedule" else None
        if isinstance(schedule, Schedule) and schedule.handler is not None:
            return schedule.handler.name
        return rule.of


_HIGH = ("above", "at_least")


def _consumer(queue: EmbeddedQueue) -> str:
    consumers = queue.model.consumers
    return consumers[0].handler.name if consumers else ""


def _described(span: Span) -> str:
    took = f"{span.seconds:.2f} s"
    return f"{span.name}: {span.status}, {took}" if span.status else f"{span.name}: {took}"


def _line(text: str, handler: str) -> str:
    """One line: what others have written may have several."""
    told = " ".join(text.split())[:_LONGEST] or "no reason was noted"
    return f"{handler}: {told}" if handler and handler != "-" else told


def _clock_time(seconds: float) -> str:
    return from_epoch(seconds).strftime("%H:%M:%SZ")
