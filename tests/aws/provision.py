"""Makes on an endpoint what the Terraform makes on AWS: every resource of a system, as the engine expects it."""

from __future__ import annotations

import json
import secrets
from typing import Any

from windlass import System
from windlass.engines.aws.clients import Clients
from windlass.engines.aws.projection import projected
from windlass.engines.aws.stage import Stage
from windlass.model.api import Api
from windlass.model.mailer import Mailer
from windlass.model.mime import parse_address
from windlass.model.queue import Queue
from windlass.model.secret import Secret
from windlass.model.table import Table
from windlass.model.user_pool import UserPool

__all__ = ["DOMAIN", "provision"]

DOMAIN = "https://api.example.com"


def provision(system: System, name: str, clients: Clients, account: str) -> Stage:
    """The stage `name` of `system`, with all that AWS makes up."""
    stage = Stage(system.name, name, clients.region, account)
    made: dict[str, str] = {}
    for api in system.of(Api):
        # As behind a domain whose path for this API is the system's name, as on the embedded engine.
        made[stage.variable(api.name, "url")] = f"{DOMAIN}/{system.name}"
    for table in system.of(Table):
        _table(table, stage, clients)
    if any(route.idempotent is not None for api in system.of(Api) for route in api.routes):
        _idempotency(stage, clients)
    for queue in system.of(Queue):
        made |= _queue(queue, stage, clients)
    for pool in system.of(UserPool):
        made |= _user_pool(pool, stage, clients)
    for secret in system.of(Secret):
        _secret(secret, stage, clients)
    for mailer in system.of(Mailer):
        address = parse_address(mailer.sender, "sender").addr_spec
        identity = address.rpartition("@")[2]
        ses = clients.client("sesv2")
        if identity not in {one["IdentityName"] for one in ses.list_email_identities()["EmailIdentities"]}:
            ses.create_email_identity(EmailIdentity=identity)
    return Stage(system.name, name, clients.region, account, made)


def _keys(partition: str, sort: str | None) -> list[dict[str, str]]:
    keys = [{"AttributeName": partition, "KeyType": "HASH"}]
    return [*keys, {"AttributeName": sort, "KeyType": "RANGE"}] if sort else keys


def _table(table: Table[Any], stage: Stage, clients: Clients) -> None:
    dynamodb = clients.client("dynamodb")
    indexes = []
    names = {table.key, table.sort}
    for index in table.indexes.values():
        names |= {index.index.key, index.index.sort}
        projection: dict[str, Any] = {"ProjectionType": "ALL"}
        if (others := projected(index)) is not None:
            projection = {"ProjectionType": "INCLUDE", "NonKeyAttributes": others}
            projection = projection if others else {"ProjectionType": "KEYS_ONLY"}
        keys = _keys(index.index.key, index.index.sort)
        indexes.append({"IndexName": index.name, "KeySchema": keys, "Projection": projection})
    types = [
        {"AttributeName": name, "AttributeType": "N" if table.is_number(name) else "S"}
        for name in sorted(name for name in names if name)
    ]
    more = {"GlobalSecondaryIndexes": indexes} if indexes else {}
    dynamodb.create_table(
        TableName=stage.called(table.name),
        KeySchema=_keys(table.key, table.sort),
        AttributeDefinitions=types,
        BillingMode="PAY_PER_REQUEST",
        **more,
    )
    if table.ttl:
        specification = {"Enabled": True, "AttributeName": table.ttl}
        dynamodb.update_time_to_live(TableName=stage.called(table.name), TimeToLiveSpecification=specification)


def _idempotency(stage: Stage, clients: Clients) -> None:
    dynamodb = clients.client("dynamodb")
    dynamodb.create_table(
        TableName=stage.idempotency_table,
        KeySchema=_keys("id", None),
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )
    specification = {"Enabled": True, "AttributeName": "expires"}
    dynamodb.update_time_to_live(TableName=stage.idempotency_table, TimeToLiveSpecification=specification)


def _queue(queue: Queue[Any], stage: Stage, clients: Clients) -> dict[str, str]:
    sqs = clients.client("sqs")
    fifo = {"FifoQueue": "true"} if queue.fifo else {}
    kept = str(int(queue.retention.total_seconds()))
    dead = sqs.create_queue(
        QueueName=stage.queue(queue.name, fifo=queue.fifo, dead=True),
        Attributes={"MessageRetentionPeriod": kept, **fifo},
    )["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=dead, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    url = sqs.create_queue(
        QueueName=stage.queue(queue.name, fifo=queue.fifo),
        Attributes={
            "VisibilityTimeout": str(int(queue.visibility.total_seconds())),
            "MessageRetentionPeriod": kept,
            "DelaySeconds": str(int(queue.delay.total_seconds())),
            "RedrivePolicy": json.dumps({"deadLetterTargetArn": arn, "maxReceiveCount": queue.max_attempts}),
            **fifo,
        },
    )["QueueUrl"]
    return {stage.variable(queue.name, "url"): url, stage.variable(queue.name, "dead_url"): dead}


def _user_pool(pool: UserPool, stage: Stage, clients: Clients) -> dict[str, str]:
    cognito = clients.client("cognito-idp")
    # Without UsernameAttributes also where users sign in by e-mail: the address itself is then the user name, as on the
    # embedded engine, and not one that Cognito makes up.
    pool_id = cognito.create_user_pool(
        PoolName=stage.called(pool.name),
        Policies={
            "PasswordPolicy": {
                "MinimumLength": pool.min_password_length,
                "RequireUppercase": False,
                "RequireLowercase": False,
                "RequireNumbers": False,
                "RequireSymbols": False,
            }
        },
    )["UserPool"]["Id"]
    client_id = cognito.create_user_pool_client(
        UserPoolId=pool_id,
        ClientName="windlass",
        GenerateSecret=False,
        ExplicitAuthFlows=["ALLOW_USER_PASSWORD_AUTH"],
        AccessTokenValidity=int(pool.access_token_life.total_seconds()),
        IdTokenValidity=int(pool.access_token_life.total_seconds()),
        RefreshTokenValidity=int(pool.refresh_token_life.total_seconds()),
        TokenValidityUnits={"AccessToken": "seconds", "IdToken": "seconds", "RefreshToken": "seconds"},
        RefreshTokenRotation={"Feature": "ENABLED", "RetryGracePeriodSeconds": 10},
        EnableTokenRevocation=True,
        PreventUserExistenceErrors="ENABLED",
    )["UserPoolClient"]["ClientId"]
    for group in pool.groups:
        cognito.create_group(GroupName=group, UserPoolId=pool_id)
    return {stage.variable(pool.name, "pool"): pool_id, stage.variable(pool.name, "client"): client_id}


def _secret(secret: Secret, stage: Stage, clients: Clients) -> None:
    more = {"SecretString": secrets.token_urlsafe(secret.generate)} if secret.generate is not None else {}
    clients.client("secretsmanager").create_secret(Name=stage.secret(secret.name), **more)
