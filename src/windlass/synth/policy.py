"""The IAM policy of each handler's function: what its `uses` and its trigger need, and nothing else.

https://docs.aws.amazon.com/lambda/latest/dg/lambda-intro-execution-role.html
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import msgspec

from windlass.engines.aws.actions import (
    NEEDS_NONE,
    Condition,
    Permission,
    idempotency_permission,
    permission,
    receive_permission,
)
from windlass.engines.aws.stage import Stage
from windlass.errors import DeclarationError
from windlass.model.api import Api
from windlass.model.handler import Handler
from windlass.model.queue import Queue
from windlass.model.system import System
from windlass.ports.binding import Grant

__all__ = ["MAX_SIZE", "Policy", "Statement", "policies", "policy_of"]

MAX_SIZE = 10_240
"""What the inline policies of a role may have together, in characters that are no white space
(https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html)."""


@dataclass(frozen=True, slots=True)
class Statement:
    """One statement: `actions` and `resources` are sorted. `asked_by` says what it is there for: a grant as
    `uses errors.put`, the trigger as `queue data`, or what every function has."""

    sid: str
    actions: tuple[str, ...]
    resources: tuple[str, ...]
    asked_by: tuple[str, ...]
    condition: Condition | None = None

    def document(self) -> dict[str, object]:
        """The statement as IAM takes it."""
        made: dict[str, object] = {
            "Sid": self.sid,
            "Effect": "Allow",
            "Action": list(self.actions),
            "Resource": list(self.resources),
        }
        if self.condition is not None:
            made["Condition"] = {operator: dict(keys) for operator, keys in self.condition.items()}
        return made


@dataclass(frozen=True, slots=True)
class Policy:
    """What the function of `handler` may do. `function` is its name on AWS; `free` are grants that need no permission
    there, each with the reason."""

    handler: str
    function: str
    statements: tuple[Statement, ...]
    free: Mapping[Grant, str]

    def document(self) -> dict[str, object]:
        """The policy document (https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_grammar.html)."""
        return {"Version": "2012-10-17", "Statement": [statement.document() for statement in self.statements]}

    def text(self) -> str:
        """The document as JSON, without white space: the same for the same system and stage."""
        return msgspec.json.encode(self.document()).decode()

    @property
    def size(self) -> int:
        """The characters that IAM counts against `MAX_SIZE`."""
        return len(self.text())


def policies(system: System, stage: Stage) -> dict[str, Policy]:
    """The policy of each handler of `system`, by the handler's name, in the order of declaration. Raises what
    `policy_of` raises."""
    return {handler.name: policy_of(system, handler, stage) for handler in system.handlers}


def policy_of(system: System, handler: Handler, stage: Stage) -> Policy:
    """The policy of one handler. Raises DeclarationError for one that is larger than IAM takes."""
    function = stage.function(handler.name)
    asked: list[tuple[Permission, str]] = []
    free: dict[Grant, str] = {}
    for grant, owner in zip(handler.grants, handler.owners, strict=True):
        needed = permission(owner, grant.operation, stage)
        if needed is None:
            free[grant] = NEEDS_NONE[owner.noun]
        else:
            asked.append((needed, f"uses {grant}"))
    asked += _of_trigger(system, handler, stage)
    policy = Policy(handler.name, function, (*_merged(asked), *_of_every(function, stage)), free)
    if policy.size > MAX_SIZE:
        raise DeclarationError(
            f"its policy has {policy.size:,} characters, and IAM takes {MAX_SIZE:,}",
            where=f"{system.name}.{handler.name}",
            fix="grant it less, or split it into handlers that each use some of the resources",
        )
    return policy


def _of_trigger(system: System, handler: Handler, stage: Stage) -> list[tuple[Permission, str]]:
    """What starting the handler needs. A route and a schedule need nothing here: API Gateway and Scheduler have
    permissions of their own to call the function."""
    asked = [
        (receive_permission(queue, stage), f"consumes {queue.name}")
        for queue in system.of(Queue)
        for consumer in queue.consumers
        if consumer.handler.name == handler.name
    ]
    return asked + [
        (idempotency_permission(stage), f"{route.method} {route.path} is idempotent")
        for api in system.of(Api)
        for route in api.routes
        if route.handler.name == handler.name and route.idempotent is not None
    ]


def _of_every(function: str, stage: Stage) -> tuple[Statement, ...]:
    """What every function needs. The deployment makes the log group, with the time that logs are kept."""
    return (
        Statement(
            "Logs",
            ("logs:CreateLogStream", "logs:PutLogEvents"),
            # Lambda names the streams in the group when it starts an environment.
            (stage.arn("logs", f"log-group:/aws/lambda/{function}:*"),),
            ("every function logs",),
        ),
        Statement(
            "Traces",
            ("xray:PutTelemetryRecords", "xray:PutTraceSegments"),
            # X-Ray has no resource for these: https://docs.aws.amazon.com/service-authorization/latest/reference/list_awsx-ray.html
            ("*",),
            ("every function sends traces, for which AWS takes only *",),
        ),
    )


def _merged(asked: Iterable[tuple[Permission, str]]) -> list[Statement]:
    """A statement for each ARN, in the order in which it is first asked for, with all that is asked of it. Two mailers
    of one domain share an ARN but not their condition, and stay two."""
    grouped: dict[tuple[str, str], list[tuple[Permission, str]]] = {}
    for needed, why in asked:
        grouped.setdefault((needed.arn, repr(needed.condition)), []).append((needed, why))
    statements: list[Statement] = []
    for (arn, _), parts in grouped.items():
        first = parts[0][0]
        actions = sorted({action for needed, _ in parts for action in needed.actions})
        reasons = tuple(dict.fromkeys(why for _, why in parts))
        sid = _free_sid(first.name, {statement.sid for statement in statements})
        statements.append(Statement(sid, tuple(actions), (arn,), reasons, first.condition))
    return statements


def _free_sid(name: str, taken: set[str]) -> str:
    """`name`, or with a number where another has it: the tables `a_1` and `a1` are both `TableA1`."""
    number, sid = 1, name
    while sid in taken:
        number += 1
        sid = f"{name}{number}"
    return sid
