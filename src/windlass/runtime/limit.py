"""The end of a handler's time: an alarm of the system that interrupts it, so that there is time left to answer.

Lambda ends a function that is out of time without a word: no answer, no log line, no metric. The embedded engine
gives a handler up and leaves its thread behind; a function has one thread, so here the handler itself is stopped.
"""

from __future__ import annotations

import signal
import threading
import time
from types import FrameType, TracebackType

from windlass.errors import HandlerStopped, HandlerTimeout

__all__ = ["Limit"]

_AT_LEAST = 0.001

# A handler may hold off the first alarm: in a `finally` that waits, or with a bare `except`.
_AGAIN = 0.1


class Limit:
    """Stops what is inside the `with` block when `deadline` (on `time.monotonic`'s scale) has passed, wherever it is:
    raises HandlerStopped there, again and again until the block ends, and HandlerTimeout out of the block where nobody
    took that. Only on the main thread of a system that has such alarms, as Lambda is; elsewhere it does nothing, and
    what a late handler still asks of resources is refused, as everywhere."""

    __slots__ = ("_before", "_deadline", "_handler", "_on")

    def __init__(self, deadline: float, handler: str) -> None:
        self._deadline, self._handler = deadline, handler
        self._on = hasattr(signal, "setitimer") and threading.current_thread() is threading.main_thread()

    def __enter__(self) -> None:
        if self._on:
            self._before = signal.signal(signal.SIGALRM, self._over)
            signal.setitimer(signal.ITIMER_REAL, max(_AT_LEAST, self._deadline - time.monotonic()))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._on:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, self._before)
        if isinstance(error, HandlerStopped):
            raise HandlerTimeout(str(error)) from error

    def _over(self, number: int, frame: FrameType | None) -> None:
        # Raised in `__exit__`, it would leave the alarm on for whatever runs next; in `__enter__`, nobody would end it.
        code = None if frame is None else frame.f_code
        if code is Limit.__exit__.__code__:
            return
        entering = code is Limit.__enter__.__code__
        signal.setitimer(signal.ITIMER_REAL, _AT_LEAST if entering else _AGAIN)
        if not entering:
            raise HandlerStopped(f"{self._handler} ran past its deadline and was stopped")
