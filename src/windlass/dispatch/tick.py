"""A firing of a schedule -> its handler."""

from __future__ import annotations

import inspect

from windlass.dispatch.context import Context, logger
from windlass.model.handler import Handler
from windlass.ports.schedule import Tick
from windlass.ports.telemetry import Origin

__all__ = ["TickDispatch"]


class TickDispatch:
    """The handler of one schedule."""

    def __init__(self, context: Context, handler: Handler) -> None:
        self._context, self._handler = context, handler
        self._takes_tick = bool(inspect.signature(handler.function).parameters)

    def handle(self, tick: Tick, deadline: float, cause: Origin | None = None) -> bool:
        """Runs the handler, in the trace of `cause` or one of its own; whether it succeeded. Never raises."""
        handler, telemetry = self._handler, self._context.telemetry
        span = telemetry.begin("tick", handler.trigger, self._context.system.name, cause)
        try:
            self._context.call(
                handler,
                span,
                deadline,
                (lambda: handler.function(tick)) if self._takes_tick else handler.function,
            )
        except Exception as error:
            logger.warning(
                "%s failed on its schedule, attempt %d",
                handler.name,
                tick.attempt,
                exc_info=error,
                extra={"trace_id": span.trace, "system": self._context.system.name, "handler": handler.name},
            )
            return False
        finally:
            telemetry.end(span)
        return True
