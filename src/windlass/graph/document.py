"""The graph as plain data: a versioned JSON document that everything but the engines reads.

Diagrams, the console, OpenAPI's tags and the Terraform are made from it, and `windlass graph --json` prints it. What
order the author declared is kept; where order means nothing (grants, roles, edges) it is sorted, so that the same
system gives the same bytes.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from windlass.errors import InvalidState

__all__ = [
    "VERSION",
    "AlarmNode",
    "Document",
    "Edge",
    "GrantNode",
    "HandlerNode",
    "ResourceNode",
    "RouteNode",
    "ThrottleNode",
    "Trigger",
]

VERSION = 1


class ThrottleNode(msgspec.Struct, frozen=True):
    """A token bucket: `rate` requests a second on average, `burst` at once."""

    rate: float
    burst: int


class RouteNode(msgspec.Struct, frozen=True, kw_only=True):
    """A route of an api: `idempotent` is in seconds, `max_body` in bytes; see `windlass.model.api.Route`."""

    method: str
    path: str
    handler: str
    status: int
    public: bool
    roles: list[str]
    max_body: int
    throttle: ThrottleNode | None = None
    throttle_per_caller: ThrottleNode | None = None
    idempotent: float | None = None


class ResourceNode(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Something that exists. `settings` are what the noun's declaration takes, by its names: durations in seconds,
    the item's or message's JSON Schema under `schema`. A secret has no value here. Only an api has routes."""

    name: str
    noun: str
    settings: dict[str, Any]
    routes: list[RouteNode] = []


class Trigger(msgspec.Struct, frozen=True):
    """What starts a handler: `kind` is route, authorizer, queue or schedule; `resource` names the api, queue or
    schedule (None: an authorizer that no api uses); `detail` is `GET /todos/{id}`, or the schedule's expression."""

    kind: str
    resource: str | None
    detail: str = ""


class GrantNode(msgspec.Struct, frozen=True, order=True):
    """Permission for an operation on a resource or an index (`items/by_day`)."""

    resource: str
    operation: str


class HandlerNode(msgspec.Struct, frozen=True, kw_only=True):
    """A function: where Python finds it, what starts it, what it may use, how long it may run (seconds), and the
    first line of its docstring."""

    name: str
    module: str
    qualname: str
    trigger: Trigger
    grants: list[GrantNode]
    timeout: float
    doc: str = ""


class Edge(msgspec.Struct, frozen=True, order=True):
    """An arrow from `source` to `target`, both as `resource:items` or `handler:create`.

    `triggers` goes from a resource to the handler that it starts; its operations are what happens (`POST /todos`,
    `receive`, `tick`, `authorize`). `uses` goes from a handler to a resource; its operations are those granted,
    an index's as `by_day.query`. An api `uses` its user pool to `verify` tokens.
    """

    source: str
    target: str
    kind: Literal["triggers", "uses"]
    operations: tuple[str, ...] = ()


class AlarmNode(msgspec.Struct, frozen=True, kw_only=True):
    """A rule, declared or a `default` one; see `windlass.ports.alarm.AlarmRule`. `period` is in seconds."""

    name: str
    default: bool
    noun: str
    of: str
    metric: str
    series: str
    labels: dict[str, str]
    statistic: str
    comparison: str
    threshold: float
    period: float
    periods: int
    datapoints: int
    missing: str
    description: str = ""


class Document(msgspec.Struct, frozen=True, kw_only=True):
    """A system. Equal systems have equal documents. `alarms` are all rules, the declared ones first, and `alarms_to`
    the addresses that changes of their state are mailed to."""

    version: int = VERSION
    system: str
    title: str
    description: str
    resources: list[ResourceNode]
    handlers: list[HandlerNode]
    edges: list[Edge]
    alarms: list[AlarmNode] = []
    alarms_to: list[str] = []

    def encode(self) -> bytes:
        """The document as JSON, indented and ending in a line break: a diff of two shows what changed."""
        return msgspec.json.format(msgspec.json.encode(self), indent=2) + b"\n"

    @classmethod
    def decode(cls, data: bytes) -> Document:
        """The document in `data`. Raises InvalidState for one of another version, or that is none."""
        try:
            version = msgspec.json.decode(data, type=_Versioned).version
        except msgspec.DecodeError as error:
            raise InvalidState(f"this is not the document of a system: {error}") from error
        if version != VERSION:
            raise InvalidState(
                f"the document has version {version}, and this Windlass reads version {VERSION}\n"
                f"  fix: make it again with the Windlass that reads it: windlass graph --json"
            )
        try:
            return msgspec.json.decode(data, type=cls)
        except msgspec.ValidationError as error:
            raise InvalidState(f"the document of a system is damaged: {error}") from error


class _Versioned(msgspec.Struct):
    version: int
