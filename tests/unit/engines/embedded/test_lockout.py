"""Lockout: waiting grows, ends, and tells nobody who exists."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.engines.embedded.pool_world import ADA, CHEAP, SECRET, PoolWorld, declared
from windlass.engines.embedded.lockout import LONGEST, Lockout
from windlass.engines.embedded.passwords import Passwords, Slots
from windlass.engines.embedded.store import Store
from windlass.engines.embedded.user_pool import EmbeddedUserPool
from windlass.errors import LockedOut, WrongCredentials
from windlass.ports.clock import ManualClock, iso

NOBODY = "nobody@example.com"


@pytest.fixture
def world(tmp_path: Path) -> Iterator[PoolWorld]:
    world = PoolWorld(tmp_path)
    world.pool.create_user(ADA, SECRET)
    yield world
    world.close()


def fail(world: PoolWorld, username: str = ADA, times: int = 1) -> None:
    for _ in range(times):
        with pytest.raises(WrongCredentials):
            world.sign_in(username, "wrong horse battery")


def locked(world: PoolWorld, username: str = ADA, password: str = SECRET) -> float:
    """For how many seconds the user is locked out."""
    with pytest.raises(LockedOut) as raised:
        world.sign_in(username, password)
    assert raised.value.retry_after is not None
    return raised.value.retry_after


@pytest.mark.parametrize("username", [ADA, NOBODY, "no address"])
def test_waiting_doubles_up_to_fifteen_minutes(world: PoolWorld, username: str) -> None:
    fail(world, username, times=4)
    fail(world, username)
    waits = []
    for _ in range(13):
        waits.append(round(locked(world, username), 3))
        world.advance(waits[-1])
        fail(world, username)
    assert waits == [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 900, 900, 900]


def test_the_right_password_does_not_open_a_lock(world: PoolWorld) -> None:
    fail(world, times=5)
    assert locked(world) == 1
    assert world.pool.get_user(ADA).locked_until == iso(world.clock.now() + 1)
    world.advance(0.999)
    assert 0 < locked(world) <= 0.0011
    world.advance(0.001)
    assert world.pool.get_user(ADA).locked_until is None
    assert world.sign_in().expires_in == 3600


def test_attempts_while_locked_change_nothing(world: PoolWorld) -> None:
    fail(world, times=5)
    for _ in range(20):
        assert locked(world, password="wrong again") == 1
    world.advance(1)
    fail(world)
    assert locked(world) == 2


def test_who_waited_is_refused_when_the_name_was_locked_meanwhile(world: PoolWorld) -> None:
    class Late(Slots):
        """A line in which others were faster."""

        @contextmanager
        def taken(self) -> Iterator[None]:
            fail(world, times=5)
            yield

    late = EmbeddedUserPool(world.model, world.namespace, passwords=Passwords(12, hasher=CHEAP, slots=Late()))
    with pytest.raises(LockedOut):
        late.sign_in(ADA, SECRET)


def test_success_begins_again(world: PoolWorld) -> None:
    fail(world, times=4)
    world.sign_in()
    fail(world, times=4)
    world.sign_in()


def test_failures_are_forgotten_after_a_while(world: PoolWorld) -> None:
    fail(world, times=4)
    world.advance(LONGEST)
    fail(world, times=4)
    world.sign_in()
    fail(world, times=5)
    world.advance(1 + LONGEST)
    fail(world, times=4)
    world.sign_in()


def test_one_user_is_locked_out_alone(world: PoolWorld) -> None:
    world.pool.create_user("bob@example.com", SECRET)
    fail(world, times=5)
    assert world.sign_in("bob@example.com").expires_in == 3600


def test_a_name_is_locked_however_it_is_typed(world: PoolWorld) -> None:
    for name in ("ada@example.com", "ADA@example.com", "Ada@Example.com", "aDa@example.com", "adA@example.com"):
        fail(world, name)
    assert locked(world, "ada@EXAMPLE.com") == 1


def test_a_lock_holds_in_other_processes_and_after_a_restart(world: PoolWorld) -> None:
    fail(world, times=5)
    world.namespace.store.flush()
    namespace, other = world.beside()
    with pytest.raises(LockedOut):
        other.sign_in(ADA, SECRET)
    namespace.close()
    world.restart()
    assert locked(world) == 1


@pytest.mark.parametrize("how", ["set_password", "set_enabled"])
def test_an_operator_opens_a_lock(world: PoolWorld, how: str) -> None:
    fail(world, times=5)
    if how == "set_password":
        world.pool.set_password(ADA, SECRET)
    else:
        world.pool.set_enabled(ADA, True)
    assert world.sign_in().expires_in == 3600


def test_a_disabled_user_is_locked_out_as_others_are(world: PoolWorld) -> None:
    world.pool.set_enabled(ADA, False)
    for _ in range(5):
        with pytest.raises(WrongCredentials):
            world.sign_in()
    assert locked(world) == 1


def test_a_name_that_is_made_a_user_starts_afresh(world: PoolWorld) -> None:
    fail(world, NOBODY, times=5)
    world.pool.create_user(NOBODY, SECRET)
    assert world.sign_in(NOBODY).expires_in == 3600


def test_the_numbers_are_the_declared_ones(tmp_path: Path) -> None:
    world = PoolWorld(tmp_path, declared(lockout=1, lockout_time=timedelta(minutes=20)))
    world.pool.create_user(ADA, SECRET)
    fail(world)
    assert locked(world) == 1200
    world.advance(1200)
    fail(world)
    assert locked(world) == 1200
    world.close()


@given(limit=st.integers(1, 10), first=st.floats(0.001, 10_000), failures=st.integers(1, 200))
def test_a_lock_is_never_too_long(
    tmp_path_factory: pytest.TempPathFactory, limit: int, first: float, failures: int
) -> None:
    clock, store = ManualClock(), Store(tmp_path_factory.mktemp("store") / "state.sqlite")
    lockout = Lockout(store, clock, system="s", pool="p", key=b"k" * 32, limit=limit, first=first)
    for _ in range(failures):
        lockout.failed("ada")
    until = lockout.locked_until("ada")
    if failures < limit:
        assert until is None
    else:
        assert until is not None
        wait = until - clock.now()
        assert 0 < wait <= max(LONGEST, first) + 1e-3
        expected = min(math.log2(first) + failures - limit, math.log2(max(LONGEST, first)))
        assert math.isclose(math.log2(wait), expected, abs_tol=1e-2)
    store.close()


def test_the_names_that_are_remembered_are_bounded(tmp_path: Path) -> None:
    clock, store = ManualClock(), Store(tmp_path / "state.sqlite")
    lockout = Lockout(store, clock, system="s", pool="p", key=b"k" * 32, limit=1, first=1, most_names=10)
    for number in range(50):
        clock.advance(timedelta(milliseconds=10))
        lockout.failed(f"name-{number}")
    assert store.read("select count(*) from user_pool_failures") == [(10,)]
    assert lockout.locked_until("name-49") is not None
    assert lockout.locked_until("name-1") is None
    store.close()
