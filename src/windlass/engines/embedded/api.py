"""The HTTP side of an API that API Gateway does on AWS: its address, throttles and CORS."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence

from windlass.engines.embedded.namespace import Namespace
from windlass.model.api import Api, Route, Throttle
from windlass.ports.api import Response

__all__ = ["EmbeddedApi", "Throttles", "cors_headers", "preflight"]

_MOST_CALLERS = 10_000
_PREFLIGHT_SECONDS = "600"


class EmbeddedApi:
    """Implements `ports.api.ApiPort`."""

    def __init__(self, model: Api, namespace: Namespace) -> None:
        self.model, self._namespace = model, namespace

    def url(self) -> str:
        return f"{self._namespace.base_url()}/{self.model.system.name}"


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


def cors_headers(api: Api, origin: str) -> list[tuple[str, str]]:
    """What lets a browser page of `origin` read the answer; nothing for an origin that is not listed."""
    if "*" in api.cors:
        allowed = "*"
    elif origin in api.cors:
        allowed = origin
    else:
        return []
    return [
        ("access-control-allow-origin", allowed),
        ("access-control-expose-headers", "link, location, retry-after, x-trace-id, idempotency-replayed"),
        ("vary", "origin"),
    ]


def preflight(api: Api, origin: str, methods: Sequence[str], wanted_headers: str) -> Response:
    """The answer to a browser's question whether it may call (https://fetch.spec.whatwg.org/#http-cors-protocol)."""
    headers = cors_headers(api, origin)
    if headers:
        headers += [
            ("access-control-allow-methods", ", ".join(methods)),
            ("access-control-allow-headers", wanted_headers[:1024] or "authorization, content-type, idempotency-key"),
            ("access-control-max-age", _PREFLIGHT_SECONDS),
        ]
    return Response(204, headers)
