"""The HTTP side of an API that API Gateway does on AWS: its address and CORS."""

from __future__ import annotations

from collections.abc import Sequence

from windlass.engines.embedded.namespace import Namespace
from windlass.model.api import Api
from windlass.ports.api import Response

__all__ = ["EmbeddedApi", "cors_headers", "preflight"]

_PREFLIGHT_SECONDS = "600"


class EmbeddedApi:
    """Implements `ports.api.ApiPort`."""

    def __init__(self, model: Api, namespace: Namespace) -> None:
        self.model, self._namespace = model, namespace

    def url(self) -> str:
        return f"{self._namespace.base_url()}/{self.model.system.name}"


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
