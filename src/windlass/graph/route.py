"""Whether a route fits its function, its api, and the other routes."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Sequence

from windlass.errors import DeclarationError
from windlass.graph.annotation import answer, json_fault, spelled, text_fault, with_article
from windlass.model.api import Route
from windlass.model.signature import Parameter, parameters, return_type, without_none
from windlass.model.user_pool import UserPool

__all__ = ["collisions", "route_faults"]

Faults = Iterator[DeclarationError]

_BODY_METHODS = ("POST", "PUT", "PATCH")
_PARAMETER = re.compile(r"\{[a-z0-9_]+(\+?)\}")
_PLAIN_TYPES = "str, int, float, bool, datetime, UUID, Enum, list, dict, or dataclasses of these"


def route_faults(route: Route) -> Faults:
    """What is wrong with a route taken by itself."""
    where = f"{route.api.system.name}.{route.handler.name} ({route.method} {route.path})"
    try:
        taken = parameters(route.handler.function, route.parameters, where=where)
        returned = answer(return_type(route.handler.function, where=where))
    except DeclarationError as fault:
        yield fault
    else:
        for parameter in taken:
            yield from _parameter(route, parameter, where)
        if reason := json_fault(returned):
            yield DeclarationError(
                f"the answer, {spelled(returned)}, cannot be written as JSON: {reason}",
                where=where,
                fix=f"return {_PLAIN_TYPES}",
            )
    yield from _options(route, where)
    yield from _roles(route, where)


def _parameter(route: Route, parameter: Parameter, where: str) -> Faults:
    name, kind = parameter.name, parameter.kind
    if parameter.source == "request":
        return
    if parameter.source == "caller":
        _, optional = without_none(kind)
        if route.public and not optional:
            yield DeclarationError(
                f"{name!r} is a Caller, and a public route may have none",
                where=where,
                fix=f"write {name}: Caller | None = None"
                + (", or drop public=True" if route.api.auth else ", or give the api auth=..."),
            )
        return
    if fault := json_fault(kind):
        yield DeclarationError(
            f"{name!r} is {with_article(spelled(kind))}, which cannot be read from a request: {fault}",
            where=where,
            fix=f"use {_PLAIN_TYPES}",
        )
    elif parameter.source == "body":
        if route.method not in _BODY_METHODS:
            yield DeclarationError(
                f"a {route.method} request has no body, and the function takes one",
                where=where,
                fix="take its parts as query parameters, or declare the route with post, put or patch",
            )
    elif fault := text_fault(kind, many=parameter.source == "query"):
        in_body = f"call the parameter `body` to take it from the body: body: {spelled(kind)}"
        yield DeclarationError(
            f"{name!r} comes from the {parameter.source}, and {fault}",
            where=where,
            fix=in_body if route.method in _BODY_METHODS else f"take its parts one by one, as in {name}: str",
        )


def _options(route: Route, where: str) -> Faults:
    if route.method in _BODY_METHODS:
        return
    if route.max_body != route.api.max_body:
        yield DeclarationError(
            f"max_body limits a body, and a {route.method} request has none", where=where, fix="drop max_body=..."
        )
    if route.idempotent is not None:
        yield DeclarationError(
            f"{route.method} is idempotent by itself (RFC 9110, 9.2.2), so no Idempotency-Key is asked for",
            where=where,
            fix="drop idempotent=...; it is for POST, PUT and PATCH",
        )


def _roles(route: Route, where: str) -> Faults:
    pool = route.auth
    if not isinstance(pool, UserPool):
        return
    unknown = sorted(route.roles - set(pool.groups))
    if unknown:
        known = f"has only {', '.join(pool.groups)}" if pool.groups else "has no groups"
        near = difflib.get_close_matches(unknown[0], pool.groups, 1)
        hint = f"did you mean {near[0]!r}? Or " if near else ""
        groups = ", ".join(map(_quoted, [*pool.groups, *unknown]))
        yield DeclarationError(
            f"roles has {', '.join(map(repr, unknown))}, which no user can have: {pool.name} {known}",
            where=where,
            fix=f"{hint}declare the group: user_pool({_quoted(pool.name)}, groups=[{groups}])",
        )


def collisions(routes: Sequence[Route]) -> Faults:
    """Routes of which only one could ever be reached: the same method and the same path but for the parameters'
    names. A literal beside a parameter is none, because the literal wins."""
    first: dict[tuple[str, str], Route] = {}
    for route in routes:
        shape = _PARAMETER.sub(r"{\1}", route.path)
        other = first.setdefault((route.method, shape), route)
        if other is not route:
            yield DeclarationError(
                f"{route.method} {route.path} and {other.method} {other.path} match the same requests",
                where=f"{route.api.system.name}.{route.handler.name}",
                fix=f"{other.handler.name} has that path already: change the path or the method of one of them",
            )


def _quoted(name: str) -> str:
    return f'"{name}"'
