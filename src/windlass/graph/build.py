"""System -> Document."""

from __future__ import annotations

import inspect
from datetime import timedelta
from typing import Any

import msgspec

from windlass.graph.alarm import rules
from windlass.graph.check import check
from windlass.graph.document import (
    AlarmNode,
    Document,
    GrantNode,
    HandlerNode,
    ResourceNode,
    RouteNode,
    ThrottleNode,
    Trigger,
)
from windlass.graph.grants import edges
from windlass.graph.schema import schema_of
from windlass.model.alarm import Alarm
from windlass.model.api import Api, Throttle
from windlass.model.handler import Handler
from windlass.model.mailer import Mailer
from windlass.model.queue import Queue
from windlass.model.resource import Resource
from windlass.model.schedule import Schedule
from windlass.model.secret import Secret
from windlass.model.site import Site
from windlass.model.system import System
from windlass.model.table import Table
from windlass.model.user_pool import UserPool
from windlass.ports.alarm import AlarmRule

__all__ = ["build"]


def build(system: System) -> Document:
    """The document of `system`. Raises GraphError when `check` finds faults."""
    check(system)
    return Document(
        system=system.name,
        title=system.title,
        description=system.description,
        resources=[_resource(resource) for resource in system.resources.values()],
        handlers=[_handler(system, handler) for handler in system.handlers],
        edges=edges(system),
        alarms=[_alarm(rule) for rule in rules(system)],
        alarms_to=list(system.alarm_settings.to),
    )


def _resource(resource: Resource) -> ResourceNode:
    routes = _routes(resource) if isinstance(resource, Api) else []
    return ResourceNode(name=resource.name, noun=resource.noun, settings=_settings(resource), routes=routes)


def _settings(resource: Resource) -> dict[str, Any]:
    match resource:
        case Api():
            return {
                "title": resource.title,
                "description": resource.description,
                "auth": _auth(resource),
                "cors": list(resource.cors),
                "throttle": msgspec.to_builtins(_throttle(resource.throttle)),
                "throttle_per_caller": msgspec.to_builtins(_throttle(resource.throttle_per_caller)),
                "max_body": resource.max_body,
            }
        case UserPool():
            return {
                "sign_in": resource.sign_in_by,
                "groups": list(resource.groups),
                "first_user": resource.first_user,
                "first_user_groups": list(resource.first_user_groups),
                "access_token_life": _seconds(resource.access_token_life),
                "refresh_token_life": _seconds(resource.refresh_token_life),
                "min_password_length": resource.min_password_length,
                "lockout": resource.lockout,
                "lockout_time": _seconds(resource.lockout_time),
            }
        case Table():
            return {
                "key": resource.key,
                "sort": resource.sort,
                "indexes": {
                    name: {
                        "key": made.index.key,
                        "sort": made.index.sort,
                        "fields": None if made.index.fields is None else list(made.index.fields),
                    }
                    for name, made in resource.indexes.items()
                },
                "ttl": resource.ttl,
                "version": resource.version,
                "schema": schema_of(resource.item),
            }
        case Queue():
            return {
                "visibility": _seconds(resource.visibility),
                "max_attempts": resource.max_attempts,
                "retention": _seconds(resource.retention),
                "delay": _seconds(resource.delay),
                "fifo": resource.fifo,
                "deduplicate": resource.deduplicate,
                "consumers": [
                    {
                        "handler": consumer.handler.name,
                        "batch": consumer.batch,
                        "window": consumer.window,
                        "concurrency": consumer.concurrency,
                        "allow_cycle": consumer.allow_cycle,
                    }
                    for consumer in resource.consumers
                ],
                "schema": schema_of(resource.message),
            }
        case Schedule():
            return {
                "every": None if resource.every is None else _seconds(resource.every),
                "cron": resource.cron_text,
                "timezone": resource.timezone,
                "retries": resource.retries,
            }
        case Mailer():
            return {
                "sender": resource.sender,
                "templates": {
                    template.name: {"subject": template.subject, "text": template.text, "html": template.html}
                    for template in resource.templates.values()
                },
            }
        case Secret():
            return {"generate": resource.generate}
        case Alarm():
            rule = resource.rule()
            return {"watched": rule.watched, "statistic": rule.statistic, "bound": rule.bound}
        case Site():
            return {
                "folder": resource.declared_folder,
                "index": resource.index,
                "not_found": resource.not_found,
                "max_age": _seconds(resource.max_age),
                "headers": dict(resource.headers),
            }
        case _:
            # A noun that is declared but not described would be missing from the diagram and from the Terraform.
            raise TypeError(f"the document has no settings for the noun {resource.noun!r}")


def _alarm(rule: AlarmRule) -> AlarmNode:
    return AlarmNode(
        name=rule.name,
        default=rule.default,
        noun=rule.noun,
        of=rule.of,
        metric=rule.metric,
        series=rule.series,
        labels=dict(rule.labels),
        statistic=rule.statistic,
        comparison=rule.comparison,
        threshold=rule.threshold,
        period=rule.period * 60.0,
        periods=rule.periods,
        datapoints=rule.datapoints,
        missing=rule.missing,
        description=rule.description,
    )


def _auth(api: Api) -> dict[str, str] | None:
    if isinstance(api.auth, UserPool):
        return {"user_pool": api.auth.name}
    if api.auth is not None:
        return {"authorizer": api.system.authorizers[api.auth].name}
    return None


def _routes(api: Api) -> list[RouteNode]:
    return [
        RouteNode(
            method=route.method,
            path=route.path,
            handler=route.handler.name,
            status=route.status,
            public=route.public,
            roles=sorted(route.roles),
            max_body=route.max_body,
            throttle=_throttle(route.throttle),
            throttle_per_caller=_throttle(route.throttle_per_caller),
            idempotent=route.idempotent,
        )
        for route in api.routes
    ]


def _handler(system: System, handler: Handler) -> HandlerNode:
    function = handler.function
    doc = inspect.getdoc(function) or ""
    return HandlerNode(
        name=handler.name,
        module=function.__module__,
        qualname=function.__qualname__,
        trigger=_trigger(system, handler),
        grants=sorted(GrantNode(grant.resource, grant.operation) for grant in handler.grants),
        timeout=handler.timeout,
        doc=doc.split("\n", 1)[0].strip(),
    )


def _trigger(system: System, handler: Handler) -> Trigger:
    for api in system.of(Api):
        for route in api.routes:
            if route.handler is handler:
                return Trigger("route", api.name, f"{route.method} {route.path}")
        if handler.kind == "authorizer" and api.auth is handler.function:
            return Trigger("authorizer", api.name)
    for queue in system.of(Queue):
        if any(consumer.handler is handler for consumer in queue.consumers):
            return Trigger("queue", queue.name)
    for schedule in system.of(Schedule):
        if schedule.handler is handler:
            return Trigger("schedule", schedule.name, _when(schedule))
    return Trigger(handler.kind, None)


def _when(schedule: Schedule) -> str:
    if schedule.every is not None:
        return f"every {schedule.every}"
    return f"{schedule.cron_text} ({schedule.timezone})"


def _throttle(throttle: Throttle | None) -> ThrottleNode | None:
    return None if throttle is None else ThrottleNode(throttle.rate, throttle.burst)


def _seconds(duration: timedelta) -> float:
    return duration.total_seconds()
