"""What an operator does to an embedded user pool: users, groups, and the first user."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.unit.engines.embedded.pool_world import ADA, SECRET, Interrupted, PoolWorld, declared
from windlass.errors import Conflict, InvalidItem, NotFound, Unauthorized, WrongCredentials
from windlass.ports.clock import iso

NEW_SECRET = "a new horse every day"


@pytest.fixture
def world(tmp_path: Path) -> Iterator[PoolWorld]:
    world = PoolWorld(tmp_path)
    yield world
    world.close()


def test_users_are_created_listed_and_deleted(world: PoolWorld) -> None:
    created = world.pool.create_user("Bob@Example.com", SECRET, email="bob@example.com", groups=["readers", "readers"])
    assert created == world.pool.get_user("BOB@example.com")
    assert (created.username, created.email, created.groups) == ("bob@example.com", "bob@example.com", ("readers",))
    assert (created.enabled, created.created_at, created.locked_until) == (True, iso(world.clock.now()), None)
    world.pool.create_user(ADA, SECRET)
    assert [user.username for user in world.pool.list_users()] == [ADA, "bob@example.com"]
    world.pool.delete_user("bob@example.com")
    assert [user.username for user in world.pool.list_users()] == [ADA]
    world.pool.create_user("bob@example.com", SECRET)
    assert world.pool.get_user("bob@example.com").id != created.id


@pytest.mark.parametrize("name", ["bob@example.com", "no name at all", "\ud800"])
def test_a_user_who_is_not_there_is_not_found(world: PoolWorld, name: str) -> None:
    pool = world.pool
    calls: list[Callable[[], object]] = [
        lambda: pool.get_user(name),
        lambda: pool.set_enabled(name, False),
        lambda: pool.set_password(name, SECRET),
        lambda: pool.set_groups(name, []),
        lambda: pool.delete_user(name),
    ]
    for call in calls:
        with pytest.raises(NotFound):
            call()


@pytest.mark.parametrize(
    ("arguments", "field"),
    [
        ({"username": "ada"}, "username"),
        ({"username": "ada@localhost"}, "username"),
        ({"username": "ada @example.com"}, "username"),
        ({"username": "ada@example.com\n"}, "username"),
        ({"username": "a..b@example.com"}, "username"),
        ({"username": f"{'a' * 65}@example.com"}, "username"),
        ({"username": f"a@{'b' * 250}.com"}, "username"),
        ({"username": "ädä@example.com"}, "username"),
        ({"email": "other@example.com"}, "email"),
        ({"email": "nonsense"}, "email"),
        ({"groups": ["admins", "owners"]}, "groups"),
        ({"password": "short"}, "password"),
        ({"password": "Ada@Example.com"}, "password"),
    ],
)
def test_what_no_user_can_be_is_refused(world: PoolWorld, arguments: dict[str, object], field: str) -> None:
    wanted: dict[str, object] = {"username": ADA, "password": SECRET, **arguments}
    with pytest.raises(InvalidItem) as raised:
        world.pool.create_user(**wanted)  # type: ignore[arg-type]
    assert [error.field for error in raised.value.errors] == [field]
    assert world.pool.list_users() == []


def test_a_new_password_ends_everything_that_the_old_one_began(world: PoolWorld) -> None:
    tokens = world.add_ada()
    world.pool.set_password(ADA, NEW_SECRET)
    with pytest.raises(Unauthorized):
        world.pool.verify(tokens.access_token)
    with pytest.raises(Unauthorized):
        world.pool.refresh(tokens.refresh_token)
    with pytest.raises(WrongCredentials):
        world.sign_in()
    assert world.pool.verify(world.sign_in(password=NEW_SECRET).access_token)
    with pytest.raises(InvalidItem):
        world.pool.set_password(ADA, "short")


def test_groups_hold_from_the_next_token_on(world: PoolWorld) -> None:
    tokens = world.add_ada(groups=["admins"])
    world.pool.set_groups(ADA, ["readers"])
    assert world.pool.get_user(ADA).groups == ("readers",)
    assert world.pool.verify(tokens.access_token)["cognito:groups"] == ["admins"]
    again = world.pool.refresh(tokens.refresh_token)
    assert world.pool.verify(again.access_token)["cognito:groups"] == ["readers"]
    with pytest.raises(InvalidItem, match="owners"):
        world.pool.set_groups(ADA, ["owners"])


def test_a_group_that_is_declared_no_more_gives_nothing(world: PoolWorld) -> None:
    world.add_ada(groups=["admins", "readers"])
    world.restart(model=declared(groups=["readers"]))
    assert world.pool.get_user(ADA).groups == ("readers",)
    assert world.pool.verify(world.sign_in().access_token)["cognito:groups"] == ["readers"]


# The first user


def test_the_first_user_is_created_once(tmp_path: Path) -> None:
    model = declared(first_user="Admin@Example.com", first_user_groups=["admins"])
    world = PoolWorld(tmp_path, model)
    shown = world.pool.ensure_first_user()
    assert shown is not None
    username, password = shown
    assert username == "admin@example.com"
    assert len(password) >= 24
    claims = world.pool.verify(world.sign_in(username, password).access_token)
    assert claims["cognito:groups"] == ["admins"]
    assert world.pool.ensure_first_user() is None
    world.pool.delete_user(username)
    world.restart()
    assert world.pool.ensure_first_user() is None
    world.close()


def test_there_is_no_first_user_where_none_is_declared_or_somebody_is_there(tmp_path: Path) -> None:
    plain = PoolWorld(tmp_path / "plain")
    assert plain.pool.ensure_first_user() is None
    plain.close()
    taken = PoolWorld(tmp_path / "taken", declared(first_user=ADA))
    taken.pool.create_user("bob@example.com", SECRET)
    assert taken.pool.ensure_first_user() is None
    taken.close()


def test_a_user_made_meanwhile_is_first(tmp_path: Path) -> None:
    hasher = Interrupted()
    world = PoolWorld(tmp_path, declared(first_user=ADA), hasher=hasher)
    hasher.meanwhile = lambda: world.pool.create_user("bob@example.com", SECRET)
    assert world.pool.ensure_first_user() is None
    assert [user.username for user in world.pool.list_users()] == ["bob@example.com"]
    world.close()


def test_a_name_taken_meanwhile_is_taken(tmp_path: Path) -> None:
    hasher = Interrupted()
    world = PoolWorld(tmp_path, hasher=hasher)
    hasher.meanwhile = lambda: world.pool.create_user(ADA, NEW_SECRET)
    with pytest.raises(Conflict):
        world.pool.create_user(ADA, SECRET)
    assert world.sign_in(password=NEW_SECRET).expires_in == 3600
    world.close()


def test_of_two_processes_one_creates_the_first_user(tmp_path: Path) -> None:
    world = PoolWorld(tmp_path, declared(first_user=ADA))
    namespace, other = world.beside()
    shown = world.pool.ensure_first_user()
    world.namespace.store.flush()
    assert shown is not None
    assert other.ensure_first_user() is None
    assert other.sign_in(*shown).expires_in == 3600
    namespace.close()
    world.close()
