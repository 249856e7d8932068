"""Who may do what: grants by handler, and the arrows that they and the triggers draw."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from windlass.graph.document import Edge
    from windlass.model.system import System

__all__ = ["edges", "grants"]


def grants(system: System) -> dict[str, frozenset[tuple[str, str]]]:
    """For each handler's name, what it may call: pairs of a resource's address (`items`, `items/by_day`) and an
    operation, as `Invocation.grants` takes them."""
    return {
        handler.name: frozenset((grant.resource, grant.operation) for grant in handler.grants)
        for handler in system.handlers
    }


def edges(system: System) -> list[Edge]:
    """The arrows of the graph, sorted; see `Edge`."""
    # Here, since a function on AWS asks for its grants at each start, and never for the arrows.
    from windlass.graph.document import Edge
    from windlass.model.api import Api
    from windlass.model.queue import Queue
    from windlass.model.schedule import Schedule
    from windlass.model.user_pool import UserPool

    triggers: dict[tuple[str, str], list[str]] = defaultdict(list)
    uses: dict[tuple[str, str], list[str]] = defaultdict(list)
    for api in system.of(Api):
        for route in api.routes:
            triggers[f"resource:{api.name}", f"handler:{route.handler.name}"].append(f"{route.method} {route.path}")
        if isinstance(api.auth, UserPool):
            uses[f"resource:{api.name}", f"resource:{api.auth.name}"].append("verify")
        elif api.auth is not None and api.auth in system.authorizers:
            triggers[f"resource:{api.name}", f"handler:{system.authorizers[api.auth].name}"].append("authorize")
    for queue in system.of(Queue):
        for consumer in queue.consumers:
            triggers[f"resource:{queue.name}", f"handler:{consumer.handler.name}"].append("receive")
    for schedule in system.of(Schedule):
        if schedule.handler is not None:
            triggers[f"resource:{schedule.name}", f"handler:{schedule.handler.name}"].append("tick")
    for handler in system.handlers:
        for grant in handler.grants:
            resource, _, index = grant.resource.partition("/")
            label = f"{index}.{grant.operation}" if index else grant.operation
            uses[f"handler:{handler.name}", f"resource:{resource}"].append(label)
    return sorted(
        [Edge(*ends, "triggers", tuple(sorted(set(names)))) for ends, names in triggers.items()]
        + [Edge(*ends, "uses", tuple(sorted(set(names)))) for ends, names in uses.items()]
    )
