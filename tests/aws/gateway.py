"""API Gateway, as far as a test needs it: which function serves, who calls, and the payloads of format 2.0.

What is asked and answered here is what API Gateway does with an HTTP API, a JWT authorizer or a Lambda authorizer:
https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api.html
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

import msgspec

from windlass import System
from windlass.dispatch.routing import Router
from windlass.errors import BadRequest, MethodNotAllowed, NotFound, Unauthorized
from windlass.model.api import Api, Route
from windlass.model.user_pool import UserPool
from windlass.ports.api import Request, Response
from windlass.ports.user_pool import UserPoolPort

__all__ = ["Gateway"]

Invoke = Callable[[str, dict[str, Any]], Any]


class Gateway:
    """The HTTP APIs of a system. `invoke(handler, event)` calls a function, `pools` are its user pools by name."""

    def __init__(self, system: System, invoke: Invoke, pools: Callable[[str], UserPoolPort], now: Callable[[], float]):
        self._system, self._invoke, self._pools, self._now = system, invoke, pools, now
        self._router: Router[Route] = Router(
            (route.method, route.path, route) for api in system.of(Api) for route in api.routes
        )

    def answer(self, request: Request) -> Response:
        """What a client gets."""
        try:
            route, values = self._router.find(request.method, request.path)
        except (NotFound, MethodNotAllowed, BadRequest):
            return _own(404, "Not Found")
        event = self._event(route, request, values)
        if route.auth is not None:
            try:
                event["requestContext"]["authorizer"] = self._authorized(route, request, event)
            except Unauthorized:
                refused = _own(401, "Unauthorized")
                refused.headers.append(("www-authenticate", "Bearer"))
                return refused
            except PermissionError:
                return _own(403, "Forbidden")
        try:
            return _response(self._invoke(route.handler.name, event))
        except Exception:
            return _own(500, "Internal Server Error")

    def _authorized(self, route: Route, request: Request, event: dict[str, Any]) -> dict[str, Any]:
        if isinstance(route.auth, UserPool):
            scheme, _, token = request.headers.get("authorization", "").partition(" ")
            if scheme.lower() != "bearer":
                raise Unauthorized
            claims = self._pools(route.auth.name).verify(token.strip())
            return {"jwt": {"claims": {name: _claim(value) for name, value in claims.items()}, "scopes": None}}
        assert route.auth is not None
        handler = self._system.authorizers[route.auth]
        asked = {name: value for name, value in event.items() if name not in ("body", "isBase64Encoded")}
        asked |= {"type": "REQUEST", "identitySource": [request.headers.get("authorization", "")]}
        decision = self._invoke(handler.name, asked)
        if not decision["isAuthorized"]:
            raise PermissionError
        return {"lambda": decision.get("context", {})}

    def _event(self, route: Route, request: Request, values: Mapping[str, str]) -> dict[str, Any]:
        body, encoded = None, False
        if request.body:
            text = request.headers.get("content-type", "").startswith(("text/", "application/json"))
            with suppress(UnicodeDecodeError):
                body = request.body.decode() if text else None
            if body is None:
                body, encoded = base64.b64encode(request.body).decode(), True
        headers = {name: value for name, value in request.headers.items() if name != "cookie"}
        # The path comes decoded, all but the percent sign.
        path = request.path.replace("%", "%25")
        event: dict[str, Any] = {
            "version": "2.0",
            "routeKey": f"{route.method} {route.path}",
            "rawPath": path,
            "rawQueryString": request.query,
            "headers": {"host": "api.example.com", **headers},
            "requestContext": {
                "accountId": "123456789012",
                "apiId": "api",
                "domainName": "api.example.com",
                "http": {
                    "method": request.method,
                    "path": path,
                    "protocol": "HTTP/1.1",
                    "sourceIp": request.remote,
                    "userAgent": request.headers.get("user-agent", ""),
                },
                "requestId": "JKJaXmPLvHcESHA=",
                "routeKey": f"{route.method} {route.path}",
                "stage": "$default",
                "timeEpoch": int(self._now() * 1000),
            },
            "isBase64Encoded": encoded,
        }
        if "cookie" in request.headers:
            event["cookies"] = request.headers["cookie"].split("; ")
        if values:
            event["pathParameters"] = dict(values)
        if body is not None:
            event["body"] = body
        return event


def _claim(value: Any) -> str:
    """A claim as API Gateway hands it on: text, a list in brackets."""
    return f"[{' '.join(map(str, value))}]" if isinstance(value, list | tuple) else str(value)


def _own(status: int, message: str) -> Response:
    """API Gateway's own answer."""
    return Response(status, [("content-type", "application/json")], msgspec.json.encode({"message": message}))


def _response(answer: dict[str, Any]) -> Response:
    text = answer.get("body") or ""
    body = base64.b64decode(text) if answer.get("isBase64Encoded") else text.encode()
    headers = [(name.lower(), str(value)) for name, value in answer.get("headers", {}).items()]
    return Response(answer["statusCode"], headers + [("set-cookie", c) for c in answer.get("cookies", [])], body)
