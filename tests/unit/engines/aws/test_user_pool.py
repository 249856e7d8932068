"""The user pool on Cognito, as moto has it; and what Cognito's answers mean that moto does not give."""

import base64
import json
import logging
import unicodedata
from collections.abc import Iterator
from datetime import timedelta
from typing import Any, Literal

import jwt
import pytest
from botocore.exceptions import ClientError
from cryptography.hazmat.primitives.asymmetric import rsa
from moto.server import ThreadedMotoServer

from windlass.engines.aws.clients import Clients
from windlass.engines.aws.stage import Stage
from windlass.engines.aws.tokens import CLOCK_SKEW, MAX_LENGTH
from windlass.engines.aws.user_pool import (
    AwsUserPool,
    refresh_problem,
    sign_in_problem,
    sign_out_problem,
    throttle_problem,
)
from windlass.errors import (
    Conflict,
    EngineUnavailable,
    InvalidItem,
    LockedOut,
    NotFound,
    TooManyRequests,
    Unauthorized,
    WrongCredentials,
)
from windlass.model.system import System
from windlass.ports.clock import ManualClock, SystemClock, from_epoch, iso
from windlass.ports.user_pool import UserPoolOperator

REGION, ACCOUNT = "eu-west-1", "123456789012"
ADA, BOB = "ada@example.com", "bob@example.com"
SECRET, NEW_SECRET = "correct horse battery", "another horse stable"
POLICY = {"RequireUppercase": False, "RequireLowercase": False, "RequireNumbers": False, "RequireSymbols": False}


@pytest.fixture(scope="module")
def clients() -> Iterator[Clients]:
    """Clients of a moto of this module's own: making one takes longer than a test."""
    server = ThreadedMotoServer("127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield Clients(REGION, endpoint=f"http://{host}:{port}", access_key="test", secret_key="test")
    server.stop()


class World:
    """A pool that was deployed on an endpoint: with addresses as attributes to sign in by, as names, or with names."""

    def __init__(
        self,
        clients: Clients,
        kind: Literal["attribute", "address", "name"] = "attribute",
        *,
        least: int = 12,
        groups: tuple[str, ...] = ("admins", "readers"),
    ) -> None:
        self.clients, self.cognito = clients, clients.client("cognito-idp")
        sign_in: Literal["email", "username"] = "username" if kind == "name" else "email"
        system = System("todos")
        self.model = system.user_pool("users", sign_in=sign_in, groups=["admins", "readers"])
        more: dict[str, Any] = {"UsernameAttributes": ["email"]} if kind == "attribute" else {}
        pool = self.cognito.create_user_pool(
            PoolName="todos-test-users", Policies={"PasswordPolicy": {"MinimumLength": least, **POLICY}}, **more
        )
        self.pool_id = pool["UserPool"]["Id"]
        for group in groups:
            self.cognito.create_group(UserPoolId=self.pool_id, GroupName=group)
        client = self.cognito.create_user_pool_client(
            UserPoolId=self.pool_id, ClientName="windlass", ExplicitAuthFlows=["ALLOW_USER_PASSWORD_AUTH"]
        )
        self.client_id = client["UserPoolClient"]["ClientId"]
        made = {"WINDLASS_USERS_POOL": self.pool_id, "WINDLASS_USERS_CLIENT": self.client_id}
        self.stage = Stage("todos", "test", REGION, ACCOUNT, made)
        self.clock = ManualClock(from_epoch(SystemClock.now()))
        self.pool = AwsUserPool(self.model, self.stage, clients, self.clock)
        port: UserPoolOperator = self.pool  # mypy: the port is implemented
        assert port is self.pool

    def requests(self) -> list[Any]:
        """The requests that are sent from now on, as a list that grows."""
        sent: list[Any] = []
        for client in (self.cognito, self.clients.client("cognito-idp", once=True)):
            client.meta.events.register("before-send.cognito-idp", lambda request, **_: sent.append(request))
        return sent


@pytest.fixture
def world(clients: Clients) -> World:
    return World(clients)


def part(token: str, index: int = 1) -> dict[str, Any]:
    segment = token.split(".")[index]
    found: dict[str, Any] = json.loads(base64.urlsafe_b64decode(segment + "=" * (-len(segment) % 4)))
    return found


def refused(code: str, message: str = "") -> ClientError:
    """What boto3 raises for an answer of Cognito."""
    return ClientError({"Error": {"Code": code, "Message": message}}, "InitiateAuth")


# Signing in


@pytest.mark.parametrize("kind", ["attribute", "address", "name"])
def test_a_user_signs_in(clients: Clients, kind: Literal["attribute", "address", "name"]) -> None:
    world = World(clients, kind)
    name = "ada" if kind == "name" else ADA
    user = world.pool.create_user(name, SECRET, email=ADA, groups=["admins"])
    tokens = world.pool.sign_in(name.upper(), SECRET)
    assert (tokens.token_type, tokens.expires_in) == ("Bearer", 3600)
    assert tokens.refresh_token
    access, identity = world.pool.verify(tokens.access_token), world.pool.verify(tokens.id_token)
    assert access["sub"] == identity["sub"] == user.id
    assert (access["token_use"], identity["token_use"]) == ("access", "id")
    assert access["cognito:groups"] == ["admins"]
    assert (access["client_id"], identity["aud"]) == (world.client_id, world.client_id)
    # With an attribute to sign in by, Cognito makes a user name up: the `sub`.
    assert access["username"] == (user.id if kind == "attribute" else name)


@pytest.mark.parametrize(
    ("username", "password"),
    [(ADA, NEW_SECRET), (BOB, SECRET), ("no address", SECRET), (ADA, ""), (ADA, "x" * 300), (ADA, "\ud800")],
    ids=["password", "name", "no_name", "empty", "long", "surrogate"],
)
def test_what_is_wrong_is_not_told(world: World, username: str, password: str) -> None:
    world.pool.create_user(ADA, SECRET)
    with pytest.raises(WrongCredentials) as raised:
        world.pool.sign_in(username, password)
    assert str(raised.value) == "the user name or the password is wrong"


def test_a_password_is_the_same_however_it_is_typed(world: World) -> None:
    password = "zażółć gęślą jaźń"
    world.pool.create_user(ADA, password)
    typed = unicodedata.normalize("NFD", password).replace(" ", "\u00a0")
    assert typed != password
    assert world.pool.sign_in(ADA, typed).token_type == "Bearer"


def test_who_has_to_set_a_password_first_does_not_sign_in(world: World, caplog: pytest.LogCaptureFixture) -> None:
    world.cognito.admin_create_user(
        UserPoolId=world.pool_id, Username=ADA, TemporaryPassword=SECRET, MessageAction="SUPPRESS"
    )
    with caplog.at_level(logging.WARNING), pytest.raises(WrongCredentials):
        world.pool.sign_in(ADA, SECRET)
    assert "NEW_PASSWORD_REQUIRED; set a permanent password" in caplog.text
    assert SECRET not in caplog.text
    world.pool.set_password(ADA, NEW_SECRET)
    assert world.pool.sign_in(ADA, NEW_SECRET).token_type == "Bearer"


def test_what_a_user_may_do_is_not_signed(world: World) -> None:
    """So that a function needs no grant of IAM for it, nor credentials."""
    world.pool.create_user(ADA, SECRET)
    sent = world.requests()
    world.pool.sign_in(ADA, SECRET)
    world.pool.get_user(ADA)
    signed = ["Authorization" in request.headers for request in sent]
    assert signed == [False, True, True]
    # The other two moto does not have; botocore goes by the same mark.
    operations = world.cognito.meta.service_model
    for name in ("InitiateAuth", "GetTokensFromRefreshToken", "RevokeToken"):
        assert operations.operation_model(name).auth_type == "none", name


@pytest.mark.parametrize(
    ("error", "problem"),
    [
        (refused("NotAuthorizedException", "Incorrect username or password."), WrongCredentials),
        (refused("NotAuthorizedException", "User is disabled."), WrongCredentials),
        (refused("NotAuthorizedException", "Password attempts exceeded"), LockedOut),
        (refused("TooManyFailedAttemptsException"), LockedOut),
        (refused("UserNotFoundException"), WrongCredentials),
        (refused("UserNotConfirmedException"), WrongCredentials),
        (refused("PasswordResetRequiredException"), WrongCredentials),
        (refused("InvalidParameterException", "USER_PASSWORD_AUTH flow not enabled for this client"), type(None)),
        (refused("ResourceNotFoundException"), type(None)),
        (refused("InternalErrorException"), type(None)),
    ],
    ids=lambda value: (
        f"{value.response['Error']['Code']}-{value.response['Error']['Message'][:8]}"
        if isinstance(value, ClientError)
        else value.__name__
    ),
)
def test_what_cognito_says_to_a_sign_in_means(error: ClientError, problem: type[Exception]) -> None:
    found = sign_in_problem(error)
    assert type(found) is problem
    if isinstance(found, LockedOut):
        assert found.retry_after == 1.0


def test_a_fault_of_the_app_client_is_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        sign_in_problem(refused("NotAuthorizedException", "Client 1a2b is configured with secret"))
        assert "configured with secret" in caplog.text
        caplog.clear()
        sign_in_problem(refused("NotAuthorizedException", "Incorrect username or password."))
    assert caplog.records == []


# Refreshing and signing out


@pytest.mark.parametrize(
    ("code", "problem"),
    [
        ("NotAuthorizedException", Unauthorized),
        ("RefreshTokenReuseException", Unauthorized),
        ("UserNotFoundException", Unauthorized),
        ("InvalidParameterException", Unauthorized),
        ("ResourceNotFoundException", type(None)),
        ("InternalErrorException", type(None)),
    ],
)
def test_what_cognito_says_to_a_refresh_means(code: str, problem: type[Exception]) -> None:
    assert type(refresh_problem(refused(code))) is problem


@pytest.mark.parametrize("token", ["", "a b", "\ud800", "snow\u2603"], ids=["empty", "space", "surrogate", "unicode"])
def test_what_can_be_no_refresh_token_is_not_asked_about(world: World, token: str) -> None:
    sent = world.requests()
    with pytest.raises(Unauthorized):
        world.pool.refresh(token)
    world.pool.sign_out(token)
    assert sent == []


def test_nothing_to_revoke_is_no_fault() -> None:
    for code in ("UnsupportedTokenTypeException", "InvalidParameterException", "UnauthorizedException"):
        assert isinstance(sign_out_problem(refused(code)), Unauthorized)
    assert sign_out_problem(refused("UnsupportedOperationException")) is None


# Tokens


def test_a_token_ends_by_the_engines_clock(world: World) -> None:
    world.pool.create_user(ADA, SECRET)
    token = world.pool.sign_in(ADA, SECRET).access_token
    world.clock.set(part(token)["exp"] - 0.001)
    assert world.pool.verify(token)["sub"]
    world.clock.set(part(token)["exp"])
    with pytest.raises(Unauthorized, match="expired"):
        world.pool.verify(token)


def test_a_token_of_the_future_is_refused(world: World) -> None:
    world.pool.create_user(ADA, SECRET)
    token = world.pool.sign_in(ADA, SECRET).access_token
    ahead = world.clock.now() - (part(token)["iat"] - CLOCK_SKEW)
    world.clock.set_back(timedelta(seconds=ahead))
    assert world.pool.verify(token)["sub"]
    world.clock.set_back(timedelta(seconds=1))
    with pytest.raises(Unauthorized, match="not valid yet"):
        world.pool.verify(token)


def test_a_token_of_another_pool_or_client_is_refused(clients: Clients, world: World) -> None:
    """moto signs for all pools with one key, so the claims are all that tells them apart."""
    other = World(clients)
    other.pool.create_user(ADA, SECRET)
    tokens = other.pool.sign_in(ADA, SECRET)
    made = {"WINDLASS_USERS_POOL": other.pool_id, "WINDLASS_USERS_CLIENT": world.client_id}
    stage = Stage("todos", "test", REGION, ACCOUNT, made)
    beside = AwsUserPool(world.model, stage, world.clients, world.clock)
    for token in (tokens.access_token, tokens.id_token):
        assert other.pool.verify(token)
        for pool in (world.pool, beside):
            with pytest.raises(Unauthorized):
                pool.verify(token)


def test_what_is_no_token_is_refused(world: World) -> None:
    world.pool.create_user(ADA, SECRET)
    tokens = world.pool.sign_in(ADA, SECRET)
    head, claims, signature = tokens.access_token.split(".")
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    forged = jwt.encode(part(tokens.access_token), key, algorithm="RS256", headers={"kid": part(head, 0)["kid"]})
    unsigned = f"{part_of({**part(head, 0), 'alg': 'none'})}.{claims}."
    nested = base64.urlsafe_b64encode(b"[" * 9000).decode().rstrip("=")
    for token in (
        *("", "nonsense", "a.b.c", "\u00e9", "a" * (MAX_LENGTH + 1), tokens.refresh_token, forged, unsigned),
        *(f"{head}.{claims}.", f"{head}.{claims}.{signature[::-1]}", f"{nested}.{claims}.{signature}"),
        f"{head}.{part_of({**part(tokens.access_token), 'cognito:groups': ['admins']})}.{signature}",
    ):
        with pytest.raises(Unauthorized):
            world.pool.verify(token)


def part_of(claims: dict[str, Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip("=")


def test_the_pool_tells_where_it_is(world: World) -> None:
    issuer = f"https://cognito-idp.{REGION}.amazonaws.com/{world.pool_id}"
    assert world.pool.discovery()["issuer"] == issuer
    assert world.pool.discovery()["jwks_uri"] == f"{issuer}/.well-known/jwks.json"
    assert {key["kty"] for key in world.pool.jwks()["keys"]} == {"RSA"}


def test_in_china_the_issuer_has_another_domain(world: World) -> None:
    stage = Stage("todos", "test", "cn-north-1", ACCOUNT, world.stage.made)
    pool = AwsUserPool(world.model, stage, world.clients, world.clock)
    assert pool.discovery()["issuer"] == f"https://cognito-idp.cn-north-1.amazonaws.com.cn/{world.pool_id}"


# Operating


@pytest.mark.parametrize("kind", ["attribute", "address", "name"])
def test_a_user_can_be_looked_at(clients: Clients, kind: Literal["attribute", "address", "name"]) -> None:
    world = World(clients, kind)
    name = "bob" if kind == "name" else BOB
    created = world.pool.create_user(name.title(), SECRET, email=BOB, groups=["readers", "admins"])
    assert created == world.pool.get_user(name.upper())
    assert (created.username, created.email) == (name, BOB)
    assert (created.groups, created.enabled, created.locked_until) == (("admins", "readers"), True, None)
    assert iso(world.clock.now() - 60) < created.created_at < iso(world.clock.now() + 60)
    other = world.pool.create_user("ada" if kind == "name" else ADA, SECRET)
    assert world.pool.list_users() == [other, created]


def test_a_long_list_is_shown_whole(world: World) -> None:
    names = [f"user{number:03}@example.com" for number in range(65)]
    for name in names:
        world.cognito.admin_create_user(UserPoolId=world.pool_id, Username=name, MessageAction="SUPPRESS")
        world.cognito.admin_add_user_to_group(UserPoolId=world.pool_id, Username=name, GroupName="readers")
    found = world.pool.list_users()
    assert [user.username for user in found] == names
    assert {user.groups for user in found} == {("readers",)}


def test_a_user_without_an_address_has_none(clients: Clients) -> None:
    user = World(clients, "name").pool.create_user("collector", SECRET)
    assert (user.username, user.email) == ("collector", None)


def test_a_name_that_is_taken_stays_who_it_was(world: World) -> None:
    created = world.pool.create_user(ADA, SECRET, groups=["admins"])
    with pytest.raises(Conflict, match="already"):
        world.pool.create_user("ADA@example.com", NEW_SECRET)
    assert world.pool.get_user(ADA) == created
    assert world.pool.sign_in(ADA, SECRET).token_type == "Bearer"


@pytest.mark.parametrize(
    ("username", "password", "email", "groups"),
    [
        ("bob", SECRET, None, []),
        ("", SECRET, None, []),
        (BOB, "short", None, []),
        (BOB, "a" * 300, None, []),
        (BOB, BOB.upper(), None, []),
        (BOB, SECRET, ADA, []),
        (BOB, SECRET, None, ["surgeons"]),
    ],
    ids=["no_address", "empty", "short", "long", "name", "other", "group"],
)
def test_what_a_user_cannot_be_is_refused(
    world: World, username: str, password: str, email: str | None, groups: list[str]
) -> None:
    sent = world.requests()
    with pytest.raises(InvalidItem):
        world.pool.create_user(username, password, email=email, groups=groups)
    assert sent == []


def test_a_password_that_the_pool_refuses_leaves_no_user(clients: Clients) -> None:
    """The deployed policy may be stricter than the declaration: somebody changed it, or it is not deployed yet."""
    world = World(clients, least=30)
    with pytest.raises(InvalidItem) as raised:
        world.pool.create_user(ADA, SECRET)
    assert [error.field for error in raised.value.errors] == ["password"]
    assert world.pool.list_users() == []


def test_a_creation_that_breaks_off_leaves_no_user(clients: Clients) -> None:
    world = World(clients, groups=("readers",))  # the other declared group is not deployed
    with pytest.raises(EngineUnavailable, match="ResourceNotFoundException"):
        world.pool.create_user(ADA, SECRET, groups=["admins", "readers"])
    with pytest.raises(NotFound):
        world.pool.get_user(ADA)


def test_a_disabled_user_cannot_sign_in(world: World) -> None:
    world.pool.create_user(ADA, SECRET)
    sent = world.requests()
    world.pool.set_enabled(ADA, False)
    assert [request.headers["X-Amz-Target"].decode().partition(".")[2] for request in sent] == [
        "AdminDisableUser",
        "AdminUserGlobalSignOut",
    ]
    assert not world.pool.get_user(ADA).enabled
    with pytest.raises(WrongCredentials):
        world.pool.sign_in(ADA, SECRET)
    world.pool.set_enabled(ADA, True)
    assert world.pool.sign_in(ADA, SECRET).token_type == "Bearer"


def test_a_new_password_replaces_the_old_one_and_ends_what_was_begun(world: World) -> None:
    world.pool.create_user(ADA, SECRET)
    sent = world.requests()
    world.pool.set_password(ADA, NEW_SECRET)
    assert sent[-1].headers["X-Amz-Target"].endswith(b".AdminUserGlobalSignOut")
    with pytest.raises(WrongCredentials):
        world.pool.sign_in(ADA, SECRET)
    assert world.pool.sign_in(ADA, NEW_SECRET).token_type == "Bearer"


@pytest.mark.parametrize("password", ["short", "x" * 300, ADA, " leading space"])
def test_a_bad_password_is_not_set(world: World, password: str) -> None:
    world.pool.create_user(ADA, SECRET)
    with pytest.raises(InvalidItem):
        world.pool.set_password(ADA, password)
    assert world.pool.sign_in(ADA, SECRET).token_type == "Bearer"


def test_groups_are_set_as_they_are_given(world: World) -> None:
    world.cognito.create_group(UserPoolId=world.pool_id, GroupName="undeclared")
    world.pool.create_user(ADA, SECRET, groups=["admins"])
    world.cognito.admin_add_user_to_group(UserPoolId=world.pool_id, Username=ADA, GroupName="undeclared")
    assert world.pool.get_user(ADA).groups == ("admins",)
    world.pool.set_groups(ADA, ["readers", "readers"])
    assert world.pool.get_user(ADA).groups == ("readers",)
    assert part(world.pool.sign_in(ADA, SECRET).access_token)["cognito:groups"] == ["readers"]
    with pytest.raises(InvalidItem):
        world.pool.set_groups(ADA, ["undeclared"])
    world.pool.set_groups(ADA, [])
    assert world.pool.get_user(ADA).groups == ()


def test_a_deleted_user_is_gone(world: World) -> None:
    before = world.pool.create_user(ADA, SECRET)
    world.pool.delete_user(ADA)
    assert world.pool.list_users() == []
    with pytest.raises(WrongCredentials):
        world.pool.sign_in(ADA, SECRET)
    assert world.pool.create_user(ADA, SECRET).id != before.id


@pytest.mark.parametrize("username", [BOB, "no address"])
def test_who_is_not_there_is_not_found(world: World, username: str) -> None:
    pool = world.pool
    for call in (
        lambda: pool.get_user(username),
        lambda: pool.set_enabled(username, True),
        lambda: pool.set_enabled(username, False),
        lambda: pool.set_password(username, NEW_SECRET),
        lambda: pool.set_groups(username, ["readers"]),
        lambda: pool.delete_user(username),
    ):
        with pytest.raises(NotFound):
            call()


# Faults


def test_what_was_not_deployed_is_said(world: World) -> None:
    pool = AwsUserPool(world.model, Stage("todos", "test", REGION, ACCOUNT), world.clients, world.clock)
    with pytest.raises(EngineUnavailable, match="WINDLASS_USERS_CLIENT"):
        pool.sign_in(ADA, SECRET)
    with pytest.raises(EngineUnavailable, match="WINDLASS_USERS_POOL"):
        pool.get_user(ADA)


def test_a_pool_that_is_gone_is_no_fault_of_who_signs_in(world: World) -> None:
    world.pool.create_user(ADA, SECRET)
    world.cognito.delete_user_pool(UserPoolId=world.pool_id)
    with pytest.raises(EngineUnavailable, match="ResourceNotFoundException"):
        world.pool.sign_in(ADA, SECRET)
    with pytest.raises(EngineUnavailable):
        world.pool.list_users()


def test_a_spent_quota_is_no_lockout_of_anybody() -> None:
    problem = throttle_problem(refused("TooManyRequestsException"))
    assert type(problem) is TooManyRequests
    assert problem.retry_after == 1.0
    assert throttle_problem(refused("NotAuthorizedException")) is None
