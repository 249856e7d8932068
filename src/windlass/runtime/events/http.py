"""API Gateway's HTTP APIs: a request in payload format 2.0, and its answer.

https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-integrations-lambda.html
"""

from __future__ import annotations

import base64
from typing import Any

import msgspec

from windlass.dispatch.http import caller_of
from windlass.errors import BadRequest, Problem, Unauthorized
from windlass.ports.api import Caller, Request, Response
from windlass.runtime.events.malformed import reader, text_bytes

__all__ = ["MOST_BYTES", "answer_of", "request_of", "size_of"]

MOST_BYTES = 6_291_556
"""What a function may answer a request with, as JSON
(https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html)."""

_TEXT = ("text/", "application/json", "application/problem+json", "application/xml", "application/javascript")
_SURELY_SMALL = MOST_BYTES // 8
_NUMBERS = ("exp", "iat", "auth_time", "nbf")
_TRUTHS = ("email_verified", "phone_number_verified")


class _Http(msgspec.Struct, gc=False):
    method: str
    sourceIp: str = ""  # noqa: N815 - as AWS names it


class _Jwt(msgspec.Struct, gc=False):
    claims: dict[str, Any] | None = None


class _Authorizer(msgspec.Struct, gc=False):
    jwt: _Jwt | None = None
    told: dict[str, Any] | None = msgspec.field(default=None, name="lambda")


class _Context(msgspec.Struct, gc=False):
    http: _Http
    stage: str = "$default"
    authorizer: _Authorizer | None = None


class _Event(msgspec.Struct, gc=False, rename="camel"):
    request_context: _Context
    raw_path: str = "/"
    raw_query_string: str = ""
    headers: dict[str, str] | None = None
    cookies: list[str] | None = None
    body: str | None = None
    is_base64_encoded: bool = msgspec.field(default=False, name="isBase64Encoded")


_read = reader(_Event, "a request of an HTTP API (payload format 2.0)")


def request_of(event: object) -> Request:
    """The request in an event. Its path is below the stage. Raises MalformedEvent; BadRequest for a body that is not
    base64 where it should be; Unauthorized for a token without a subject."""
    read = _read(event)
    context = read.request_context
    # API Gateway has decoded the path, all but the escaped percent sign: `a%252Fb` comes as it was sent, `a%2Fb` as
    # `a/b`. Decoding what it decoded would make a path of it that nobody asked for.
    path = read.raw_path.replace("%25", "%") or "/"
    stage = context.stage
    if stage != "$default" and (path == f"/{stage}" or path.startswith(f"/{stage}/")):
        path = path[len(stage) + 1 :] or "/"
    headers = {name.lower(): value for name, value in (read.headers or {}).items()}
    if read.cookies:
        headers["cookie"] = "; ".join(read.cookies)
    body = text_bytes(read.body) if read.body else b""
    if read.is_base64_encoded:
        try:
            body = base64.b64decode(body, validate=True)
        except ValueError:  # binascii.Error, or letters that are not ASCII
            raise BadRequest("the body did not arrive whole", field="body") from None
    request = Request(context.http.method, path, read.raw_query_string, headers, body, context.http.sourceIp)
    if context.authorizer is not None:
        request.caller = _caller(context.authorizer)
    return request


def _caller(authorizer: _Authorizer) -> Caller | Problem | None:
    """Who calls, as the authorizer in front of the route found out."""
    if authorizer.jwt is not None:
        return caller_of(_claims(authorizer.jwt.claims or {}))
    if authorizer.told is None:
        return None
    from windlass.runtime.events.authorizer import caller_in  # which few functions need

    return caller_in(authorizer.told)


def _claims(claims: dict[str, Any]) -> dict[str, Any]:
    """The claims of a token as it had them: API Gateway hands each on as text, a list as `[a b]`. A handler would take
    the text `false` for true."""
    if not isinstance(claims.get("sub"), str) or not claims["sub"]:
        raise Unauthorized("the token names nobody")
    groups = claims.get("cognito:groups")
    if isinstance(groups, str):  # the names of groups have no spaces in Cognito, but may have brackets
        claims["cognito:groups"] = groups.removeprefix("[").removesuffix("]").split()
    elif not isinstance(groups, list | None) or any(not isinstance(group, str) for group in groups or ()):
        raise Unauthorized("the token's groups are not a list of names")
    elif groups is None:
        claims.pop("cognito:groups", None)
    for name in _TRUTHS:
        if claims.get(name) in ("true", "false"):
            claims[name] = claims[name] == "true"
    for name in _NUMBERS:
        value = claims.get(name)
        if isinstance(value, str) and value.isdecimal():
            claims[name] = int(value)
    return claims


def answer_of(response: Response, trace_id: str = "") -> dict[str, Any]:
    """The response as API Gateway takes it, with the headers that every answer has."""
    headers: dict[str, str] = {}
    cookies = []
    for name, value in response.headers:
        if name == "set-cookie":
            cookies.append(value)
        else:
            headers[name] = f"{headers[name]}, {value}" if name in headers else value
    headers["x-content-type-options"] = "nosniff"
    if trace_id:
        headers["x-trace-id"] = trace_id
    answer: dict[str, Any] = {"statusCode": response.status, "headers": headers, "isBase64Encoded": False}
    if cookies:
        answer["cookies"] = cookies
    body = response.body
    if not body:
        return answer
    text = _text(body) if headers.get("content-type", "").startswith(_TEXT) else None
    if text is None:
        answer["body"], answer["isBase64Encoded"] = base64.b64encode(body).decode(), True
    else:
        answer["body"] = text
    return answer


def _text(body: bytes) -> str | None:
    """The body as text, which is half as dear as base64; None where it is not UTF-8, whatever it says it is."""
    try:
        return body.decode()
    except UnicodeDecodeError:
        return None


def size_of(answer: dict[str, Any]) -> int:
    """How many bytes the answer has as JSON; 0 where it cannot be near the limit."""
    body = answer.get("body", "")
    # No character becomes more than six (\u0001) in JSON.
    return len(msgspec.json.encode(answer)) if len(body) > _SURELY_SMALL else 0
