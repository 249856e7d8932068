"""Grants and IAM agree: what a grant allows is what its policy allows, no more and no less, on every engine.

The first half compares the policies with the calls that boto3 makes, on moto. The second has IAM decide: MiniStack,
told to (`AUTH=true`), evaluates the policies of users with their actions, ARNs and conditions. Each comparison is a
case; the end of the test run tells how many of them agree.
"""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.aws.agreement import ALLOWED, SCORE, Exercise, Recorder, Requested, allowing, exercises, requested
from tests.aws.provision import provision
from tests.aws.servers import Server, missing
from windlass import Index, System
from windlass.engines.aws.actions import ACTIONS
from windlass.engines.aws.clients import Clients
from windlass.engines.aws.engine import AwsSystem
from windlass.engines.aws.idempotency import AwsIdempotency
from windlass.engines.aws.stage import Stage
from windlass.errors import Denied
from windlass.graph.load import load
from windlass.model.handler import Handler, declare
from windlass.model.resource import Resource
from windlass.model.secret import Secret
from windlass.ports.api import Response
from windlass.ports.binding import Invocation, current, invoked
from windlass.ports.clock import SystemClock
from windlass.ports.idempotency import Fresh, Seen
from windlass.synth.policy import policy_of

pytestmark = pytest.mark.skipif(missing() is not None, reason=missing() or "")

ROOT = Path(__file__).parents[2]
REGION, ACCOUNT = "eu-west-1", "123456789012"
Record = Callable[[str, object], None]
Tell = Callable[[str, bool], None]


@dataclass
class Item:
    owner: str
    id: str
    title: str
    count: int = 0


@dataclass
class Work:
    id: str


def _lab() -> System:
    """A system with each noun that has operations, declared in all ways that change what is called."""
    lab = System("lab")
    lab.table("plain", Item, key="owner", sort="id", indexes={"by_title": Index("title")})
    lab.table("kept", Item, key="id", ttl="count")
    lab.table("versioned", Item, key="id", version="count")
    lab.queue("work", Work)
    lab.queue("ordered", Work, fifo=True, deduplicate="content")
    lab.secret("key", generate=32)
    lab.mailer("post", sender="The Lab <lab@example.com>")
    lab.user_pool("users")
    return lab


LAB = _lab()
SYSTEMS = [load(ROOT / "systems" / name) for name in ("file_sla", "presenter")]


def _operations() -> Iterator[Any]:
    for resource in LAB.resources.values():
        for owner in (resource, *getattr(resource, "indexes", {}).values()):
            for noun, operation in ACTIONS:
                if noun == owner.noun and not (operation == "put_many" and getattr(owner, "version", None)):
                    yield pytest.param(owner, operation, id=f"{owner.address}.{operation}")


def _grants() -> Iterator[Any]:
    for system in SYSTEMS:
        for handler in system.handlers:
            for grant, owner in zip(handler.grants, handler.owners, strict=True):
                where = f"{system.name}.{handler.name}-{grant}"
                yield pytest.param(system, handler, owner, grant.operation, id=where)


@pytest.fixture(scope="module")
def moto() -> Iterator[Server]:
    with Server("moto", clock=time.time()) as server:
        yield server


@pytest.fixture(scope="module")
def guarded() -> Iterator[Server]:
    """A server whose IAM decides. Signatures are checked too, so its clock is the machine's."""
    with Server("ministack", clock=time.time(), environment={"AUTH": "true"}) as server:
        yield server


@pytest.fixture(scope="module")
def labs(moto: Server, guarded: Server) -> dict[str, tuple[Server, Stage]]:
    """The lab on each server: moto's is for all but user pools, whose tokens it can neither refresh nor revoke."""
    return {server.kind: (server, provision(LAB, "dev", _root(server), _account(server))) for server in (moto, guarded)}


@pytest.fixture(scope="module")
def stages(guarded: Server) -> dict[str, Stage]:
    root, made = _root(guarded), {}
    for system in SYSTEMS:
        stage = made[system.name] = provision(system, "dev", root, _account(guarded))
        for secret in system.of(Secret):
            root.client("secretsmanager").put_secret_value(SecretId=stage.secret(secret.name), SecretString="a")
    return made


def _root(server: Server) -> Clients:
    """Clients that may do everything, in the default account: what has no signature is looked for there."""
    return Clients(REGION, endpoint=server.endpoint, access_key="test", secret_key="secret")


def _account(server: Server) -> str:
    return str(_root(server).client("sts").get_caller_identity()["Account"])


@contextmanager
def _judged(record_property: Record) -> Iterator[Tell]:
    """Takes cases and whether they agree, for the score; at the end of the block all must."""
    cases: list[tuple[str, bool]] = []
    try:
        yield lambda case, agreed: cases.append((case, agreed))
    finally:
        record_property(SCORE, [sum(agreed for _, agreed in cases), len(cases)])
    assert [case for case, agreed in cases if not agreed] == []


def _granted(owner: Resource, operation: str) -> Handler:
    """A handler with exactly that grant, of a system that has it besides what it declares."""

    def only(tick: object) -> None: ...

    use = getattr(owner, operation)
    return declare(LAB.name, only, "schedule", "schedule nightly", [use], timedelta(minutes=1), timedelta(minutes=1))


def _bound(system: System, stage: Stage, clients: Clients, handler: Handler | None = None) -> invoked:
    """Inside, the resources of `system` can be used on AWS. Windlass itself refuses what `handler` is not granted;
    without one, nothing."""
    engine = AwsSystem(system, stage, clients, cursor_key=b"\1" * 32)
    trace, span = uuid.uuid4().hex, uuid.uuid4().hex[:16]
    grants = None if handler is None else _grants_of(handler)
    return invoked(Invocation(system.name, "test", engine.ports, engine.clock, b"\1" * 32, trace, span, grants))


def _grants_of(handler: Handler) -> frozenset[tuple[str, str]]:
    return frozenset((grant.resource, grant.operation) for grant in handler.grants)


def _refused(exercise: Exercise) -> bool:
    """Whether the engine refuses; what it may answer otherwise is no refusal."""
    try:
        exercise.call()
    except Denied:
        return True
    except ALLOWED:
        return False
    return False


# ---- policies and calls


@pytest.mark.parametrize(("owner", "operation"), [*_operations()])
def test_the_policy_of_a_grant_allows_every_call_of_its_operation_and_has_nothing_that_none_needs(
    owner: Resource, operation: str, labs: Mapping[str, tuple[Server, Stage]], record_property: Record
) -> None:
    server, stage = labs["ministack" if owner.noun == "user_pool" else "moto"]
    recorder = Recorder(stage, endpoint=server.endpoint, access_key="test")
    document = policy_of(LAB, _granted(owner, operation), stage).document()
    with _judged(record_property) as tell, _bound(LAB, stage, recorder):
        for exercise in exercises(owner, operation):
            before = len(recorder.calls)
            assert not _refused(exercise)
            calls = recorder.calls[before:]
            tell(f"{exercise.variant}: {calls}", all(allowing(document, call) for call in calls))
        assert recorder.made, "no call was made, so nothing was compared"
        needed = {(call.action, sid) for call in recorder.calls for sid in allowing(document, call)}
        tell(f"needs only {sorted(needed)}", needed == _pairs(document))


def test_the_policy_of_an_idempotent_route_allows_what_keeping_answers_calls_and_no_more(
    moto: Server, record_property: Record
) -> None:
    system = SYSTEMS[0]
    stage = provision(system, "dev", _root(moto), _account(moto))
    recorder = Recorder(stage, endpoint=moto.endpoint, access_key="test")
    store = next(handler for handler in system.handlers if handler.name == "store")
    keeping = policy_of(system, msgspec.structs.replace(store, grants=(), owners=()), stage)
    document = {"Statement": [one.document() for one in keeping.statements if one.sid == "IdempotencyKeys"]}
    kept = AwsIdempotency(stage, recorder, SystemClock())
    first = kept.begin("scope", "key", b"f", 30)
    assert isinstance(first, Fresh)
    kept.begin("scope", "key", b"f", 30)
    kept.finish("scope", "key", first, Response(200, [], bytes(400 * 1024)), 3600)  # more than an item holds
    assert isinstance(kept.begin("scope", "key", b"f", 30), Seen)
    second = kept.begin("scope", "other", b"f", 30)
    assert isinstance(second, Fresh)
    kept.abandon("scope", "other", second)
    with _judged(record_property) as tell:
        assert document["Statement"]
        tell(f"{recorder.calls}", all(allowing(document, call) for call in recorder.calls))
        needed = {(call.action, sid) for call in recorder.calls for sid in allowing(document, call)}
        tell(f"needs only {sorted(needed)}", needed == _pairs(document))


def _pairs(document: Mapping[str, Any]) -> set[tuple[str, str]]:
    """Each action of a document with its statement, but those that every function has: Lambda itself makes them."""
    return {
        (action, statement["Sid"])
        for statement in document["Statement"]
        for action in statement["Action"]
        if statement["Sid"] not in ("Logs", "Traces")
    }


# ---- grants and IAM


@pytest.mark.parametrize(("system", "handler", "owner", "operation"), [*_grants()])
def test_what_a_grant_allows_and_its_lack_refuses_is_the_same_on_the_embedded_engine_and_on_aws(
    system: System,
    handler: Handler,
    owner: Resource,
    operation: str,
    guarded: Server,
    stages: Mapping[str, Stage],
    record_property: Record,
) -> None:
    left = [
        (grant, one)
        for grant, one in zip(handler.grants, handler.owners, strict=True)
        if (grant.resource, grant.operation) != (owner.address, operation)
    ]
    lacking = msgspec.structs.replace(
        handler, grants=tuple(grant for grant, _ in left), owners=tuple(one for _, one in left)
    )
    with _judged(record_property) as tell:
        for case, model, refused in (("with the grant", handler, False), ("without the grant", lacking, True)):
            embedded = _embedded_refuses(system, model, owner, operation)
            tell(f"{case}, embedded: {embedded}", set(embedded.values()) == {refused})
            decided = _aws_refuses(system, model, owner, operation, guarded, stages[system.name])
            tell(f"{case}, AWS: {decided}", decided == embedded)


def _embedded_refuses(system: System, handler: Handler, owner: Resource, operation: str) -> dict[str, bool]:
    """Whether each variant of an operation is refused to a handler on the embedded engine."""
    with system.run_embedded() as driver, driver.bound():
        invocation = msgspec.structs.replace(current(), handler=handler.name, grants=_grants_of(handler))
        with invoked(invocation):
            return {exercise.variant: _refused(exercise) for exercise in exercises(owner, operation)}


def _aws_refuses(
    system: System, handler: Handler, owner: Resource, operation: str, server: Server, stage: Stage
) -> dict[str, bool]:
    """The same on AWS, to a user who has the handler's policy: by IAM alone, or where IAM is not asked, as no
    permission is needed, by Windlass alone."""
    iam, name = _root(server).client("iam"), uuid.uuid4().hex
    iam.create_user(UserName=name)
    policy = json.dumps(_as_ministack_names(policy_of(system, handler, stage).document()))
    iam.put_user_policy(UserName=name, PolicyName="handler", PolicyDocument=policy)
    key = iam.create_access_key(UserName=name)["AccessKey"]
    clients = Clients(
        REGION, endpoint=server.endpoint, access_key=key["AccessKeyId"], secret_key=key["SecretAccessKey"]
    )
    with _bound(system, stage, clients, None if ACTIONS[owner.noun, operation] else handler):
        return {exercise.variant: _refused(exercise) for exercise in exercises(owner, operation)}


def _as_ministack_names(document: Mapping[str, Any]) -> dict[str, Any]:
    """A policy for MiniStack, which asks for `sqs:SendMessageBatch` where AWS asks for `sqs:SendMessage`
    (https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-api-permissions-reference.html)."""
    batch = {"sqs:SendMessage": ["sqs:SendMessage", "sqs:SendMessageBatch"]}
    return {
        **document,
        "Statement": [
            {**one, "Action": [name for action in one["Action"] for name in batch.get(action, [action])]}
            for one in document["Statement"]
        ],
    }


# ---- what measures


def test_the_evaluator_tells_what_a_statement_allows() -> None:
    document = {
        "Statement": [
            {"Sid": "One", "Effect": "Allow", "Action": ["a:B"], "Resource": ["arn:x:t/n", "arn:x:s/n-??????"]},
            {
                "Sid": "Two",
                "Effect": "Allow",
                "Action": ["a:C"],
                "Resource": ["*"],
                "Condition": {"StringEquals": {"ses:FromAddress": "${$}{a}@b.c"}},
            },
        ]
    }
    assert allowing(document, Requested("a:B", "arn:x:t/n")) == ["One"]
    assert allowing(document, Requested("a:B", "arn:x:s/n-aB3dE6")) == ["One"]
    for refused in (
        Requested("a:Bc", "arn:x:t/n"),
        Requested("a:B", "arn:x:t/n2"),
        Requested("a:B", "arn:x:t/n/index/i"),
        Requested("a:B", "arn:x:s/n-aB3dE"),
        Requested("a:C", "arn:x:t/n"),
        Requested("a:C", "arn:x:t/n", (("ses:FromAddress", "${$}{a}@b.c"),)),
    ):
        assert allowing(document, refused) == []
    assert allowing(document, Requested("a:C", "arn:x:t/n", (("ses:FromAddress", "${a}@b.c"),))) == ["Two"]


def test_what_nobody_has_written_down_is_not_passed_over() -> None:
    stage = Stage("lab", "dev", REGION, ACCOUNT)
    with pytest.raises(LookupError, match="dynamodb:DeleteTable"):
        requested("dynamodb", "DeleteTable", {"TableName": "lab-dev-plain"}, stage)
    with pytest.raises(LookupError, match="cannot read the statement No"):
        allowing({"Statement": [{"Sid": "No", "Effect": "Deny"}]}, Requested("a:B", "arn"))
