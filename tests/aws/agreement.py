"""What the agreement of grants and policies is measured with.

- `Recorder`: clients that note each call with the actions and ARNs that IAM asks it for, found from the parameters.
- `allowing`: which statement of a policy allows a request; an evaluator for what Windlass derives, which is statements
  that allow, with whole actions, ARNs with `*` and `?`, and `StringEquals`.
- `exercises`: each operation that can be granted, in the variants that may make other calls.

Both halves of the mapping here are written down from AWS's pages (those that `engines/aws/actions.py` names), apart
from that table.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from email import message_from_bytes
from email.utils import parseaddr
from typing import Any, NamedTuple

import msgspec
from msgspec import inspect

from windlass import field
from windlass.engines.aws.clients import Clients
from windlass.engines.aws.stage import Stage
from windlass.errors import Conflict, NotFound, SecretNotSet, Unauthorized
from windlass.model.index import TableIndex
from windlass.model.mailer import Mailer
from windlass.model.queue import Queue
from windlass.model.resource import Resource
from windlass.model.secret import Secret
from windlass.model.table import Table
from windlass.model.transaction import transact
from windlass.model.user_pool import UserPool

__all__ = ["ALLOWED", "SCORE", "Exercise", "Recorder", "Requested", "allowing", "exercises", "requested", "sample"]

ALLOWED = (Conflict, NotFound, SecretNotSet, Unauthorized)
"""What an operation may raise that was allowed: AWS has looked, and this is what it found."""

SCORE = "iam_agreement"
"""The property of a test's reports that holds how many cases agreed, and how many there were."""


class Requested(NamedTuple):
    """What IAM is asked for a call: an action, an ARN, and the condition keys that the call has."""

    action: str
    arn: str
    context: tuple[tuple[str, str], ...] = ()


class Exercise(NamedTuple):
    """One way to call an operation."""

    variant: str
    call: Callable[[], object]


# ---- what is called


class Recorder(Clients):
    """Clients that keep in `calls` what IAM is asked for, and in `made` the names of all calls."""

    def __init__(self, stage: Stage, *, endpoint: str, access_key: str) -> None:
        super().__init__(stage.region, endpoint=endpoint, access_key=access_key, secret_key="secret")
        self._stage = stage
        self.calls: list[Requested] = []
        self.made: list[str] = []

    def make(self, service: str, *, once: bool = False) -> Any:
        client = super().make(service, once=once)
        client.meta.events.register("before-parameter-build", self._called)
        return client

    def _called(self, params: Mapping[str, Any], model: Any, **_: Any) -> None:
        service = model.service_model.signing_name
        self.made.append(f"{service}:{model.name}")
        if model.auth_type != "none":  # else it is sent without a signature, and IAM knows nobody to ask about
            self.calls += requested(service, model.name, params, self._stage)


def requested(service: str, operation: str, params: Mapping[str, Any], stage: Stage) -> list[Requested]:
    """What IAM is asked for a call. Raises LookupError for one that this does not know."""
    match service, operation:
        case "dynamodb", "TransactWriteItems":
            actions = {
                "Put": "PutItem",
                "Update": "UpdateItem",
                "Delete": "DeleteItem",
                "ConditionCheck": "ConditionCheckItem",
            }
            return [
                Requested(f"dynamodb:{actions[kind]}", _table(part["TableName"], stage))
                for item in params["TransactItems"]
                for kind, part in item.items()
            ]
        case "dynamodb", "BatchGetItem" | "BatchWriteItem":
            return [Requested(f"dynamodb:{operation}", _table(name, stage)) for name in params["RequestItems"]]
        case "dynamodb", "GetItem" | "PutItem" | "UpdateItem" | "DeleteItem" | "Query" | "Scan":
            index = f"/index/{params['IndexName']}" if "IndexName" in params else ""
            return [Requested(f"dynamodb:{operation}", _table(params["TableName"], stage) + index)]
        case "sqs", "SendMessage" | "SendMessageBatch":
            name = params["QueueUrl"].rpartition("/")[2]
            return [Requested("sqs:SendMessage", stage.arn("sqs", name))]
        case "secretsmanager", "GetSecretValue":
            # Secrets Manager looks the whole ARN up, with the six characters that it has made.
            return [
                Requested(
                    "secretsmanager:GetSecretValue", stage.arn("secretsmanager", f"secret:{params['SecretId']}-aB3dE6")
                )
            ]
        case "ses", "SendEmail":
            return _mail(params, stage)
    raise LookupError(f"nobody has written down what IAM asks for {service}:{operation}")


def _table(name: str, stage: Stage) -> str:
    return stage.arn("dynamodb", f"table/{name}")


def _mail(params: Mapping[str, Any], stage: Stage) -> list[Requested]:
    """SES v2 asks for `ses:SendRawEmail` too where the whole message is given; its refusals name that action."""
    content = params["Content"]
    sender = params.get("FromEmailAddress", "")
    if not sender:
        sender = str(message_from_bytes(content["Raw"]["Data"])["From"])
    address = parseaddr(sender)[1]
    arn = stage.arn("ses", f"identity/{address.rpartition('@')[2]}")
    names = ["ses:SendEmail", "ses:SendRawEmail"] if "Raw" in content else ["ses:SendEmail"]
    return [Requested(name, arn, (("ses:FromAddress", address),)) for name in names]


# ---- what is allowed


def allowing(document: Mapping[str, Any], request: Requested) -> list[str]:
    """The Sids of the statements that allow a request. Raises LookupError for a statement that this cannot read."""
    return [statement["Sid"] for statement in document["Statement"] if _allows(statement, request)]


def _allows(statement: Mapping[str, Any], request: Requested) -> bool:
    conditions = statement.get("Condition", {})
    if statement["Effect"] != "Allow" or not set(conditions) <= {"StringEquals"}:
        raise LookupError(f"cannot read the statement {statement['Sid']}")
    context = dict(request.context)
    return (
        request.action in statement["Action"]
        and any(_fits(pattern, request.arn) for pattern in statement["Resource"])
        and all(
            context.get(key) == value.replace("${$}", "$")
            for keys in conditions.values()
            for key, value in keys.items()
        )
    )


def _fits(pattern: str, arn: str) -> bool:
    parts = {"*": ".*", "?": "."}
    return re.fullmatch("".join(parts.get(one, re.escape(one)) for one in pattern), arn, re.DOTALL) is not None


# ---- what can be called


def exercises(resource: Resource, operation: str) -> Iterator[Exercise]:
    """An operation of a resource in all its variants, to be called inside a bound invocation."""
    match resource:
        case Table():
            yield from _of_table(resource, operation)
        case TableIndex():
            yield from _queries(resource, resource.index.key, resource.index.sort, resource.table)
        case Queue():
            yield from _of_queue(resource, operation)
        case Secret():
            yield Exercise("read", resource.read)
        case Mailer():
            yield from _of_mailer(resource)
        case UserPool():
            yield from {
                "sign_in": [
                    Exercise("wrong password", lambda: resource.sign_in("nobody@example.com", "wrong-password"))
                ],
                "refresh": [Exercise("unknown token", lambda: resource.refresh("aaaa.bbbb.cccc.dddd.eeee"))],
                "sign_out": [Exercise("unknown token", lambda: resource.sign_out("aaaa.bbbb.cccc.dddd.eeee"))],
            }[operation]
        case _:
            raise LookupError(f"nobody has written down how to call {resource.address}.{operation}")


def sample(kind: Any) -> Any:
    """An item or a message of a type: texts are `a`, numbers 1, lists empty."""
    made = _plain(inspect.type_info(kind))
    return msgspec.convert(made, kind)


def _plain(info: inspect.Type) -> Any:
    match info:
        case inspect.StrType():
            return "a"
        case inspect.BoolType():
            return True
        case inspect.IntType() | inspect.FloatType():
            return 1
        case inspect.ListType():
            return []
        case inspect.StructType() | inspect.DataclassType():
            return {one.encode_name: _plain(one.type) for one in info.fields if one.required}
    raise LookupError(f"no sample is known for {info}")


def _of_table(table: Table[Any], operation: str) -> Iterator[Exercise]:
    item = sample(table.item)
    stored = table.shape.encode(item)
    key = tuple(stored[name] for name in (table.key, table.sort) if name)
    there, gone = field(table.key) == key[0], field(table.key) != key[0]
    other = next(name for name in table.shape.fields if name not in (table.key, table.sort, table.version))
    change = {other: getattr(item, other)}
    match operation:
        case "get":
            yield Exercise("plain", lambda: table.get(*key))
        case "get_many":
            yield Exercise("several", lambda: table.get_many([key if table.sort else key[0]] * 2))
        case "query":
            yield from _queries(table, table.key, table.sort, table)
        case "scan":
            yield Exercise("plain", table.scan)
            yield Exercise("filtered", lambda: table.scan(where=there, limit=1))
        case "put":
            yield Exercise("plain", lambda: table.put(item))
            yield Exercise("if absent", lambda: table.put(item, if_absent=True))
            yield Exercise("on a condition", lambda: table.put(item, when=there))
            yield Exercise("in a transaction", lambda: transact(table.to_put(item, if_absent=True)))
        case "put_many":
            yield Exercise("several", lambda: table.put_many([item, item]))
        case "update":
            yield Exercise("of what is absent", lambda: table.update(*key, set=change))
            yield Exercise("with a default", lambda: table.update(*key, set=change, default=item))
            yield Exercise("again", lambda: table.update(*key, set=change, default=item))
            yield Exercise("of what is there", lambda: table.update(*key, set=change))
            yield Exercise("on a condition", lambda: table.update(*key, set=change, when=there))
            yield Exercise("on a false one", lambda: table.update(*key, set=change, when=gone))
            yield Exercise("in a transaction", lambda: transact(table.to_update(*key, set=change, when=there)))
            yield Exercise(
                "with a default, in a transaction", lambda: transact(table.to_update(*key, set=change, default=item))
            )
        case "delete":
            yield Exercise("plain", lambda: table.delete(*key))
            yield Exercise("on a condition", lambda: table.delete(*key, when=there))
            yield Exercise("in a transaction", lambda: transact(table.to_delete(*key)))
        case "delete_many":
            yield Exercise("several", lambda: table.delete_many([key if table.sort else key[0]] * 2))
        case "check":
            yield Exercise("plain", lambda: table.check(*key, when=there))
            yield Exercise("in a transaction", lambda: transact(table.to_check(*key, when=gone)))
        case _:
            raise LookupError(f"nobody has written down how to call table.{operation}")


def _queries(
    queried: Table[Any] | TableIndex[Any], key: str, sort: str | None, table: Table[Any]
) -> Iterator[Exercise]:
    item = table.shape.encode(sample(table.item))
    partition: Any = item[key] if item.get(key) is not None else "a"
    other = next(name for name in table.shape.fields if name not in (key, sort, table.key, table.sort))
    where = field(other).exists()
    yield Exercise("plain", lambda: queried.query(partition))
    yield Exercise("descending and filtered", lambda: queried.query(partition, where=where, descending=True, limit=1))


def _of_queue(queue: Queue[Any], operation: str) -> Iterator[Exercise]:
    message = sample(queue.message)
    group = "a" if queue.fifo else None
    if operation == "send":
        yield Exercise("plain", lambda: queue.send(message, group=group, dedupe=group))
        return
    yield Exercise("more than a request takes", lambda: queue.send_many([message] * 11, group=group))


def _of_mailer(mailer: Mailer) -> Iterator[Exercise]:
    to = "ada@example.com"
    yield Exercise("text", lambda: mailer.send(to, subject="a", text="a"))
    yield Exercise("both bodies", lambda: mailer.send([to], subject="é", text="a", html="<p>a</p>", cc=to, bcc=to))
