"""The keys of a pool: which are taken, how often they are asked for, and what a server cannot do to who asks."""

import json
import socket
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

from tests.unit.engines.aws.key_peer import KeyPeer, jwk, new_key
from windlass.engines.aws.jwks import MAX_BYTES, REFETCH_SECONDS, KeySet
from windlass.errors import EngineUnavailable
from windlass.ports.clock import ManualClock

FIRST, SECOND = new_key(), new_key()


@pytest.fixture
def peer() -> Iterator[KeyPeer]:
    with KeyPeer(jwk(FIRST, "first")) as peer:
        yield peer


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


def keys_of(peer: KeyPeer, clock: ManualClock) -> KeySet:
    return KeySet(peer.url, clock, where="todos.users")


def test_the_keys_are_fetched_once(peer: KeyPeer, clock: ManualClock) -> None:
    keys = keys_of(peer, clock)
    assert peer.asked == 0
    for _ in range(3):
        found = keys.find("first")
        assert found is not None
        assert found.public_numbers() == FIRST.public_key().public_numbers()
    assert [key["kid"] for key in keys.document()["keys"]] == ["first"]
    clock.advance(timedelta(days=1))
    assert keys.find("first") is not None
    assert peer.asked == 1


def test_a_key_that_is_not_known_is_looked_for_once_a_minute(peer: KeyPeer, clock: ManualClock) -> None:
    keys = keys_of(peer, clock)
    for _ in range(3):
        assert keys.find("second") is None
    assert peer.asked == 1
    peer.publish(jwk(FIRST, "first"), jwk(SECOND, "second"))
    clock.advance(timedelta(seconds=REFETCH_SECONDS - 1))
    assert keys.find("second") is None
    clock.advance(timedelta(seconds=1))
    assert keys.find("second") is not None
    assert keys.find("first") is not None
    assert peer.asked == 2


def test_a_clock_that_is_set_back_does_not_keep_new_keys_out(peer: KeyPeer, clock: ManualClock) -> None:
    keys = keys_of(peer, clock)
    assert keys.find("second") is None
    peer.publish(jwk(SECOND, "second"))
    clock.set_back(timedelta(days=1))
    clock.advance(timedelta(seconds=REFETCH_SECONDS))
    assert keys.find("second") is not None


@pytest.mark.parametrize(
    "changes",
    [{"kty": "oct"}, {"use": "enc"}, {"alg": "RS512"}, {"kid": 7}],
    ids=["type", "use", "algorithm", "id"],
)
def test_other_keys_are_passed_over(peer: KeyPeer, clock: ManualClock, changes: dict[str, Any]) -> None:
    peer.publish({**jwk(FIRST, "first"), **changes}, jwk(SECOND, "second"))
    keys = keys_of(peer, clock)
    assert keys.find("first") is None
    assert keys.find("second") is not None


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>",
        b"\xff\xfe",
        b"[]",
        b"{}",
        b'{"keys": {}}',
        b"[" * 60_000,
        json.dumps({"keys": [{**jwk(FIRST, "first"), "n": "!"}]}).encode(),
        json.dumps({"keys": [{"kty": "RSA", "kid": "first"}]}).encode(),
        b'{"keys": [' + b" " * MAX_BYTES + b"]}",
    ],
    ids=["empty", "html", "bytes", "list", "object", "keys", "deep", "damaged", "hollow", "long"],
)
def test_what_is_no_key_set_is_not_taken(peer: KeyPeer, clock: ManualClock, body: bytes) -> None:
    peer.body = body
    keys = keys_of(peer, clock)
    with pytest.raises(EngineUnavailable, match=r"^todos\.users: the pool's keys cannot be had"):
        keys.find("first")
    peer.publish(jwk(FIRST, "first"))
    assert keys.find("first") is not None


def test_an_error_of_the_server_is_told(peer: KeyPeer, clock: ManualClock) -> None:
    peer.status = 500
    with pytest.raises(EngineUnavailable, match="HTTPError"):
        keys_of(peer, clock).document()


def test_known_keys_outlast_a_server_that_fails(peer: KeyPeer, clock: ManualClock) -> None:
    keys = keys_of(peer, clock)
    assert keys.find("first") is not None
    peer.status = 503
    clock.advance(timedelta(minutes=5))
    with pytest.raises(EngineUnavailable):
        keys.find("second")
    assert keys.find("second") is None  # and the server is left in peace
    assert keys.find("first") is not None
    assert peer.asked == 2


def test_a_server_that_never_answers_is_given_up(clock: ManualClock) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/keys"
        with pytest.raises(EngineUnavailable):
            KeySet(url, clock, where="todos.users", seconds=0.05).document()


def test_a_server_that_is_not_there_is_told(clock: ManualClock) -> None:
    with socket.create_server(("127.0.0.1", 0)) as gone:
        url = f"http://127.0.0.1:{gone.getsockname()[1]}/keys"
    with pytest.raises(EngineUnavailable):
        KeySet(url, clock, where="todos.users").document()


def test_keys_come_over_http_only(clock: ManualClock) -> None:
    with pytest.raises(EngineUnavailable, match="is no address of keys"):
        KeySet("file:///etc/hosts", clock, where="todos.users")
