"""From a request to a handler's arguments."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Annotated, Any, get_args, get_origin
from urllib.parse import parse_qsl

import msgspec

from windlass.dispatch.body import converted, field_error, json_text
from windlass.errors import BadRequest, Unauthorized
from windlass.model.signature import MISSING, Parameter, without_none
from windlass.model.type_tree import completer
from windlass.ports.api import Caller, Request

__all__ = ["Binder"]

Take = Callable[[Request, Mapping[str, str], Caller | None, dict[str, list[str]]], Any]
_MOST_QUERY_FIELDS = 100


class Binder:
    """Makes the keyword arguments of one route's handler. Compiled once, so that a request only runs what its
    parameters need."""

    def __init__(self, parameters: tuple[Parameter, ...]) -> None:
        self._takes: list[tuple[str, Take]] = [(parameter.name, _taker(parameter)) for parameter in parameters]
        self._query_names = {p.wire_name for p in parameters if p.source == "query"}
        self.raw_body = any(p.source == "body" and p.kind is bytes for p in parameters)

    def __call__(self, request: Request, path: Mapping[str, str], caller: Caller | None) -> dict[str, Any]:
        """Raises BadRequest, Unauthorized, UnsupportedMediaType."""
        query: dict[str, list[str]] = {}
        if self._query_names:
            query = self._query(request.query)
        return {name: take(request, path, caller, query) for name, take in self._takes}

    def _query(self, text: str) -> dict[str, list[str]]:
        found: dict[str, list[str]] = {}
        if not text:
            return found
        try:
            pairs = parse_qsl(text, keep_blank_values=True, max_num_fields=_MOST_QUERY_FIELDS, errors="strict")
        except UnicodeDecodeError:
            raise BadRequest("the query is not valid UTF-8", field="query") from None
        except ValueError:
            raise BadRequest(f"the query has more than {_MOST_QUERY_FIELDS} fields", field="query") from None
        for name, value in pairs:
            if name in self._query_names:
                found.setdefault(name, []).append(value)
        return found


def _taker(parameter: Parameter) -> Take:
    return {
        "body": _body,
        "path": _path,
        "query": _query,
        "header": _header,
        "caller": _caller,
        "request": _request,
    }[parameter.source](parameter)


def _body(parameter: Parameter) -> Take:
    default = parameter.default
    if parameter.kind is bytes:
        return lambda request, path, caller, query: request.body
    decoder, complete = msgspec.json.Decoder(parameter.kind), completer(parameter.kind)

    def take(request: Request, path: Mapping[str, str], caller: Caller | None, query: dict[str, list[str]]) -> Any:
        body = request.body
        if not body and default is not MISSING:
            return default
        if not body:
            raise BadRequest("the body is missing: send JSON", field="body")
        headers = request.headers
        text = json_text(body, headers.get("content-type"), headers.get("content-encoding"))
        try:
            decoded = decoder.decode(text)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise field_error(error, "body") from None
        if complete is not None:
            complete(decoded)
        return decoded

    return take


def _path(parameter: Parameter) -> Take:
    name, kind, field = parameter.wire_name, parameter.kind, f"path.{parameter.wire_name}"
    return lambda request, path, caller, query: converted(path[name], kind, field)


def _query(parameter: Parameter) -> Take:
    name, kind, default = parameter.wire_name, parameter.kind, parameter.default
    field = f"query.{name}"
    bare, nullable = without_none(kind)
    plain = get_args(bare)[0] if get_origin(bare) is Annotated else bare
    many = (get_origin(plain) or plain) in (list, tuple, set, frozenset)

    def take(request: Request, path: Mapping[str, str], caller: Caller | None, query: dict[str, list[str]]) -> Any:
        values = query.get(name)
        if values is None:
            if default is MISSING:
                if nullable:
                    return None
                raise BadRequest(f"{name} is missing", field=field)
            return default
        if many:
            return converted(values, kind, field)
        if len(values) > 1:
            raise BadRequest(f"{name} was sent {len(values)} times", field=field)
        return converted(values[0], kind, field)

    return take


def _header(parameter: Parameter) -> Take:
    name, kind, default = parameter.wire_name, parameter.kind, parameter.default
    field = f"header.{name}"
    nullable = without_none(kind)[1]

    def take(request: Request, path: Mapping[str, str], caller: Caller | None, query: dict[str, list[str]]) -> Any:
        value = request.headers.get(name)
        if value is None:
            if default is MISSING:
                if nullable:
                    return None
                raise BadRequest(f"the header {name} is missing", field=field)
            return default
        return converted(value, kind, field)

    return take


def _caller(parameter: Parameter) -> Take:
    optional = without_none(parameter.kind)[1]

    def take(request: Request, path: Mapping[str, str], caller: Caller | None, query: dict[str, list[str]]) -> Any:
        if caller is None and not optional:
            raise Unauthorized("sign in first")
        return caller

    return take


def _request(parameter: Parameter) -> Take:
    return lambda request, path, caller, query: request
