"""Who may call a route: users, roles, authorizers, how often each caller, and once for an idempotency key."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated, Any

import pytest

from tests.conformance.plugin import Start
from windlass import (
    Caller,
    Conflict,
    Forbidden,
    Header,
    Page,
    Reply,
    Request,
    System,
    Throttle,
    Unauthorized,
    new_id,
)
from windlass.testing import Answer, Driver

ADA, EVE, BOSS = "ada@example.com", "eve@example.com", "boss@example.com"


@dataclass
class Note:
    owner: str
    id: str
    text: str = ""


@dataclass
class NewNote:
    text: str


desk = System("desk")
users = desk.user_pool("users", groups=["admins", "auditors"])
notes = desk.table("notes", Note, key="owner", sort="id")
api = desk.api("api", auth=users)


@api.get("/me")
def me(caller: Caller) -> dict[str, Any]:
    return {"id": caller.id, "username": caller.username, "roles": sorted(caller.roles), "sub": caller.claims["sub"]}


@api.post("/notes", status=201, uses=[notes.put], idempotent=timedelta(hours=1))
def write(body: NewNote, caller: Caller) -> Reply[Note]:
    if body.text == "refuse":
        raise Conflict("refused")
    if body.text == "break":
        raise RuntimeError("broken")
    note = Note(caller.id, new_id(), body.text)
    return Reply(notes.put(note), headers={"Location": f"/notes/{note.id}"})


@api.get("/notes", uses=[notes.query])
def mine(caller: Caller, after: str | None = None, limit: int = 50) -> Page[Note]:
    return notes.query(caller.id, limit=limit, after=after)


@api.delete("/notes", roles=["admins"])
def wipe(caller: Caller) -> None: ...


@api.get("/audit", roles=["admins", "auditors"])
def audit() -> str:
    return "seen"


@api.get("/open", public=True)
def anyone(caller: Caller | None = None) -> bool:
    return caller is None


@api.get("/seldom", throttle_per_caller=Throttle(rate=1, burst=2))
def seldom() -> None: ...


machines = System("machines")
keys = machines.table("keys", Note, key="owner", sort="id")


@machines.authorizer(uses=[keys.get])
def by_key(request: Request) -> Caller:
    key = request.headers.get("x-key")
    if key is None:
        raise Unauthorized("send x-key")
    found = keys.get("key", key)
    if found is None:
        raise Forbidden("the key is not known")
    return Caller(found.text, roles=frozenset(["machine"]))


gate = machines.api("gate", auth=by_key)


@gate.post("/readings", roles=["machine"])
def reading(caller: Caller) -> str:
    return caller.id


@gate.post("/orders", roles=["person"])
def by_people_only() -> None: ...


@gate.post("/pay", idempotent=timedelta(minutes=5), public=True)
def pay(amount: int, key: Annotated[str | None, Header("idempotency-key")] = None) -> dict[str, Any]:
    return {"id": new_id(), "amount": amount, "key": key}


@pytest.fixture
def app(start: Start) -> Driver:
    return start(desk)


@pytest.fixture
def plant(start: Start) -> Driver:
    driver = start(machines)
    with driver.bound():
        keys.put(Note("key", "k1", "press"))
    return driver


def bearer(token: str) -> dict[str, str]:
    return {"authorization": f"Bearer {token}"}


# Users


def test_the_caller_is_who_signed_in(app: Driver) -> None:
    app.add_user(BOSS, groups=["auditors", "admins"])
    ada, boss = app.get("/me", as_user=ADA).json(), app.get("/me", as_user=BOSS).json()
    assert (ada["username"], ada["roles"]) == (ADA, [])
    assert (boss["username"], boss["roles"]) == (BOSS, ["admins", "auditors"])
    assert ada["id"] == ada["sub"] != boss["id"]
    assert app.get("/me", as_user=ADA).json() == ada


def test_without_a_valid_token_nobody_is_signed_in(app: Driver) -> None:
    good = app.token(ADA)
    header, payload, signature = good.split(".")
    bad = [
        {},
        {"authorization": ""},
        {"authorization": "Bearer"},
        {"authorization": f"Basic {good}"},
        {"authorization": good},
        bearer("x"),
        bearer("a.b.c"),
        bearer(f"{header}.{payload}."),
        bearer(f"{header}.{payload}.{signature[:-4]}AAAA"),
        bearer(f"{header}.{payload[:-2]}.{signature}"),
        bearer("\N{SNOWMAN}"),
    ]
    for headers in bad:
        answer = app.get("/me", headers=headers)
        assert answer.status == 401, headers
        assert answer.headers["www-authenticate"].startswith("Bearer")
        assert answer.json()["status"] == 401
    assert app.get("/me", headers=bearer(good)).status == 200
    assert app.get("/me", headers={"Authorization": f"bearer {good}"}).status == 200


def test_a_token_ends(app: Driver) -> None:
    token = app.token(ADA)
    app.advance(timedelta(minutes=59))
    assert app.get("/me", headers=bearer(token)).status == 200
    app.advance(timedelta(minutes=2))
    assert app.get("/me", headers=bearer(token)).status == 401


def test_a_public_route_asks_nobody(app: Driver) -> None:
    assert app.get("/open").json() is True
    assert app.get("/open", headers=bearer("x")).json() is True


def test_a_caller_sees_what_is_its_own(app: Driver) -> None:
    for text in ("one", "two", "three"):
        app.post("/notes", json={"text": text}, as_user=ADA)
    app.post("/notes", json={"text": "other"}, as_user=EVE)
    first = app.get("/notes?limit=2", as_user=ADA).json()
    rest = app.get("/notes", query={"after": first["next"]}, as_user=ADA).json()
    assert {note["text"] for note in first["items"] + rest["items"]} == {"one", "two", "three"}
    assert rest["next"] is None
    answer = app.get("/notes", query={"after": first["next"]}, as_user=EVE)
    assert (answer.status, answer.json()["errors"][0]["field"]) == (400, "after")


def test_a_user_of_an_earlier_run_is_the_same(start: Start) -> None:
    before = start(desk)
    ada = before.get("/me", as_user=ADA).json()["id"]
    before.close()
    assert start(desk).get("/me", as_user=ADA).json()["id"] == ada


# Roles


def test_a_route_may_ask_for_one_of_several_roles(app: Driver) -> None:
    app.add_user(BOSS, groups=["admins"])
    app.add_user(EVE, groups=["auditors"])
    assert [app.get("/audit", as_user=user).status for user in (ADA, EVE, BOSS)] == [403, 200, 200]
    assert [app.delete("/notes", as_user=user).status for user in (ADA, EVE, BOSS)] == [403, 403, 200]
    refused = app.get("/audit", as_user=ADA)
    assert refused.json()["detail"] == "this needs the role admins or auditors"
    assert app.get("/audit").status == 401


# Authorizers


def test_an_authorizer_says_who_calls(plant: Driver) -> None:
    answer = plant.post("/readings", headers={"x-key": "k1"})
    assert (answer.status, answer.json()) == (200, "press")
    assert plant.post("/readings").status == 401
    assert plant.post("/readings", headers={"x-key": "k2"}).status == 403
    assert plant.post("/orders", headers={"x-key": "k1"}).status == 403


def test_an_authorizers_grants_are_its_own(plant: Driver) -> None:
    assert {str(grant) for grant in plant.unused_grants["by_key"]} == {"keys.get"}
    plant.post("/readings", headers={"x-key": "k1"})
    assert "by_key" not in plant.unused_grants


# Throttles


def test_each_caller_has_a_rate_of_its_own(app: Driver) -> None:
    assert [app.get("/seldom", as_user=ADA).status for _ in range(3)] == [200, 200, 429]
    assert app.get("/seldom", as_user=EVE).status == 200
    refused = app.get("/seldom", as_user=ADA)
    assert refused.headers["retry-after"] == "1"
    app.advance(timedelta(seconds=1))
    assert app.get("/seldom", as_user=ADA).status == 200


# Idempotency


def post(app: Driver, key: str, text: str = "tea", user: str = ADA) -> Answer:
    return app.post("/notes", json={"text": text}, headers={"Idempotency-Key": key}, as_user=user)


def stored(app: Driver) -> int:
    with app.bound():
        return len(notes.scan(limit=1000).items)


def test_a_repeated_request_is_answered_alike_and_done_once(app: Driver) -> None:
    first, again = post(app, "k"), post(app, "k")
    assert (again.status, again.body, again.headers["location"]) == (201, first.body, first.headers["location"])
    assert "idempotency-replayed" not in first.headers
    assert again.headers["idempotency-replayed"] == "true"
    assert stored(app) == 1
    assert post(app, "other key").status == 201
    app.post("/notes", json={"text": "tea"}, as_user=ADA)
    assert stored(app) == 3


def test_a_key_is_for_one_request(app: Driver) -> None:
    post(app, "k")
    other = post(app, "k", "coffee")
    assert other.status == 422
    assert "Idempotency-Key" in other.json()["detail"]
    assert stored(app) == 1


def test_each_caller_has_keys_of_its_own(app: Driver) -> None:
    assert post(app, "k").json()["owner"] != post(app, "k", user=EVE).json()["owner"]
    assert stored(app) == 2


def test_the_answer_of_a_failure_is_not_kept(app: Driver) -> None:
    for text, status in (("refuse", 409), ("break", 500), ("tea", 201)):
        assert post(app, "k", text).status == status
    assert stored(app) == 1
    assert app.post("/notes", json={}, headers={"Idempotency-Key": "l"}, as_user=ADA).status == 400
    assert post(app, "l").status == 201


def test_an_answer_is_kept_for_its_time(app: Driver) -> None:
    post(app, "k")
    app.advance(timedelta(minutes=59))
    assert post(app, "k").headers["idempotency-replayed"] == "true"
    app.advance(timedelta(minutes=2))
    assert "idempotency-replayed" not in post(app, "k").headers
    assert stored(app) == 2


def test_an_answer_outlives_the_engine(start: Start) -> None:
    before = start(desk)
    token = before.token(ADA)
    headers = {**bearer(token), "Idempotency-Key": "k"}
    first = before.post("/notes", json={"text": "tea"}, headers=headers)
    before.close()
    after = start(desk)
    again = after.post("/notes", json={"text": "tea"}, headers=headers)
    assert (again.status, again.body) == (201, first.body)
    assert stored(after) == 1


def test_the_query_is_part_of_the_request(plant: Driver) -> None:
    headers = {"Idempotency-Key": "k"}
    first = plant.post("/pay?amount=1", headers=headers)
    assert first.json()["key"] == "k"
    assert plant.post("/pay?amount=1", headers=headers).body == first.body
    assert plant.post("/pay?amount=2", headers=headers).status == 422


@pytest.mark.parametrize("key", ["", "x" * 256, "a\nb", "\N{SNOWMAN}", "caf\u00e9"])
def test_a_key_is_printable_ascii(app: Driver, key: str) -> None:
    answer = post(app, key)
    assert answer.status == 400
    assert answer.json()["errors"][0]["field"] == "header.idempotency-key"
    assert stored(app) == 0
    assert post(app, "x" * 255).status == 201
