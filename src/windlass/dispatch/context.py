"""What dispatch needs of an engine to run a system's handlers."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec

from windlass.dispatch.calls import traced
from windlass.dispatch.metrics import Series, series
from windlass.dispatch.telemetry import BUILT_IN, Telemetry, told
from windlass.errors import HandlerStopped, HandlerTimeout, Misuse
from windlass.graph.grants import grants
from windlass.model.handler import Handler
from windlass.model.system import System
from windlass.ports.binding import Invocation, invoked
from windlass.ports.clock import Clock
from windlass.ports.telemetry import Span

__all__ = ["Context", "logger"]

logger = logging.getLogger("windlass")

_MOST_OWN_METRICS = 200


class _Known(msgspec.Struct):
    """What is the same for every call of a handler, looked up once."""

    name: str
    grants: frozenset[tuple[str, str]]
    used: set[tuple[str, str]]


@dataclass(slots=True)
class Context:
    """One system on one engine. `ports` maps a resource's name to the engine's implementation; `used` collects
    the grants that handlers made use of, by handler."""

    system: System
    ports: Mapping[str, Any]
    clock: Clock
    signing_key: bytes
    telemetry: Telemetry
    used: dict[str, set[tuple[str, str]]] = field(default_factory=dict)
    _known: dict[str, _Known] = field(init=False)
    _traced: dict[str, Any] = field(init=False)
    _own: dict[str, Series] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        granted, system = grants(self.system), self.system.name
        self._known = {
            handler.name: _Known(
                f"{system}.{handler.name}", granted[handler.name], self.used.setdefault(handler.name, set())
            )
            for handler in self.system.handlers
        }
        self._traced = {
            name: traced(port, self.system.resources[name], self.telemetry) for name, port in self.ports.items()
        }

    def call(self, handler: Handler, span: Span, deadline: float, function: Callable[[], Any]) -> Any:
        """Runs `function` as `handler` until `deadline` on `time.monotonic`'s scale; notes on `span` how long it took
        and how it ended, and lets its exception through. The span is not ended."""
        started = time.perf_counter()
        known = self._known[handler.name]
        span.handler = handler.name
        invocation = Invocation(
            self.system.name,
            known.name,
            self._traced,
            self.clock,
            self.signing_key,
            span.trace,
            span.id,
            known.grants,
            deadline,
            known.used,
            self._measure,
            span.start + span.seconds,
        )
        try:
            with invoked(invocation):
                return function()
        except SystemExit as error:
            told(span, error)
            # It would go past everything that takes a handler's failure, and end the thread that serves.
            raise RuntimeError(f"{handler.name} called sys.exit({error.code!r})") from error
        except HandlerStopped as error:
            late = HandlerTimeout(str(error)).with_traceback(error.__traceback__)
            told(span, late)
            raise late from None
        except BaseException as error:
            told(span, error)
            raise
        finally:
            span.ran = time.perf_counter() - started

    def _measure(self, name: str, value: float) -> None:
        known = self._own.get(name)
        if known is None:
            if name in BUILT_IN:
                raise Misuse(f"the metric {name} is Windlass's own\n  fix: give yours another name")
            if len(self._own) >= _MOST_OWN_METRICS:
                raise Misuse(
                    f"the metric {name} would be the {_MOST_OWN_METRICS + 1}th of {self.system.name}\n"
                    f"  fix: give metrics fixed names; what differs from call to call belongs in a log line"
                )
            known = self._own[name] = series(name, system=self.system.name)
        self.telemetry.metrics.count(known, value)
