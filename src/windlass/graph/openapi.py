"""A system's apis as an OpenAPI 3.1 document: https://spec.openapis.org/oas/v3.1.1.html"""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

import msgspec

from windlass.graph.annotation import answer
from windlass.graph.check import check
from windlass.graph.schema import schemas
from windlass.model.api import Api, Route
from windlass.model.signature import MISSING, Parameter, parameters, return_type, without_none
from windlass.model.system import System
from windlass.model.table import Table
from windlass.model.user_pool import UserPool

__all__ = ["openapi"]

_SCHEMAS = "#/components/schemas/"
_TABLE_WRITES = {"put", "update", "delete", "check"}
_RETRY_AFTER = {"Retry-After": {"description": "Seconds to wait.", "schema": {"type": "integer"}}}
_HEADERS: dict[int, dict[str, Any]] = {
    401: {"WWW-Authenticate": {"description": "How to authenticate.", "schema": {"type": "string"}}},
    409: _RETRY_AFTER,
    429: _RETRY_AFTER,
    503: _RETRY_AFTER,
}
# Named here and not after http.HTTPStatus, whose phrases differ between versions of Python.
_PROBLEMS = {
    400: ("BadRequest", "The request cannot be understood; its errors say which fields are at fault."),
    401: ("Unauthorized", "Nobody is signed in, or the credentials are wrong."),
    403: ("Forbidden", "The caller may not do this."),
    404: ("NotFound", "There is nothing of that name."),
    409: ("Conflict", "Something else has happened in between, or exists already."),
    413: ("ContentTooLarge", "The body is too large."),
    415: ("UnsupportedMediaType", "The body is not JSON in a charset that is understood."),
    422: ("UnprocessableContent", "The Idempotency-Key was used for another request."),
    429: ("TooManyRequests", "Too many requests."),
    500: ("InternalServerError", "An internal fault. It was logged under the trace id."),
    503: ("ServiceUnavailable", "The service cannot do this now."),
    504: ("GatewayTimeout", "The request took too long and was given up."),
}
_IDEMPOTENCY_KEY = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "description": "A request that repeats a key gets the first answer again, and nothing is done twice.",
    "schema": {"type": "string", "minLength": 1, "maxLength": 255},
}


@dataclass(frozen=True, slots=True)
class FieldProblem:
    """A field at fault, by its path: `body.lines[0].count`, `query.limit`."""

    field: str
    message: str


@dataclass(frozen=True, slots=True)
class Problem:
    """Why a request was not answered (RFC 9457). The trace id finds what was logged."""

    type: str
    title: str
    status: int
    detail: str
    trace_id: str
    errors: list[FieldProblem] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Operation:
    """A route with what its function takes and what it answers; the types go through msgspec together, so that
    each gets one name."""

    route: Route
    taken: tuple[Parameter, ...]
    returned: Any

    def kinds(self) -> list[Any]:
        return [parameter.kind for parameter in self.taken] + [self.returned]


def openapi(
    system: System,
    *,
    servers: Sequence[str] | None = None,
    version: str = "1",
    issuers: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """The document, as JSON types; equal systems give equal documents.

    `servers` are the URLs before the paths (by default `/{system}`, where the embedded gateway has it). `issuers`
    maps a user pool's name to its issuer's URL; with it the document says where OpenID Connect discovery is, and
    without it that a bearer token is taken. Raises GraphError when `check` finds faults.
    """
    check(system)
    operations = [_operation(route) for api in system.of(Api) for route in api.routes]
    kinds = [kind for operation in operations for kind in operation.kinds()]
    made, components = schemas([*kinds, Problem], _SCHEMAS)
    statuses: set[int] = set()
    paths: dict[str, dict[str, Any]] = {}
    position = 0
    for operation in operations:
        count = len(operation.kinds())
        item = paths.setdefault(_path(operation.route), {})
        item[operation.route.method.lower()] = _described(operation, made[position : position + count], statuses)
        position += count
    apis = system.of(Api)
    info: dict[str, Any] = {"title": apis[0].title if len(apis) == 1 else system.title, "version": version}
    if description := "\n\n".join(text for text in (system.description, _only(apis)) if text):
        info["description"] = description
    document: dict[str, Any] = {
        "openapi": "3.1.0",
        "info": info,
        "servers": [{"url": url} for url in servers or [f"/{system.name}"]],
        "tags": [_tag(api) for api in apis if api.routes],
        "paths": paths,
        "components": {
            "schemas": components,
            "responses": {_response_name(status): _problem(status, made[-1]) for status in sorted(statuses)},
        },
    }
    if schemes := _security_schemes(apis, issuers or {}):
        document["components"]["securitySchemes"] = schemes
    return document


def _operation(route: Route) -> _Operation:
    function = route.handler.function
    taken = parameters(function, route.parameters, where=route.handler.name)
    sent = tuple(parameter for parameter in taken if parameter.source not in ("caller", "request"))
    return _Operation(route, sent, answer(return_type(function, where=route.handler.name)))


def _path(route: Route) -> str:
    """The path as OpenAPI has it: it knows no greedy parameter."""
    return route.path.replace("+}", "}")


def _only(apis: Sequence[Api]) -> str:
    return apis[0].description if len(apis) == 1 else ""


def _tag(api: Api) -> dict[str, str]:
    return {"name": api.name} | ({"description": api.description} if api.description else {})


def _described(operation: _Operation, made: Sequence[dict[str, Any]], statuses: set[int]) -> dict[str, Any]:
    route = operation.route
    doc = inspect.getdoc(route.handler.function) or ""
    summary, _, description = doc.partition("\n")
    described: dict[str, Any] = {
        "operationId": route.handler.name,
        "tags": [route.api.name],
        "summary": summary.strip() or route.handler.name.replace("_", " ").capitalize(),
    }
    notes = [description.strip()]
    if route.roles:
        notes.append(f"Needs one of the roles: {', '.join(sorted(route.roles))}.")
    if text := "\n\n".join(note for note in notes if note):
        described["description"] = text
    listed = []
    for parameter, schema in zip(operation.taken, made, strict=False):
        if parameter.source == "body":
            described["requestBody"] = _body(parameter, schema)
        else:
            listed.append(_parameter(parameter, schema, route))
    if route.idempotent is not None and not any(one["name"].lower() == "idempotency-key" for one in listed):
        listed.append(_IDEMPOTENCY_KEY)
    if listed:
        described["parameters"] = listed
    described["responses"] = {str(route.status): _success(operation, made[-1])}
    problems = _problems(operation)
    statuses.update(problems)
    for status in problems:
        described["responses"][str(status)] = {"$ref": f"#/components/responses/{_response_name(status)}"}
    if auth := route.auth:
        # Of a bearer scheme the list may name roles since OpenAPI 3.1.
        described["security"] = [{_scheme_name(auth): sorted(route.roles)}]
    elif route.api.auth is not None:
        described["security"] = []
    return described


def _parameter(parameter: Parameter, schema: dict[str, Any], route: Route) -> dict[str, Any]:
    _, nullable = without_none(parameter.kind)
    schema = _without_null(schema)
    described: dict[str, Any] = {"name": parameter.wire_name, "in": parameter.source}
    required = parameter.required and not (nullable and parameter.source == "query")
    described["required"] = required
    if description := schema.pop("description", ""):
        described["description"] = description
    if f"{{{parameter.name}+}}" in route.path:
        described["description"] = f"{description} It may hold slashes.".strip()
        described["x-windlass-greedy"] = True
    if parameter.default is not MISSING and parameter.default is not None:
        schema["default"] = msgspec.to_builtins(parameter.default, str_keys=True)
    return {**described, "schema": schema}


def _without_null(schema: dict[str, Any]) -> dict[str, Any]:
    """`schema` for what is sent: a parameter that is None is one that is not sent."""
    choices = [choice for choice in schema.get("anyOf", []) if choice != {"type": "null"}]
    if not choices:
        return dict(schema)
    rest = {key: value for key, value in schema.items() if key != "anyOf"}
    return {**choices[0], **rest} if len(choices) == 1 else {**rest, "anyOf": choices}


def _body(parameter: Parameter, schema: dict[str, Any]) -> dict[str, Any]:
    if parameter.kind is bytes:
        return {"required": False, "content": {"application/octet-stream": {}}}
    return {"required": parameter.required, "content": {"application/json": {"schema": schema}}}


def _success(operation: _Operation, schema: dict[str, Any]) -> dict[str, Any]:
    route = operation.route
    described: dict[str, Any] = {"description": HTTPStatus(route.status).phrase}
    if route.idempotent is not None:
        described["headers"] = {
            "Idempotency-Replayed": {
                "description": "`true` on an answer that was given before.",
                "schema": {"type": "string"},
            }
        }
    if operation.returned is bytes:
        described["content"] = {"application/octet-stream": {}}
    elif operation.returned not in (None, type(None)):
        described["content"] = {"application/json": {"schema": schema}}
    return described


def _problems(operation: _Operation) -> list[int]:
    """The statuses other than success that this route can answer, as far as its declaration tells."""
    route, sources = operation.route, {parameter.source for parameter in operation.taken}
    granted = {grant.operation for grant in route.handler.grants}
    tables = {table.name for table in route.api.system.of(Table)}
    writes = any(g.resource in tables and g.operation in _TABLE_WRITES for g in route.handler.grants)
    reads_json = any(p.source == "body" and p.kind is not bytes for p in operation.taken)
    conditions = {
        400: bool(sources) or route.idempotent is not None,
        401: route.auth is not None or bool(granted & {"sign_in", "refresh"}),
        403: bool(route.roles) or (route.auth is not None and not isinstance(route.auth, UserPool)),
        404: "path" in sources,
        409: writes or route.idempotent is not None,
        413: "body" in sources,
        415: reads_json,
        422: route.idempotent is not None,
        429: bool(route.throttle or route.throttle_per_caller) or "sign_in" in granted,
        500: True,
        503: True,
        504: True,
    }
    return [status for status, possible in conditions.items() if possible]


def _response_name(status: int) -> str:
    return _PROBLEMS[status][0]


def _problem(status: int, schema: dict[str, Any]) -> dict[str, Any]:
    described: dict[str, Any] = {"description": _PROBLEMS[status][1]}
    if status in _HEADERS:
        described["headers"] = _HEADERS[status]
    return {**described, "content": {"application/problem+json": {"schema": schema}}}


def _scheme_name(auth: Any) -> str:
    return auth.name if isinstance(auth, UserPool) else str(auth.__name__)


def _security_schemes(apis: Sequence[Api], issuers: Mapping[str, str]) -> dict[str, Any]:
    schemes: dict[str, Any] = {}
    for api in apis:
        if isinstance(api.auth, UserPool):
            issuer = issuers.get(api.auth.name)
            schemes[api.auth.name] = (
                {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}
                if issuer is None
                else {
                    "type": "openIdConnect",
                    "openIdConnectUrl": f"{issuer.rstrip('/')}/.well-known/openid-configuration",
                }
            )
        elif api.auth is not None:
            doc = (inspect.getdoc(api.auth) or "").split("\n", 1)[0]
            schemes[api.auth.__name__] = {"type": "http", "scheme": "bearer"} | ({"description": doc} if doc else {})
    return schemes
