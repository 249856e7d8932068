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
class Context:
    """One system on one engine. `ports` maps a resource's name to the engine's implementation; `used` collects
    the grants that handlers made use of, by handler."""

    system: System
    ports: Mapping[str, Any]
    clock: Clock
    signing_key: bytes
    metrics: Metrics
    used: dict[str, set[tuple[str, str]]] = field(default_factory=dict)
    _grants: dict[str, frozenset[tuple[str, str]]] = field(init=False)
    _series: dict[str, tuple[Series, Series, Series]] = field(init=False)

    def __post_init__(self) -> None:
        self._grants = grants(self.system)
        system = self.system.name
        self._series = {
            handler.name: (
                series("calls", system=system, handler=handler.name, outcome="ok"),
                series("calls", system=system, handler=handler.name, outcome="error"),
                series("duration", system=system, handler=handler.name),
            )
            for handler in self.system.handlers
        }

    def invocation(self, handler: Handler, trace_id: str, deadline: float) -> Invocation:
        """What `handler` runs under, until `deadline` on `time.monotonic`'s scale."""
        return Invocation(
            self.system.name,
            f"{self.system.name}.{handler.name}",
            self.ports,
            self.clock,
            self.signing_key,
            trace_id,
            self._grants[handler.name],
            deadline,
            self.used.setdefault(handler.name, set()),
        )

    def call(self, handler: Handler, trace_id: str, deadline: float, function: Callable[[], Any]) -> Any:
        """Runs `function` as `handler`; counts it, times it, and lets its exception through."""
        started = time.perf_counter()
        ok, failed, duration = self._series[handler.name]
        outcome = failed
        try:
            with invoked(self.invocation(handler, trace_id, deadline)):
                result = function()
            outcome = ok
            return result
        except SystemExit as error:
            # It would go past everything that takes a handler's failure, and end the thread that serves.
            raise RuntimeError(f"{handler.name} called sys.exit({error.code!r})") from error
        finally:
            self.metrics.count(outcome)
            self.metrics.observe(duration, time.perf_counter() - started)
