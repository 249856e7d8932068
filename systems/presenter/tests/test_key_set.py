"""RS256 and the key set: what is fetched, when, and what becomes of a token meanwhile."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from presenter.key_set import GOOD_FOR, MAX_BYTES, PAUSE, REFRESH_AFTER, FetchFailed, KeySet, fetch
from presenter.tests.issuer import KeyServer, bearer, jwk, rs256, token

from tests.conformance.plugin import Start
from windlass import ServiceUnavailable
from windlass.graph.load import load
from windlass.testing import Answer, Driver

START = datetime(2024, 6, 12, 9, 0, tzinfo=UTC)


@pytest.fixture
def keys() -> Iterator[KeyServer]:
    with KeyServer(jwk("first")) as server:
        yield server


@pytest.fixture
def app(keys: KeyServer, start: Start) -> Iterator[Driver]:
    with start(load(Path(__file__).parents[1]), clock_start=START) as app:
        app.secret("jwks_url").write(keys.url)
        yield app


def read(app: Driver, key: str, **more: Any) -> Answer:
    return app.get("/data", headers=bearer(rs256(app, key, **more)))


def wait(app: Driver, seconds: float) -> None:
    app.advance(timedelta(seconds=seconds))


# ---- tokens


def test_a_token_of_a_known_key_is_taken(app: Driver) -> None:
    assert read(app, "first").status == 200
    assert app.get("/data", headers=bearer(token(app))).status == 200, "HS256 goes on beside it"


def test_without_a_key_set_rs256_is_401(keys: KeyServer, start: Start) -> None:
    with start(load(Path(__file__).parents[1]), clock_start=START) as app:
        answer = read(app, "first")
        assert answer.status == 401
        assert "RS256" in answer.json()["detail"]
        app.secret("jwks_url").write(keys.url)
        assert read(app, "first").status == 200


def test_the_rules_for_claims_hold_for_rs256_too(app: Driver) -> None:
    now = int(app.clock.now())
    assert read(app, "first", exp=now - 3600).status == 401
    assert read(app, "first", exp=None).status == 401
    assert read(app, "first", sub=None).status == 401
    assert read(app, "first", Role=["data.write"]).status == 403


def test_a_token_without_a_kid_means_the_only_key(app: Driver, keys: KeyServer) -> None:
    assert read(app, "first", headers={}).status == 200
    keys.give(jwk("first"), jwk("second"))
    wait(app, REFRESH_AFTER)
    assert read(app, "first").status == 200
    assert read(app, "first", headers={}).status == 401


@pytest.mark.parametrize(
    "given",
    [
        jwk("first", use="enc"),
        jwk("first", alg="RS512"),
        jwk("first", kty="EC"),
        jwk("first", n="AQAB"),
        jwk("first", n=None),
        jwk("first", e="AA"),
        jwk("small", 1024, kid="first"),
        {"kty": "oct", "kid": "first", "k": "c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0"},
        {},
    ],
    ids=["encryption", "RS512", "EC", "tiny", "no n", "e of zero", "1024 bits", "shared", "empty"],
)
def test_a_key_for_something_else_is_left_out(app: Driver, keys: KeyServer, given: dict[str, Any]) -> None:
    keys.give(given, jwk("second"))
    assert read(app, "second").status == 200
    assert read(app, "first").status == 401


def test_a_shared_key_in_the_set_is_no_key_for_hs256(app: Driver, keys: KeyServer) -> None:
    keys.give(jwk("second"), {"kty": "oct", "kid": "first", "alg": "HS256", "k": "AAAA"})
    assert read(app, "second").status == 200
    assert app.get("/data", headers=bearer(token(app)[:-5] + "AAAAA")).status == 401


# ---- when it is fetched


def test_it_is_fetched_once_and_again_after_a_while(app: Driver, keys: KeyServer) -> None:
    for _ in range(5):
        assert read(app, "first").status == 200
    assert keys.fetched == 1
    wait(app, REFRESH_AFTER - 1)
    assert read(app, "first").status == 200
    assert keys.fetched == 1
    wait(app, 2)
    assert read(app, "first").status == 200
    assert keys.fetched == 2


def test_a_new_key_is_found_when_the_first_token_of_it_comes(app: Driver, keys: KeyServer) -> None:
    assert read(app, "first").status == 200
    keys.give(jwk("first"), jwk("second"))
    wait(app, PAUSE)
    assert read(app, "second").status == 200
    assert read(app, "first").status == 200
    assert keys.fetched == 2


def test_a_key_that_was_withdrawn_is_good_no_longer(app: Driver, keys: KeyServer) -> None:
    assert read(app, "first").status == 200
    keys.give(jwk("second"))
    wait(app, REFRESH_AFTER)
    assert read(app, "first").status == 401
    assert read(app, "second").status == 200


def test_tokens_with_made_up_kids_do_not_make_a_fetch_each(app: Driver, keys: KeyServer) -> None:
    assert read(app, "first").status == 200
    for number in range(50):
        assert read(app, "second", headers={"kid": f"made up {number}"}).status == 401
    assert keys.fetched == 1
    wait(app, PAUSE)
    for number in range(50):
        assert read(app, "second", headers={"kid": f"made up {number}"}).status == 401
    assert keys.fetched == 2


def test_another_address_begins_anew(app: Driver, keys: KeyServer) -> None:
    assert read(app, "first").status == 200
    with KeyServer(jwk("second")) as other:
        app.secret("jwks_url").write(other.url)
        assert read(app, "second").status == 200
        assert read(app, "first").status == 401
    assert keys.fetched == 1


# ---- when it cannot be fetched


@pytest.mark.parametrize(
    ("status", "headers", "content"),
    [
        (500, {}, b"{}"),
        (404, {}, b"{}"),
        (302, {"Location": "http://127.0.0.1:9/"}, b""),
        (200, {}, b""),
        (200, {}, b"<html>"),
        (200, {}, b"[]"),
        (200, {}, b'"keys"'),
        (200, {}, b"{}"),
        (200, {}, b'{"keys": []}'),
        (200, {}, b'{"keys": {"kid": "first"}}'),
        (200, {}, b'{"keys": [1, null, "x"]}'),
        (200, {}, b"\xff\xfe\xfd"),
        (200, {}, b"[" * 100_000),
        (200, {}, b" " * (MAX_BYTES + 1)),
    ],
)
def test_a_fetch_that_fails_is_503_and_tells_nothing(
    app: Driver, keys: KeyServer, status: int, headers: dict[str, str], content: bytes
) -> None:
    keys.status, keys.answer = status, content
    keys.headers |= headers
    answer = read(app, "first")
    assert answer.status == 503, answer
    assert answer.headers["retry-after"] == "10"
    assert str(keys.url) not in answer.body.decode()
    assert set(answer.json()) <= {"type", "title", "status", "detail", "trace_id"}
    assert any("jwks_url" in line.message for line in app.logs if line.level == "ERROR")
    assert app.get("/data", headers=bearer(token(app))).status == 200, "HS256 does not depend on it"


def test_while_it_is_down_there_is_one_fetch_a_pause(app: Driver, keys: KeyServer) -> None:
    keys.status = 500
    for _ in range(20):
        assert read(app, "first").status == 503
    assert keys.fetched == 1
    wait(app, PAUSE)
    keys.status = 200
    assert read(app, "first").status == 200
    assert keys.fetched == 2


def test_what_was_fetched_is_good_for_a_while_when_the_issuer_is_down(app: Driver, keys: KeyServer) -> None:
    assert read(app, "first").status == 200
    keys.stop()
    for _ in range(11):
        wait(app, REFRESH_AFTER)
        assert read(app, "first").status == 200
        assert read(app, "second").status == 401
    wait(app, GOOD_FOR - 11 * REFRESH_AFTER)
    assert read(app, "first").status == 503


@pytest.mark.parametrize(
    "url",
    [
        "http://keys.example.com/jwks",
        "http://10.0.0.1/jwks",
        "http://127.0.0.1.example.com/jwks",
        "http://localhost.example.com/jwks",
        "file:///etc/passwd",
        "ftp://127.0.0.1/keys",
        "data:application/json,{}",
        "https://",
        "https://user:password@127.0.0.1/",
        "//127.0.0.1/",
        "http://[::1",
        "no address",
        "https://127.0.0.1:port/",
        "http://127.0.0.1:1/",
        "http://127.0.0.1/\n/",
    ],
)
def test_an_address_that_may_not_or_cannot_be_fetched_is_503(app: Driver, url: str) -> None:
    app.secret("jwks_url").write(url)
    assert read(app, "first").status == 503
    with pytest.raises(FetchFailed):
        fetch(url)


def test_what_comes_too_slowly_is_given_up(keys: KeyServer) -> None:
    keys.open.clear()
    with pytest.raises(FetchFailed):
        fetch(keys.url, 0.2)


def test_what_comes_drop_by_drop_is_given_up(keys: KeyServer) -> None:
    keys.drop_every = 0.05
    with pytest.raises(FetchFailed):
        fetch(keys.url, 0.3)


# ---- threads


def test_those_who_need_the_first_fetch_wait_for_it(keys: KeyServer) -> None:
    keys.open.clear()
    known = KeySet()
    with ThreadPoolExecutor(8) as pool:
        found = [pool.submit(known.find, keys.url, "first", 1000.0) for _ in range(8)]
        assert keys.asked.wait(10)
        keys.open.set()
        assert all(one.result(10) is not None for one in found)
    assert keys.fetched == 1


def test_those_whose_key_is_known_do_not_wait(keys: KeyServer) -> None:
    known = KeySet()
    assert known.find(keys.url, "first", 1000.0) is not None
    keys.open.clear()
    keys.asked.clear()
    with ThreadPoolExecutor(1) as pool:
        slow = pool.submit(known.find, keys.url, "first", 1000.0 + REFRESH_AFTER)
        assert keys.asked.wait(10)
        assert known.find(keys.url, "first", 1000.0 + REFRESH_AFTER) is not None
        assert not slow.done()
        keys.open.set()
        assert slow.result(10) is not None


def test_a_clock_that_was_set_back_makes_nothing_good_for_longer() -> None:
    answers = iter([b'{"keys": []}'])
    known = KeySet(lambda url: next(answers, b""))
    for now in (10_000.0, 500.0):
        with pytest.raises(ServiceUnavailable):
            known.find("https://keys.example.com", "first", now)


def test_a_fetch_of_an_address_that_was_left_changes_nothing(keys: KeyServer) -> None:
    keys.open.clear()
    known = KeySet()
    with KeyServer(jwk("second")) as other, ThreadPoolExecutor(1) as pool:
        late = pool.submit(known.find, keys.url, "first", 1000.0)
        assert keys.asked.wait(10)
        assert known.find(other.url, "second", 1000.0) is not None
        keys.open.set()
        with pytest.raises(ServiceUnavailable):
            late.result(10)
        assert known.find(other.url, "first", 1001.0) is None
