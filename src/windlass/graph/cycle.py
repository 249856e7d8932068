"""Queues that feed themselves, directly or through other queues' consumers."""

from __future__ import annotations

from collections import deque

from windlass.model.queue import Consumer, Queue
from windlass.model.system import System

__all__ = ["queue_cycles"]

_SENDS = ("send", "send_many")
Step = tuple[Queue[object], Consumer]


def queue_cycles(system: System) -> list[list[Step]]:
    """The loops in which a message can go round for ever, each as its queues and their consumers in order.

    A consumer with `allow_cycle` breaks every loop that it is part of. Each loop given is the shortest through its
    first queue, and none begins in a queue of an earlier one: to break one loop is one fault, not one for each queue.
    """
    queues = system.of(Queue)
    steps: dict[str, list[tuple[Consumer, str]]] = {}
    for queue in queues:
        steps[queue.name] = [
            (consumer, grant.resource)
            for consumer in queue.consumers
            if not consumer.allow_cycle
            for grant in consumer.handler.grants
            if grant.operation in _SENDS and grant.resource in system.resources
        ]
    by_name: dict[str, Queue[object]] = {queue.name: queue for queue in queues}
    found: list[list[Step]] = []
    told: set[str] = set()
    for name in by_name:
        if name in told:
            continue
        path = _shortest(steps, name)
        if path is not None:
            found.append([(by_name[queue], consumer) for queue, consumer in path])
            told.update(queue for queue, _ in path)
    return found


def _shortest(steps: dict[str, list[tuple[Consumer, str]]], start: str) -> list[tuple[str, Consumer]] | None:
    """The shortest way from `start` back to it, breadth first."""
    came: dict[str, tuple[str, Consumer]] = {}
    waiting = deque([start])
    while waiting:
        name = waiting.popleft()
        for consumer, target in steps.get(name, ()):
            if target in came:
                continue
            came[target] = (name, consumer)
            if target == start:
                path = [came[start]]
                while path[0][0] != start:
                    path.insert(0, came[path[0][0]])
                return path
            waiting.append(target)
    return None
