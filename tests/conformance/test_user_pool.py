"""What every engine's user pool does. How soon a token that was issued is refused, and when a lock ends, differ from
engine to engine; the engines' own tests hold them to their word."""

import base64
import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from tests.conformance.plugin import Start
from windlass import Caller, System, Tokens, Unauthorized, UserPool, WrongCredentials
from windlass.errors import Conflict, InvalidItem, NotFound
from windlass.testing import Driver

ADA, BOB = "ada@example.com", "bob@example.com"
SECRET, NEW_SECRET = "correct-Horse-7-battery", "another-Horse-8-stable"


def clinic() -> System:
    """A system whose only purpose is to be signed in to."""
    system = System("clinic")
    users = system.user_pool("users", groups=["doctors", "nurses"])
    api = system.api("api", auth=users)

    @api.get("/me")
    def me(caller: Caller) -> dict[str, Any]:
        return {"id": caller.id, "roles": sorted(caller.roles)}

    @api.get("/ward", roles=["doctors", "nurses"])
    def ward(caller: Caller) -> dict[str, str]:
        return {"id": caller.id}

    @api.post("/tokens", public=True, uses=[users.sign_in])
    def sign_in(body: dict[str, str]) -> Tokens:
        return users.sign_in(body["username"], body["password"])

    @api.post("/refresh", public=True, uses=[users.sign_in])
    def ungranted(body: dict[str, str]) -> Tokens:
        return users.refresh(body["refresh_token"])

    return system


@pytest.fixture
def app(start: Start) -> Driver:
    app = start(clinic())
    app.user_pool("users").create_user(ADA, SECRET, groups=["doctors"])
    return app


def pool_of(app: Driver) -> UserPool:
    (pool,) = app.system.of(UserPool)
    return pool


def signed_in(app: Driver, username: str = ADA, password: str = SECRET) -> Tokens:
    with app.bound():
        return pool_of(app).sign_in(username, password)


def refreshed(app: Driver, tokens: Tokens) -> Tokens:
    with app.bound():
        return pool_of(app).refresh(tokens.refresh_token)


def signed_out(app: Driver, refresh_token: str) -> None:
    with app.bound():
        pool_of(app).sign_out(refresh_token)


def bearer(token: str) -> dict[str, str]:
    return {"authorization": f"Bearer {token}"}


def content(token: str, index: int = 1) -> dict[str, Any]:
    segment = token.split(".")[index]
    found: dict[str, Any] = json.loads(base64.urlsafe_b64decode(segment + "=" * (-len(segment) % 4)))
    return found


# Signing in


def test_a_user_signs_in_and_is_known_to_a_route(app: Driver) -> None:
    tokens = signed_in(app)
    user = app.user_pool("users").get_user(ADA)
    assert tokens.token_type == "Bearer"
    assert tokens.expires_in == 3600
    for token in (tokens.access_token, tokens.id_token):
        answer = app.get("/me", headers=bearer(token))
        assert answer.status == 200
        assert answer.json() == {"id": user.id, "roles": ["doctors"]}


def test_signing_in_through_a_route(app: Driver) -> None:
    answer = app.post("/tokens", json={"username": ADA, "password": SECRET})
    assert answer.status == 200
    assert app.get("/me", headers=bearer(answer.json()["access_token"])).status == 200
    assert app.post("/tokens", json={"username": ADA, "password": NEW_SECRET}).status == 401


def test_tokens_have_the_claims_that_cognito_gives(app: Driver) -> None:
    tokens = signed_in(app)
    access, identity = content(tokens.access_token), content(tokens.id_token)
    both = {"sub", "iss", "origin_jti", "event_id", "token_use", "auth_time", "exp", "iat", "jti", "cognito:groups"}
    assert both | {"client_id", "scope", "username"} <= set(access)
    assert both | {"aud", "cognito:username", "email", "email_verified"} <= set(identity)
    assert (access["token_use"], identity["token_use"]) == ("access", "id")
    assert access["sub"] == identity["sub"] == app.user_pool("users").get_user(ADA).id
    assert access["client_id"] == identity["aud"]
    assert access["origin_jti"] == identity["origin_jti"]
    assert access["scope"] == "aws.cognito.signin.user.admin"
    assert access["exp"] - access["iat"] == 3600
    assert (identity["email"], identity["email_verified"]) == (ADA, True)
    assert access["cognito:groups"] == identity["cognito:groups"] == ["doctors"]


def test_tokens_are_signed_with_a_published_key(app: Driver) -> None:
    pool = app.user_pool("users")
    tokens = signed_in(app)
    published = {key["kid"]: key for key in pool.jwks()["keys"]}
    for token in (tokens.access_token, tokens.id_token):
        header = content(token, 0)
        assert header["alg"] == "RS256"
        assert published[header["kid"]]["kty"] == "RSA"
        assert content(token)["iss"] == pool.discovery()["issuer"]
    assert pool.discovery()["jwks_uri"] == f"{pool.discovery()['issuer']}/.well-known/jwks.json"


def test_the_engine_verifies_its_own_tokens(app: Driver) -> None:
    pool, tokens = app.user_pool("users"), signed_in(app)
    assert pool.verify(tokens.access_token)["sub"] == pool.get_user(ADA).id
    for token in (tokens.refresh_token, "", "nonsense", "a.b.c", "é", tokens.access_token[:-5]):
        with pytest.raises(Unauthorized):
            pool.verify(token)


def test_an_address_is_the_same_in_any_case(app: Driver) -> None:
    assert content(signed_in(app, "Ada@Example.COM").id_token)["email"] == ADA
    with pytest.raises(Conflict):
        app.user_pool("users").create_user("ADA@example.com", SECRET)


@pytest.mark.parametrize(("username", "password"), [(ADA, NEW_SECRET), (BOB, SECRET), (ADA, SECRET.upper())])
def test_what_is_wrong_is_not_told(app: Driver, username: str, password: str) -> None:
    with pytest.raises(WrongCredentials):
        signed_in(app, username, password)


# Routes


@pytest.mark.parametrize(
    "headers",
    [{}, {"authorization": "Bearer"}, bearer("nonsense"), bearer("e30.e30."), {"authorization": "Basic YTpi"}],
    ids=["none", "empty", "nonsense", "unsigned", "basic"],
)
def test_a_route_refuses_who_has_no_token(app: Driver, headers: dict[str, str]) -> None:
    assert app.get("/me", headers=headers).status == 401


def test_a_route_refuses_a_token_that_was_changed(app: Driver) -> None:
    head, claims, signature = signed_in(app).access_token.split(".")
    raised = {**content(f".{claims}"), "cognito:groups": ["nurses"]}
    forged = base64.urlsafe_b64encode(json.dumps(raised).encode()).decode().rstrip("=")
    unsigned = base64.urlsafe_b64encode(b'{"alg":"none"}').decode().rstrip("=")
    for token in (f"{head}.{forged}.{signature}", f"{unsigned}.{claims}.", f"{head}.{claims}.{signature[::-1]}"):
        assert app.get("/me", headers=bearer(token)).status == 401


def test_a_refresh_token_opens_no_route(app: Driver) -> None:
    assert app.get("/me", headers=bearer(signed_in(app).refresh_token)).status == 401


def test_a_role_is_a_group(app: Driver) -> None:
    pool = app.user_pool("users")
    assert app.get("/ward", headers=bearer(signed_in(app).access_token)).status == 200
    pool.create_user(BOB, SECRET)
    bob = signed_in(app, BOB)
    assert app.get("/me", headers=bearer(bob.access_token)).json()["roles"] == []
    assert app.get("/ward", headers=bearer(bob.access_token)).status == 403
    pool.set_groups(BOB, ["nurses"])
    assert app.get("/ward", headers=bearer(signed_in(app, BOB).access_token)).status == 200


# Refreshing and signing out


def test_a_refresh_token_gives_new_tokens(app: Driver) -> None:
    first = signed_in(app)
    second = refreshed(app, first)
    assert second.access_token != first.access_token
    assert second.refresh_token != first.refresh_token
    assert content(second.access_token)["sub"] == content(first.access_token)["sub"]
    assert content(second.access_token)["auth_time"] == content(first.access_token)["auth_time"]
    assert app.get("/me", headers=bearer(second.access_token)).status == 200
    assert refreshed(app, second).token_type == "Bearer"


def test_a_refresh_takes_up_new_groups(app: Driver) -> None:
    first = signed_in(app)
    app.user_pool("users").set_groups(ADA, ["doctors", "nurses"])
    assert set(content(refreshed(app, first).access_token)["cognito:groups"]) == {"doctors", "nurses"}


def test_a_spent_refresh_token_is_refused_once_retries_are_over(app: Driver) -> None:
    first = signed_in(app)
    refreshed(app, first)
    app.advance(timedelta(minutes=2))
    with pytest.raises(Unauthorized):
        refreshed(app, first)


def test_after_signing_out_there_is_no_refresh(app: Driver) -> None:
    first, other = signed_in(app), signed_in(app)
    second = refreshed(app, first)
    signed_out(app, second.refresh_token)
    with pytest.raises(Unauthorized):
        refreshed(app, second)
    assert refreshed(app, other).token_type == "Bearer"


@pytest.mark.parametrize("token", ["", "nonsense", "a.b.c.d.e"])
def test_signing_out_with_an_unknown_token_is_no_error(app: Driver, token: str) -> None:
    signed_out(app, token)


@pytest.mark.parametrize("kind", ["access_token", "id_token"])
def test_only_a_refresh_token_refreshes(app: Driver, kind: str) -> None:
    with app.bound(), pytest.raises(Unauthorized):
        pool_of(app).refresh(getattr(signed_in(app), kind))


# Operating


def test_a_user_can_be_looked_at(app: Driver) -> None:
    pool = app.user_pool("users")
    created = pool.create_user(BOB, SECRET, groups=["nurses", "doctors"])
    assert created == pool.get_user(BOB)
    assert (created.email, set(created.groups), created.enabled) == (BOB, {"doctors", "nurses"}, True)
    assert {user.id for user in pool.list_users()} == {created.id, pool.get_user(ADA).id}


def test_a_disabled_user_cannot_sign_in(app: Driver) -> None:
    pool, tokens = app.user_pool("users"), signed_in(app)
    pool.set_enabled(ADA, False)
    assert not pool.get_user(ADA).enabled
    with pytest.raises(WrongCredentials):
        signed_in(app)
    with pytest.raises(Unauthorized):
        refreshed(app, tokens)
    pool.set_enabled(ADA, True)
    assert signed_in(app).token_type == "Bearer"


def test_a_new_password_replaces_the_old_one(app: Driver) -> None:
    app.user_pool("users").set_password(ADA, NEW_SECRET)
    with pytest.raises(WrongCredentials):
        signed_in(app)
    assert signed_in(app, password=NEW_SECRET).token_type == "Bearer"


def test_a_deleted_user_is_gone(app: Driver) -> None:
    pool, tokens = app.user_pool("users"), signed_in(app)
    before = pool.get_user(ADA).id
    pool.delete_user(ADA)
    assert pool.list_users() == []
    with pytest.raises(WrongCredentials):
        signed_in(app)
    with pytest.raises(Unauthorized):
        refreshed(app, tokens)
    assert pool.create_user(ADA, SECRET).id != before


def test_who_is_not_there_is_not_found(app: Driver) -> None:
    pool = app.user_pool("users")
    calls: list[Callable[[], object]] = [
        lambda: pool.get_user(BOB),
        lambda: pool.set_enabled(BOB, True),
        lambda: pool.set_password(BOB, NEW_SECRET),
        lambda: pool.set_groups(BOB, ["nurses"]),
        lambda: pool.delete_user(BOB),
    ]
    for call in calls:
        with pytest.raises(NotFound):
            call()


@pytest.mark.parametrize(
    ("username", "password", "groups"),
    [
        ("bob", SECRET, []),
        ("", SECRET, []),
        (BOB, "short", []),
        (BOB, "a" * 300, []),
        (BOB, SECRET, ["surgeons"]),
    ],
    ids=["no_address", "empty", "short", "long", "group"],
)
def test_what_a_user_cannot_be_is_refused(app: Driver, username: str, password: str, groups: list[str]) -> None:
    with pytest.raises(InvalidItem):
        app.user_pool("users").create_user(username, password, groups=groups)
    with pytest.raises(NotFound):
        app.user_pool("users").get_user(BOB)


def test_a_pool_of_names_keeps_an_address_besides(start: Start) -> None:
    system = System("clinic")
    system.user_pool("users", sign_in="username")
    app = start(system)
    pool = app.user_pool("users")
    pool.create_user("collector", SECRET, email=ADA)
    tokens = signed_in(app, "collector")
    assert content(tokens.access_token)["username"] == "collector"
    assert content(tokens.id_token)["cognito:username"] == "collector"
    assert content(tokens.id_token)["email"] == ADA
    with pytest.raises(InvalidItem):
        pool.create_user("two words", SECRET)


# Grants


def test_signing_in_needs_a_grant(app: Driver) -> None:
    tokens = signed_in(app)
    assert app.post("/refresh", json={"refresh_token": tokens.refresh_token}).status == 500
    assert refreshed(app, tokens).token_type == "Bearer"
