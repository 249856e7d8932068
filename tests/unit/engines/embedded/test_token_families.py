"""Refresh tokens: rotation, retries, reuse, and the end of a sign-in (RFC 9700, 4.14.2)."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.engines.embedded.pool_world import PoolWorld, declared, part
from windlass.engines.embedded.token_families import RETRY_GRACE
from windlass.errors import Unauthorized
from windlass.ports.user_pool import Tokens


@pytest.fixture
def world(tmp_path: Path) -> Iterator[PoolWorld]:
    world = PoolWorld(tmp_path)
    yield world
    world.close()


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PoolWorld]:
    """A pool for many sign-ins."""
    world = PoolWorld(tmp_path_factory.mktemp("pool"))
    world.add_ada()
    yield world
    world.close()


def lives(world: PoolWorld, tokens: Tokens) -> bool:
    try:
        world.pool.verify(tokens.access_token)
    except Unauthorized:
        return False
    return True


def test_a_refresh_gives_new_tokens_of_the_same_sign_in(world: PoolWorld) -> None:
    first = world.add_ada()
    world.advance(1800)
    second = world.pool.refresh(first.refresh_token)
    old, new = world.pool.verify(first.access_token), world.pool.verify(second.access_token)
    assert (old["origin_jti"], old["auth_time"], old["event_id"]) == (
        new["origin_jti"],
        new["auth_time"],
        new["event_id"],
    )
    assert new["iat"] == new["auth_time"] + 1800
    assert new["exp"] == new["iat"] + 3600
    assert old["jti"] != new["jti"]
    assert second.refresh_token != first.refresh_token
    assert part(second.refresh_token, 1)["exp"] == part(first.refresh_token, 1)["exp"]


def test_a_sign_in_lasts_as_long_as_its_first_refresh_token_says(world: PoolWorld) -> None:
    tokens = world.add_ada()
    for _ in range(29):
        world.advance(24 * 3600)
        tokens = world.pool.refresh(tokens.refresh_token)
    world.advance(24 * 3600 - 1)
    tokens = world.pool.refresh(tokens.refresh_token)
    world.advance(1)
    with pytest.raises(Unauthorized, match="expired"):
        world.pool.refresh(tokens.refresh_token)
    assert lives(world, tokens)  # the last access token is good until its own end
    world.advance(3598)
    assert lives(world, tokens)
    world.advance(1)
    assert not lives(world, tokens)


def test_a_lost_answer_can_be_asked_for_again(world: PoolWorld) -> None:
    first = world.add_ada()
    second = world.pool.refresh(first.refresh_token)
    world.advance(RETRY_GRACE)
    again = world.pool.refresh(first.refresh_token)
    assert again.refresh_token == second.refresh_token
    assert lives(world, second)
    assert lives(world, again)
    third = world.pool.refresh(again.refresh_token)
    assert third.refresh_token != again.refresh_token


def test_a_spent_token_that_comes_again_ends_the_sign_in(world: PoolWorld) -> None:
    first, other = world.add_ada(), world.sign_in()
    second = world.pool.refresh(first.refresh_token)
    world.advance(RETRY_GRACE + 0.01)
    assert lives(world, second)
    with pytest.raises(Unauthorized, match="used before"):
        world.pool.refresh(first.refresh_token)
    assert not lives(world, first)
    assert not lives(world, second)
    for tokens in (first, second):
        with pytest.raises(Unauthorized, match="revoked"):
            world.pool.refresh(tokens.refresh_token)
    assert lives(world, other)  # another sign-in of the same user


def test_the_end_of_a_sign_in_survives_a_restart(world: PoolWorld) -> None:
    first = world.add_ada()
    second = world.pool.refresh(first.refresh_token)
    world.advance(60)
    with pytest.raises(Unauthorized):
        world.pool.refresh(first.refresh_token)
    world.restart()
    assert not lives(world, second)


def test_the_token_before_last_is_not_a_lost_answer(world: PoolWorld) -> None:
    first = world.add_ada()
    second = world.pool.refresh(first.refresh_token)
    third = world.pool.refresh(second.refresh_token)
    with pytest.raises(Unauthorized):
        world.pool.refresh(first.refresh_token)
    assert not lives(world, third)


def test_two_that_refresh_at_once_share_the_successor(world: PoolWorld) -> None:
    first = world.add_ada()
    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(lambda _: world.pool.refresh(first.refresh_token), range(16)))
    assert len({answer.refresh_token for answer in answers}) == 1
    assert all(lives(world, answer) for answer in answers)


@given(st.lists(st.tuples(st.integers(0, 5), st.sampled_from([0.0, 1.0, RETRY_GRACE, 11.0, 3599.0])), max_size=12))
def test_whatever_comes_one_refresh_token_is_valid_or_none(shared: PoolWorld, steps: list[tuple[int, float]]) -> None:
    """A model: the last token works; the one before works for a while; every other ends it all."""
    issued = [shared.sign_in().refresh_token]
    refreshed_at, ended = 0.0, False
    for back, pause in steps:
        shared.advance(pause)
        refreshed_at += pause
        place = max(len(issued) - 1 - back, 0)
        newest = place == len(issued) - 1
        retry = place == len(issued) - 2 and refreshed_at <= RETRY_GRACE
        if ended or not (newest or retry):
            ended = True
            with pytest.raises(Unauthorized):
                shared.pool.refresh(issued[place])
            continue
        answer = shared.pool.refresh(issued[place])
        if newest:
            issued.append(answer.refresh_token)
            refreshed_at = 0.0
        assert answer.refresh_token == issued[-1]
        assert lives(shared, answer)


def test_signing_out_ends_the_sign_in_at_once(world: PoolWorld) -> None:
    first, other = world.add_ada(), world.sign_in()
    second = world.pool.refresh(first.refresh_token)
    world.pool.sign_out(second.refresh_token)
    world.pool.sign_out(second.refresh_token)
    assert [lives(world, tokens) for tokens in (first, second, other)] == [False, False, True]
    with pytest.raises(Unauthorized, match="revoked"):
        world.pool.refresh(second.refresh_token)


def test_signing_out_takes_a_spent_or_expired_token_too(world: PoolWorld) -> None:
    first = world.add_ada()
    second = world.pool.refresh(first.refresh_token)
    world.pool.sign_out(first.refresh_token)
    assert not lives(world, second)
    late = world.sign_in()
    world.advance(31 * 24 * 3600)
    world.pool.sign_out(late.refresh_token)
    assert world.namespace.store.read("select * from user_pool_families") == []


@pytest.mark.parametrize("token", ["", "nonsense", "a.b.c"])
def test_signing_out_with_no_token_is_no_error(world: PoolWorld, token: str) -> None:
    tokens = world.add_ada()
    world.pool.sign_out(token)
    assert lives(world, tokens)


def test_the_lives_are_the_declared_ones(tmp_path: Path) -> None:
    model = declared(access_token_life=timedelta(minutes=5), refresh_token_life=timedelta(hours=1))
    world = PoolWorld(tmp_path, model)
    tokens = world.add_ada()
    assert tokens.expires_in == 300
    assert part(tokens.refresh_token, 1)["exp"] - part(tokens.refresh_token, 1)["iat"] == 3600
    world.advance(300)
    assert not lives(world, tokens)
    world.close()


def test_old_issuers_are_forgotten(world: PoolWorld) -> None:
    tokens = world.add_ada()
    for port in range(9000, 9033):
        world.restart(base_url=f"http://127.0.0.1:{port}")
        world.advance(1)
        world.sign_in()
    assert not lives(world, tokens)
    (count,) = world.namespace.store.read_one("select count(*) from user_pool_issuers") or (0,)
    assert count == 32
