"""The pages that the engine itself answers: health, the list of systems, each system's OpenAPI document and the
page to try it, and the public keys of its user pools."""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from typing import Any

import msgspec

from windlass.engines.embedded.engine import EmbeddedEngine, EmbeddedSystem
from windlass.engines.embedded.user_pool import EmbeddedUserPool
from windlass.errors import MethodNotAllowed, NotFound
from windlass.graph.openapi import openapi
from windlass.model.site import Site
from windlass.ports.api import Response

__all__ = ["own_page"]

_TYPES = {"html": "text/html; charset=utf-8", "js": "text/javascript; charset=utf-8", "css": "text/css; charset=utf-8"}
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


def own_page(engine: EmbeddedEngine, ready: bool, method: str, path: str) -> Response | None:
    """The page at `path`, None when it is not one of the engine's. Raises NotFound, MethodNotAllowed."""
    page = _page(engine, ready, path)
    if page is not None and method not in ("GET", "HEAD"):
        raise MethodNotAllowed(f"{method} is not offered here", ["GET", "HEAD"])
    return page


def _page(engine: EmbeddedEngine, ready: bool, path: str) -> Response | None:
    if path == "/_windlass/health":
        return _json({"status": "ready" if ready else "starting"}, 200 if ready else 503)
    if path == "/_windlass/metrics":
        raise MethodNotAllowed("GET is offered here", ["GET", "HEAD"])  # for which the gateway has it off its loop
    base = engine.namespace.base_url()
    if path == "/":
        return _json({"systems": {name: _links(base, system) for name, system in engine.systems.items()}})
    name, _, below = path[1:].partition("/")
    system = engine.systems.get(name)
    if system is None:
        return None
    if not below and system.model.of(Site):
        # Links in a page are relative to the last slash.
        return None if path.endswith("/") else Response(308, [("location", f"/{name}/")])
    if not below:
        return _json(_links(base, system))
    if below == "_openapi.json":
        issuers = {
            pool: str(port.discovery()["issuer"])
            for pool, port in system.ports.items()
            if isinstance(port, EmbeddedUserPool)
        }
        return _json(openapi(system.model, servers=[f"{base}/{name}"], issuers=issuers))
    if below == "_docs":
        return Response(308, [("location", f"/{name}/_docs/")])
    if below.startswith("_docs/"):
        return _file(below.removeprefix("_docs/") or "api.html")
    if below.startswith("_pools/"):
        return _pool(system, below.removeprefix("_pools/"))
    if below.startswith("_"):
        raise NotFound("there is nothing at this path")
    return None


def _links(base: str, system: EmbeddedSystem) -> dict[str, Any]:
    name = system.model.name
    return {
        "title": system.model.title,
        "url": f"{base}/{name}",
        "docs": f"{base}/{name}/_docs/",
        "openapi": f"{base}/{name}/_openapi.json",
    }


def _pool(system: EmbeddedSystem, path: str) -> Response:
    name, _, document = path.partition("/")
    pool = system.ports.get(name)
    if isinstance(pool, EmbeddedUserPool):
        if document == ".well-known/jwks.json":
            return _json(pool.jwks())
        if document == ".well-known/openid-configuration":
            return _json(pool.discovery())
    raise NotFound("there is nothing at this path")


def _json(content: Any, status: int = 200) -> Response:
    return Response(status, [("content-type", "application/json")], msgspec.json.encode(content))


def _file(name: str) -> Response:
    content = _static().get(name)
    if content is None:
        raise NotFound("there is nothing at this path")
    headers = [("content-type", _TYPES[name.rpartition(".")[2]]), ("content-security-policy", _POLICY)]
    return Response(200, [*headers, ("referrer-policy", "no-referrer")], content)


@cache
def _static() -> dict[str, bytes]:
    folder = files("windlass.engines.embedded") / "pages"
    return {file.name: file.read_bytes() for file in folder.iterdir() if file.name.rpartition(".")[2] in _TYPES}
