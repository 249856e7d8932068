"""What an operation of a noun is allowed to do on AWS, as data: actions of IAM, and on which ARN.

The policies are derived from this table, and a test holds it to the calls that the engine really makes. Sources:

- tables: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/api-permissions-reference.html; a transaction
  has no action of its own, it needs those of its parts:
  https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/transaction-apis-iam.html
- queues: https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-api-permissions-reference.html
  (a batch needs the action of what it holds)
- secrets: https://docs.aws.amazon.com/secretsmanager/latest/userguide/auth-and-access_examples.html
- mail: https://docs.aws.amazon.com/ses/latest/dg/control-user-access.html
- user pools: https://docs.aws.amazon.com/cognito/latest/developerguide/authentication-flows-public-server-side.html
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from windlass.engines.aws.stage import Stage
from windlass.errors import EngineUnavailable
from windlass.model.index import TableIndex
from windlass.model.mailer import Mailer
from windlass.model.queue import Queue
from windlass.model.resource import Resource
from windlass.model.secret import Secret
from windlass.model.table import Table

__all__ = [
    "ACTIONS",
    "IDEMPOTENCY",
    "NEEDS_NONE",
    "RECEIVE",
    "Condition",
    "Permission",
    "idempotency_permission",
    "permission",
    "queue_arn",
    "receive_permission",
]

Condition = Mapping[str, Mapping[str, str]]

ACTIONS: Mapping[tuple[str, str], tuple[str, ...]] = {
    ("table", "get"): ("dynamodb:GetItem",),
    ("table", "get_many"): ("dynamodb:BatchGetItem",),
    ("table", "query"): ("dynamodb:Query",),
    ("table", "scan"): ("dynamodb:Scan",),
    ("table", "put"): ("dynamodb:PutItem",),
    ("table", "put_many"): ("dynamodb:BatchWriteItem",),
    ("table", "update"): ("dynamodb:UpdateItem",),
    ("table", "delete"): ("dynamodb:DeleteItem",),
    ("table", "delete_many"): ("dynamodb:BatchWriteItem",),
    ("table", "check"): ("dynamodb:ConditionCheckItem",),
    ("index", "query"): ("dynamodb:Query",),
    ("queue", "send"): ("sqs:SendMessage",),
    ("queue", "send_many"): ("sqs:SendMessage",),
    ("secret", "read"): ("secretsmanager:GetSecretValue",),
    ("mailer", "send"): ("ses:SendEmail", "ses:SendRawEmail"),
    ("user_pool", "sign_in"): (),
    ("user_pool", "refresh"): (),
    ("user_pool", "sign_out"): (),
}
"""The actions of each operation, by its noun and its name. An index is a noun here, as it has an ARN of its own."""

NEEDS_NONE: Mapping[str, str] = {
    "user_pool": "Cognito takes this call from everybody: what it checks is what the call brings",
}
"""Why the operations of a noun need no permission."""

RECEIVE = ("sqs:ChangeMessageVisibility", "sqs:DeleteMessage", "sqs:GetQueueAttributes", "sqs:ReceiveMessage")
"""What Lambda does with a consumer's queue, in the name of its function
(https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-configure.html)."""

IDEMPOTENCY = ("dynamodb:DeleteItem", "dynamodb:GetItem", "dynamodb:PutItem", "dynamodb:UpdateItem")
"""What an idempotent route does with the table that keeps the answers."""


@dataclass(frozen=True, slots=True)
class Permission:
    """`actions`, sorted, on one ARN; `name` is what that is in an account, in CamelCase: `TableErrors`."""

    name: str
    actions: tuple[str, ...]
    arn: str
    condition: Condition | None = None


def permission(resource: Resource, operation: str, stage: Stage) -> Permission | None:
    """What a grant of `operation` on `resource` needs in `stage`; None for one that needs nothing. Raises
    EngineUnavailable for an operation that AWS has not got here."""
    try:
        actions = ACTIONS[resource.noun, operation]
    except KeyError:
        raise EngineUnavailable(f"the AWS engine has no {resource.noun}.{operation}, as {resource.where}") from None
    if not actions:
        return None
    name = "".join(part.capitalize() for part in (resource.noun, *resource.address.replace("/", "_").split("_")))
    return Permission(name, tuple(sorted(actions)), _arn(resource, stage), _condition(resource))


def receive_permission(queue: Queue[Any], stage: Stage) -> Permission:
    """What a consumer's function needs, so that Lambda can receive for it."""
    name = "".join(part.capitalize() for part in ("receive", *queue.name.split("_")))
    return Permission(name, RECEIVE, queue_arn(queue, stage))


def idempotency_permission(stage: Stage) -> Permission:
    """What the function of an idempotent route needs."""
    return Permission("IdempotencyKeys", IDEMPOTENCY, stage.arn("dynamodb", f"table/{stage.idempotency_table}"))


def queue_arn(queue: Queue[Any], stage: Stage) -> str:
    """The ARN of a queue; functions never touch its dead-letter queue, to which SQS itself moves messages."""
    return stage.arn("sqs", stage.queue(queue.name, fifo=queue.fifo))


def _arn(resource: Resource, stage: Stage) -> str:
    match resource:
        case Table():
            return stage.arn("dynamodb", f"table/{stage.called(resource.name)}")
        case TableIndex():
            return stage.arn("dynamodb", f"table/{stage.called(resource.table.name)}/index/{resource.name}")
        case Queue():
            return queue_arn(resource, stage)
        case Secret():
            # Secrets Manager ends the ARN with a hyphen and six characters of its own, made with the secret, so the
            # whole ARN is not known before. `?` is one character: with all six, only this name's secret fits.
            return stage.arn("secretsmanager", f"secret:{stage.secret(resource.name)}-??????")
        case Mailer():
            return stage.arn("ses", f"identity/{_sender(resource)[1]}")
    raise EngineUnavailable(f"{resource.where} has no ARN: no permission is known for a {resource.noun}")


def _condition(resource: Resource) -> Condition | None:
    if not isinstance(resource, Mailer):
        return None
    # A domain is verified whole; the sender is one address of it. `${` would begin a variable of the policy language.
    return {"StringEquals": {"ses:FromAddress": _sender(resource)[0].replace("${", "${$}{")}}


def _sender(mailer: Mailer) -> tuple[str, str]:
    """The bare address and its domain."""
    from windlass.model.mime import parse_address

    address = parse_address(mailer.sender, "sender")
    return address.addr_spec, address.domain
