"""The embedded user pool: signing in, and what holds across processes and restarts."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from argon2 import PasswordHasher

from tests.unit.engines.embedded.pool_world import ADA, CHEAP, SECRET, Interrupted, PoolWorld, declared, part
from windlass.engines.embedded.namespace import Namespace
from windlass.engines.embedded.passwords import Passwords, Slots
from windlass.engines.embedded.token_families import MOST_FAMILIES
from windlass.engines.embedded.user_pool import EmbeddedUserPool
from windlass.errors import (
    Conflict,
    InvalidState,
    TooManyRequests,
    Unauthorized,
    WrongCredentials,
)

NEW_SECRET = "a new horse every day"


@pytest.fixture
def world(tmp_path: Path) -> Iterator[PoolWorld]:
    world = PoolWorld(tmp_path)
    yield world
    world.close()


# Signing in


def test_tokens_have_cognitos_claims(world: PoolWorld) -> None:
    tokens = world.add_ada(groups=["readers", "admins"])
    user, now = world.pool.get_user(ADA), int(world.clock.now())
    assert (tokens.token_type, tokens.expires_in) == ("Bearer", 3600)
    access, identity, refresh = (
        part(token, 1) for token in (tokens.access_token, tokens.id_token, tokens.refresh_token)
    )
    shared = {
        "sub": user.id,
        "iss": "http://127.0.0.1:8400/todos/_pools/users",
        "origin_jti": access["origin_jti"],
        "auth_time": now,
        "iat": now,
    }
    of_user = {**shared, "cognito:groups": ["admins", "readers"], "event_id": access["event_id"], "exp": now + 3600}
    assert access == {
        **of_user,
        "token_use": "access",
        "client_id": access["client_id"],
        "scope": "aws.cognito.signin.user.admin",
        "username": ADA,
        "jti": access["jti"],
    }
    assert identity == {
        **of_user,
        "token_use": "id",
        "aud": access["client_id"],
        "cognito:username": ADA,
        "email": ADA,
        "email_verified": True,
        "jti": identity["jti"],
    }
    assert refresh == {
        **shared,
        "token_use": "refresh",
        "client_id": access["client_id"],
        "exp": now + 30 * 24 * 3600,
        "jti": refresh["jti"],
    }
    assert len({access["jti"], identity["jti"], refresh["jti"]}) == 3
    assert len(access["client_id"]) == 26


def test_a_user_without_groups_and_email_has_no_such_claims(tmp_path: Path) -> None:
    world = PoolWorld(tmp_path, declared(sign_in="username"))
    world.pool.create_user("Collector-1", SECRET)
    claims = world.pool.verify(world.sign_in("collector-1").id_token)
    assert claims["cognito:username"] == "collector-1"
    assert not {"email", "email_verified", "cognito:groups"} & set(claims)
    world.close()


@pytest.mark.parametrize(
    ("username", "password"),
    [
        (ADA, "wrong horse battery"),
        (ADA, ""),
        (ADA, SECRET + " "),
        (ADA, SECRET * 1000),
        (ADA, "\ud800" * 12),
        ("bob@example.com", SECRET),
        ("", SECRET),
        ("ada\x00@example.com", SECRET),
        ("\ud800@example.com", SECRET),
        (ADA + "a" * 100_000, SECRET),
        ("ada@example.com' or 1=1 --", SECRET),
    ],
)
def test_wrong_credentials_are_told_in_one_way(world: PoolWorld, username: str, password: str) -> None:
    world.add_ada()
    with pytest.raises(WrongCredentials, match=r"^the user name or the password is wrong$"):
        world.sign_in(username, password)


def test_a_name_is_known_however_it_is_typed(world: PoolWorld) -> None:
    world.add_ada()
    assert world.pool.verify(world.sign_in("Ada@EXAMPLE.com").access_token)["username"] == ADA
    with pytest.raises(Conflict):
        world.pool.create_user("ADA@example.com", SECRET)


def test_a_disabled_user_is_answered_as_an_unknown_one(world: PoolWorld) -> None:
    world.add_ada()
    world.pool.set_enabled(ADA, False)
    with pytest.raises(WrongCredentials):
        world.sign_in()
    world.pool.set_enabled(ADA, True)
    assert world.sign_in().expires_in == 3600


def test_a_hash_with_old_parameters_is_made_anew(world: PoolWorld) -> None:
    tokens = world.add_ada()
    (before,) = world.namespace.store.read("select password from user_pool_users")
    world.hasher = PasswordHasher(time_cost=2, memory_cost=16, parallelism=1)
    world.restart()
    world.sign_in()
    (after,) = world.namespace.store.read("select password from user_pool_users")
    assert before != after
    assert "m=16,t=2,p=1" in after[0]
    assert world.pool.verify(tokens.access_token)  # the password is the same, so nothing is revoked
    world.sign_in()
    assert world.namespace.store.read("select password from user_pool_users") == [after]


def test_a_damaged_hash_is_said_to_be_one(world: PoolWorld) -> None:
    world.add_ada()
    with world.namespace.store.write() as db:
        db.execute("update user_pool_users set password = '$argon2id$nonsense'")
    with pytest.raises(InvalidState, match="set the user's password again"):
        world.sign_in()


@pytest.mark.parametrize("what", ["set_password", "set_enabled", "delete_user", "replaced"])
def test_what_changes_while_a_password_is_verified_counts(tmp_path: Path, what: str) -> None:
    hasher = Interrupted()
    world = PoolWorld(tmp_path, hasher=hasher)
    world.add_ada()

    def meanwhile() -> None:
        match what:
            case "set_password":
                world.pool.set_password(ADA, NEW_SECRET)
            case "set_enabled":
                world.pool.set_enabled(ADA, False)
            case _:
                world.pool.delete_user(ADA)
        if what == "replaced":
            world.pool.create_user(ADA, NEW_SECRET)

    hasher.meanwhile = meanwhile
    with pytest.raises(WrongCredentials):
        world.sign_in()
    assert world.namespace.store.read("select * from user_pool_families") == []
    world.close()


def test_the_store_is_not_held_while_a_password_is_verified(tmp_path: Path) -> None:
    hasher = Interrupted()
    world = PoolWorld(tmp_path, hasher=hasher)
    tokens = world.add_ada()
    verified: list[str] = []

    def elsewhere() -> None:
        verified.append(world.pool.verify(tokens.access_token)["username"])

    def meanwhile() -> None:
        other = threading.Thread(target=elsewhere, daemon=True)
        other.start()
        other.join(10)

    hasher.meanwhile = meanwhile
    world.sign_in()
    assert verified == [ADA]
    world.close()


def test_more_sign_ins_than_the_machine_bears_are_refused(tmp_path: Path) -> None:
    namespace = Namespace(tmp_path)
    model = declared()
    busy = Passwords(model.min_password_length, hasher=CHEAP, slots=Slots(places=0, line=1, patience=0))
    EmbeddedUserPool(model, namespace, passwords=Passwords(12, hasher=CHEAP)).create_user(ADA, SECRET)
    pool = EmbeddedUserPool(model, namespace, passwords=busy)
    for username in (ADA, "bob@example.com"):
        with pytest.raises(TooManyRequests) as raised:
            pool.sign_in(username, SECRET)
        assert raised.value.retry_after == 1
    namespace.close()


def test_many_sign_in_at_once(world: PoolWorld) -> None:
    world.pool.create_user(ADA, SECRET)
    with ThreadPoolExecutor(8) as threads:
        tokens = list(threads.map(lambda _: world.sign_in(), range(24)))
    assert len({world.pool.verify(each.access_token)["origin_jti"] for each in tokens}) == 24
    assert len(world.namespace.store.read("select * from user_pool_keys")) == 1


def test_a_user_has_a_bounded_number_of_sign_ins(world: PoolWorld) -> None:
    first = world.add_ada()
    store = world.namespace.store
    (row,) = store.read("select * from user_pool_families")
    with store.write() as db:
        for number in range(MOST_FAMILIES - 1):
            copy = (*row[:2], f"family-{number}", *row[3:])
            db.execute(f"insert into user_pool_families values ({', '.join('?' * len(copy))})", copy)
    assert world.pool.verify(first.access_token)
    world.advance(1)
    latest = world.sign_in()
    assert store.read("select count(*) from user_pool_families") == [(MOST_FAMILIES,)]
    assert world.pool.verify(latest.access_token)
    with pytest.raises(Unauthorized):
        world.pool.verify(first.access_token)


# Other processes, other pools, other starts


@pytest.mark.parametrize("change", ["disable", "delete", "password", "sign_out"])
def test_what_another_process_does_holds_at_once(world: PoolWorld, change: str) -> None:
    tokens = world.add_ada()
    assert world.pool.verify(tokens.access_token)
    world.namespace.store.flush()
    namespace, other = world.beside()
    match change:
        case "disable":
            other.set_enabled(ADA, False)
        case "delete":
            other.delete_user(ADA)
        case "password":
            other.set_password(ADA, NEW_SECRET)
        case "sign_out":
            other.sign_out(tokens.refresh_token)
    namespace.close()
    for token in (tokens.access_token, tokens.id_token):
        with pytest.raises(Unauthorized, match="revoked"):
            world.pool.verify(token)
    with pytest.raises(Unauthorized):
        world.pool.refresh(tokens.refresh_token)
    if change == "disable":
        world.pool.set_enabled(ADA, True)
        with pytest.raises(Unauthorized):
            world.pool.verify(tokens.access_token)


@pytest.mark.parametrize("statement", ["update user_pool_users set enabled = 0", "delete from user_pool_users"])
def test_the_state_is_asked_about_the_user_itself(world: PoolWorld, statement: str) -> None:
    """Not only about the sign-in: whoever repairs the state by hand is obeyed, too."""
    tokens = world.add_ada()
    with world.namespace.store.write() as db:
        db.execute(statement)
    with pytest.raises(Unauthorized, match="revoked"):
        world.pool.verify(tokens.access_token)
    with pytest.raises(Unauthorized, match="revoked"):
        world.pool.refresh(tokens.refresh_token)


def test_tokens_survive_a_restart_on_another_port(world: PoolWorld) -> None:
    tokens = world.add_ada()
    keys = world.pool.jwks()
    world.restart(base_url="http://127.0.0.1:9999/")
    assert world.pool.jwks() == keys
    assert world.pool.verify(tokens.access_token)["iss"] == "http://127.0.0.1:8400/todos/_pools/users"
    again = world.pool.refresh(tokens.refresh_token)
    assert world.pool.verify(again.access_token)["iss"] == "http://127.0.0.1:9999/todos/_pools/users"
    assert world.pool.verify(tokens.access_token)


def test_a_write_that_was_lost_leaves_no_key_behind(world: PoolWorld) -> None:
    world.pool.create_user(ADA, SECRET)
    store = world.namespace.store
    store.flush()
    world.sign_in()
    lost = world.pool.jwks()
    with store.write() as db:
        db.execute("rollback")
    with pytest.raises(Exception, match="cannot be written now"):
        store.flush()
    tokens = world.sign_in()
    world.restart()
    assert world.pool.jwks() != lost
    assert world.pool.verify(tokens.access_token)


def test_pools_share_tables_and_nothing_else(world: PoolWorld) -> None:
    world.add_ada()
    twins = [declared(name="others"), declared(system="shop")]
    for model in twins:
        pool = EmbeddedUserPool(model, world.namespace, passwords=Passwords(12, hasher=CHEAP))
        assert pool.list_users() == []
        pool.create_user(ADA, NEW_SECRET)
        tokens = pool.sign_in(ADA, NEW_SECRET)
        with pytest.raises(Unauthorized):
            world.pool.verify(tokens.access_token)
        with pytest.raises(Unauthorized):
            world.pool.refresh(tokens.refresh_token)
        pool.delete_user(ADA)
    assert world.sign_in().expires_in == 3600


def test_the_state_shows_no_password_and_no_key(world: PoolWorld) -> None:
    world.add_ada()
    with pytest.raises(WrongCredentials):
        world.sign_in("my-own-password-in-the-wrong-field")
    world.namespace.store.flush()
    state = b"".join(path.read_bytes() for path in world.home.rglob("state.sqlite*"))
    assert ADA.encode() in state
    assert SECRET.encode() not in state
    assert b"my-own-password-in-the-wrong-field" not in state
    assert b"\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01" not in state  # the object identifier of an RSA key (RFC 8017)


def test_housekeeping_deletes_what_has_ended(world: PoolWorld) -> None:
    world.add_ada()
    with pytest.raises(WrongCredentials):
        world.sign_in("bob@example.com")
    store = world.namespace.store

    def left() -> list[int]:
        world.pool.remove_expired()
        return [store.read(f"select count(*) from user_pool_{name}")[0][0] for name in ("families", "failures")]

    assert left() == [1, 1]
    world.advance(900)
    assert left() == [1, 0]
    world.advance(30 * 24 * 3600)  # an access token that was got at the last moment lives for an hour more
    assert left() == [1, 0]
    world.advance(3600)
    assert left() == [0, 0]
