"""Throttles: how many requests a route takes, of all and of each caller."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable

from windlass.model.api import Route, Throttle

__all__ = ["Throttles"]

_MOST_CALLERS = 10_000


class Throttles:
    """Token buckets, one for each route and one for each caller of a route; the callers seen longest ago are
    forgotten when there are more than 10,000. `now` is in seconds, on any scale."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._lock = threading.Lock()
        self._buckets: OrderedDict[tuple[str, str, str | None], tuple[float, float]] = OrderedDict()

    def admit(self, route: Route, caller_id: str | None) -> float:
        """Takes a token. 0, or after how many seconds there will be one."""
        throttle: Throttle | None = route.throttle if caller_id is None else route.throttle_per_caller
        if throttle is None:
            return 0.0
        key = (route.method, route.path, caller_id)
        now = self._now()
        with self._lock:
            tokens, since = self._buckets.pop(key, (float(throttle.burst), now))
            tokens = min(float(throttle.burst), tokens + (now - since) * throttle.rate)
            allowed = tokens >= 1
            self._buckets[key] = (tokens - 1 if allowed else tokens, now)
            if len(self._buckets) > _MOST_CALLERS:
                self._buckets.popitem(last=False)
        return 0.0 if allowed else (1 - tokens) / throttle.rate
