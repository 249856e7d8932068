"""Whether the declarations of a system fit each other. Every fault is found before any is raised."""

from __future__ import annotations

import difflib
from collections import Counter
from collections.abc import Callable, Iterator

from msgspec import inspect

from windlass.errors import DeclarationError, GraphError
from windlass.graph.annotation import json_fault, spelled, with_article
from windlass.graph.consumer import check_authorizer, receives, takes_tick
from windlass.graph.cycle import queue_cycles
from windlass.graph.route import collisions, route_faults
from windlass.model.api import Api
from windlass.model.mailer import Mailer
from windlass.model.queue import Queue
from windlass.model.resource import Resource, operations_of
from windlass.model.schedule import Schedule
from windlass.model.site import Site
from windlass.model.system import System
from windlass.model.table import Table
from windlass.model.type_tree import types_within
from windlass.model.user_pool import UserPool

__all__ = ["check"]

Faults = Iterator[DeclarationError]


def check(system: System) -> None:
    """Raises GraphError, which holds all faults, unless every declaration of `system` fits the others."""
    faults = [
        *_names(system),
        *_grants(system),
        *_types(system),
        *_indexes(system),
        *_apis(system),
        *_queues(system),
        *_schedules(system),
        *(fault for site in system.of(Site) for fault in site.faults()),
        *(fault for mailer in system.of(Mailer) for t in mailer.templates.values() for fault in _raised(t.check)),
    ]
    if faults:
        raise GraphError(faults)


def _names(system: System) -> Faults:
    """A handler's name is its function's on AWS, so it has one trigger."""
    for name, count in Counter(handler.name for handler in system.handlers).items():
        if count == 1:
            continue
        twins = [handler for handler in system.handlers if handler.name == name]
        triggers = " and ".join(f"`{handler.trigger}`" for handler in twins)
        if len({id(handler.function) for handler in twins}) == 1:
            yield DeclarationError(
                f"one function is bound to {count} triggers, {triggers}",
                where=f"{system.name}.{name}",
                fix="write a function for each trigger, and let them call a third that does the work",
            )
        else:
            yield DeclarationError(
                f"{count} functions have this name, for {triggers}",
                where=f"{system.name}.{name}",
                fix="rename all but one: a handler's name is unique in its system",
            )


def _grants(system: System) -> Faults:
    known: dict[str, Resource] = dict(system.resources)
    for table in system.of(Table):
        known.update({index.address: index for index in table.indexes.values()})
    for handler in system.handlers:
        where = f"{system.name}.{handler.name}"
        for grant, owner in zip(handler.grants, handler.owners, strict=True):
            resource = known.get(grant.resource)
            if resource is None:
                near = difflib.get_close_matches(grant.resource, known, 1)
                hint = f"did you mean {near[0]!r}? " if near else ""
                yield DeclarationError(
                    f"uses has {grant}, and {system.name} declares no {grant.resource!r}",
                    where=where,
                    fix=f"{hint}name a resource of {system.name}; another system's is reached through its api",
                )
            elif grant.operation not in operations_of(type(resource)):
                yield DeclarationError(
                    f"uses has {grant}, and in {system.name} {grant.resource!r} is {with_article(resource.noun)}, "
                    f"which has no {grant.operation!r}",
                    where=where,
                    fix=f"it is another system's: name a resource of {system.name}",
                )
            elif owner is not resource:
                yield DeclarationError(
                    f"uses has {grant} of {owner.system.name}, not {system.name}'s own {grant.resource!r}",
                    where=where,
                    fix=f"import {grant.resource} from the module that declares {system.name}",
                )


def _types(system: System) -> Faults:
    """Shape refuses what msgspec cannot read at all; a class of one's own it would read, and then no value."""
    for resource in system.resources.values():
        if isinstance(resource, Table):
            kind, noun = resource.item, "item"
        elif isinstance(resource, Queue):
            kind, noun = resource.message, "message"
        else:
            continue
        if fault := json_fault(kind):
            yield DeclarationError(
                f"the {noun} type {spelled(kind)} cannot be written as JSON: {fault}",
                where=resource.where,
                fix="use str, int, float, bool, datetime, UUID, Enum, list, dict, or dataclasses of these",
            )


def _indexes(system: System) -> Faults:
    """DynamoDB keeps an item without a key out of an index, and what is not there comes back as its default."""
    for table in system.of(Table):
        for index in table.indexes.values():
            for name in (index.index.key, index.index.sort):
                field = table.shape.fields[name] if name else None
                if field is None or field.required or field.default is None:
                    continue
                if not any(isinstance(kind, inspect.NoneType) for kind in types_within(field.type)):
                    continue
                yield DeclarationError(
                    f"{name!r} is a key of the index and may be None, but is something else by default: DynamoDB "
                    "could not tell the two apart",
                    where=f"{table.where}.{index.name}",
                    fix=f"give {name} the default None, or none at all; or declare it without None",
                )


def _apis(system: System) -> Faults:
    routes = [route for api in system.of(Api) for route in api.routes]
    for api in system.of(Api):
        if isinstance(api.auth, UserPool):
            if system.resources.get(api.auth.name) is not api.auth:
                yield DeclarationError(
                    f"auth is the user pool {api.auth.where}, which belongs to another system",
                    where=api.where,
                    fix=f"declare one here: users = {system.name}.user_pool({api.auth.name!r})",
                )
        elif api.auth is not None and api.auth not in system.authorizers:
            name = getattr(api.auth, "__name__", "")
            yield DeclarationError(
                f"auth is the function {name}, which is not an authorizer of this system"
                if name
                else f"auth={api.auth!r} is neither a user pool nor an authorizer",
                where=api.where,
                fix=f"write @{system.name}.authorizer() above def {name}, before the api is declared"
                if name
                else f'auth=users, with users = {system.name}.user_pool("users") above the api',
            )
    for handler in system.authorizers.values():
        yield from _raised(check_authorizer, handler.function, f"{system.name}.{handler.name}")
    for route in routes:
        yield from route_faults(route)
    yield from collisions(routes)


def _queues(system: System) -> Faults:
    for queue in system.of(Queue):
        names = [consumer.handler.name for consumer in queue.consumers]
        if not names:
            yield DeclarationError(
                "nobody handles the messages of this queue: they would wait until they are dropped",
                where=queue.where,
                fix=f"write @{queue.name}.consumer() above a function that takes "
                f"{with_article(spelled(queue.message))}",
            )
        elif len(names) > 1:
            yield DeclarationError(
                f"{len(names)} consumers share this queue, {' and '.join(names)}: each message would reach only one",
                where=queue.where,
                fix="declare a queue for each consumer and send to them all, or let one consumer call both functions",
            )
        for consumer in queue.consumers:
            where = f"{system.name}.{consumer.handler.name}"
            yield from _raised(receives, consumer.handler.function, queue.message, where)
    for cycle in queue_cycles(system):
        path = " -> ".join([*(queue.name for queue, _ in cycle), cycle[0][0].name])
        handlers = " and ".join(consumer.handler.name for _, consumer in cycle)
        yield DeclarationError(
            f"the queue feeds itself, {path}, through {handlers}: one message could become a storm",
            where=cycle[0][0].where,
            fix=f"drop the grant to send; or, where the loop surely ends, write "
            f"@{cycle[0][0].name}.consumer(..., allow_cycle=True)",
        )


def _schedules(system: System) -> Faults:
    for schedule in system.of(Schedule):
        if schedule.handler is None:
            yield DeclarationError(
                "nothing happens when this schedule fires",
                where=schedule.where,
                fix=f"write @{schedule.name}.task() above the function that it should start",
            )
        else:
            yield from _raised(takes_tick, schedule.handler.function, f"{system.name}.{schedule.handler.name}")


def _raised(analysis: Callable[..., object], *arguments: object) -> Faults:
    try:
        analysis(*arguments)
    except DeclarationError as fault:
        yield fault
