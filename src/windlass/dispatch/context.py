"""What dispatch needs of an engine to run a system's handlers."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from windlass.dispatch.metrics import Metrics, Series, series
from windlass.graph.grants import grants
from windlass.model.handler import Handler
from windlass.model.system import System
from windlass.ports.binding import Invocation, invoked
from windlass.ports.clock import Clock

__all__ = ["Context", "logger"]

logger = logging.getLogger("windlass")


@dataclass(slots=True)
class _Known:
    """What is the same for every call of a handler, looked up once."""

    name: str
    grants: frozenset[tuple[str, str]]
    used: set[tuple[str, str]]
    ok: Series
    failed: Series
    duration: Series


@dataclass(slots=True)
class Context:
    """One system on one engine. `ports` maps a resource's name to the engine's implementation; `used` collects
    the grants that handlers made use of, by handler."""

    system: System
    ports: Mapping[str, Any]
    clock: Clock
    signing_key: bytes
    metrics: Metrics
    used: dict[str, set[tuple[str, str]]] = field(default_factory=dict)
    _known: dict[str, _Known] = field(init=False)

    def __post_init__(self) -> None:
        granted, system = grants(self.system), self.system.name
        self._known = {
            handler.name: _Known(
                f"{system}.{handler.name}",
                granted[handler.name],
                self.used.setdefault(handler.name, set()),
                series("calls", system=system, handler=handler.name, outcome="ok"),
                series("calls", system=system, handler=handler.name, outcome="error"),
                series("duration", system=system, handler=handler.name),
            )
            for handler in self.system.handlers
        }

    def call(self, handler: Handler, trace_id: str, deadline: float, function: Callable[[], Any]) -> Any:
        """Runs `function` as `handler` until `deadline` on `time.monotonic`'s scale; counts it, times it, and lets
        its exception through."""
        started = time.perf_counter()
        known = self._known[handler.name]
        outcome = known.failed
        invocation = Invocation(
            self.system.name,
            known.name,
            self.ports,
            self.clock,
            self.signing_key,
            trace_id,
            known.grants,
            deadline,
            known.used,
        )
        try:
            with invoked(invocation):
                result = function()
            outcome = known.ok
            return result
        except SystemExit as error:
            # It would go past everything that takes a handler's failure, and end the thread that serves.
            raise RuntimeError(f"{handler.name} called sys.exit({error.code!r})") from error
        finally:
            self.metrics.count(outcome)
            self.metrics.observe(known.duration, time.perf_counter() - started)
