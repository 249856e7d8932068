"""Which tokens are taken, and what attackers send instead of one."""

from __future__ import annotations

import hashlib
import hmac
import json
import math
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from hypothesis import given, settings
from hypothesis import strategies as st
from presenter.tests.issuer import KeyServer, bearer, claims, jwk, part, private_key, rs256, secret, token
from presenter.tokens import LEEWAY

from tests.conformance.plugin import Start
from windlass.graph.load import load
from windlass.model.system import System
from windlass.testing import Driver

START = datetime(2024, 6, 12, 9, 0, tzinfo=UTC)


@pytest.fixture(scope="module")
def presenter() -> System:
    return load(Path(__file__).parents[1])


@pytest.fixture
def app(presenter: System, start: Start) -> Iterator[Driver]:
    with start(presenter, clock_start=START) as app:
        yield app


@pytest.fixture
def keys() -> Iterator[KeyServer]:
    with KeyServer(jwk("first")) as server:
        yield server


def status(app: Driver, text: str) -> int:
    return app.get("/data", headers=bearer(text)).status


def by_hand(app: Driver, head: Any, payload: Any, key: bytes | None = None) -> str:
    """A token with the HMAC of `key`, or of the right key; made without PyJWT, which refuses to make bad ones."""
    signed = f"{part(head)}.{part(payload)}"
    mac = hmac.digest(secret(app, "jwt_key").encode() if key is None else key, signed.encode(), hashlib.sha256)
    return f"{signed}.{part(mac)}"


# ---- the good ones


def test_a_token_with_the_shared_key_is_taken(app: Driver) -> None:
    assert status(app, token(app)) == 200
    assert status(app, by_hand(app, {"alg": "HS256"}, claims(app))) == 200


@pytest.mark.parametrize("kind", ["JWT", "jwt", "at+jwt"])
def test_the_kinds_of_tokens_that_are_taken(app: Driver, kind: str) -> None:
    assert status(app, by_hand(app, {"alg": "HS256", "typ": kind}, claims(app))) == 200


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER"])
def test_the_scheme_is_bearer_however_it_is_written(app: Driver, scheme: str) -> None:
    assert app.get("/data", headers={"authorization": f"{scheme} {token(app)}"}).status == 200


def test_a_token_of_a_builder_is_taken_with_what_it_brings_besides(app: Driver) -> None:
    more = {"iss": "Online JWT Builder", "aud": "www.example.com", "GivenName": "Johnny", "Email": "j@example.com"}
    assert status(app, token(app, **more)) == 200
    assert status(app, token(app, Role="data.read")) == 200


def test_a_new_shared_key_counts_at_once(app: Driver) -> None:
    before = token(app)
    app.secret("jwt_key").write("another key, which has 32 bytes or more")
    assert status(app, before) == 401
    assert status(app, token(app)) == 200


# ---- times


def test_a_token_is_good_until_it_expires(app: Driver) -> None:
    held = token(app, exp=int(app.clock.now()) + 60)
    for seconds, expected in ((0, 200), (60 + LEEWAY - 1, 200), (1, 401), (3600, 401)):
        app.advance(timedelta(seconds=seconds))
        assert status(app, held) == expected, seconds


def test_a_token_is_not_good_before_its_time(app: Driver) -> None:
    start = int(app.clock.now())
    held = token(app, nbf=start + 100, exp=start + 1000)
    for seconds, expected in ((0, 401), (100 - LEEWAY - 1, 401), (1, 200), (500, 200)):
        app.advance(timedelta(seconds=seconds))
        assert status(app, held) == expected, seconds


@pytest.mark.parametrize("exp", [None, "soon", "9999999999", True, [], {}, math.nan, math.inf, -math.inf, -1, 0])
def test_a_token_must_say_when_it_expires(app: Driver, exp: Any) -> None:
    assert status(app, by_hand(app, {"alg": "HS256"}, claims(app, exp=exp))) == 401


@pytest.mark.parametrize("nbf", ["now", True, [], math.nan, math.inf])
def test_a_beginning_that_is_no_time_is_refused(app: Driver, nbf: Any) -> None:
    assert status(app, by_hand(app, {"alg": "HS256"}, claims(app, nbf=nbf))) == 401


def test_times_may_have_fractions_and_be_far_away(app: Driver) -> None:
    now = app.clock.now()
    assert status(app, token(app, exp=now + 0.5, nbf=now - 0.5)) == 200
    assert status(app, by_hand(app, {"alg": "HS256"}, claims(app, exp=10**400))) == 200
    assert status(app, by_hand(app, {"alg": "HS256"}, claims(app, nbf=10**400))) == 401


# ---- who it is for, and what they may do


@pytest.mark.parametrize(
    "sub", [None, "", " ", "\u2003", 1, True, ["ada"], {"id": "ada"}, "a\nb", "a\u0000", "\ud800", "x" * 201]
)
def test_a_token_must_name_its_user(app: Driver, sub: Any) -> None:
    assert status(app, by_hand(app, {"alg": "HS256"}, claims(app, sub=sub))) == 401


@pytest.mark.parametrize("sub", ["x" * 200, "ж" * 200, "auth0|5f7c8ec7c33c6c004bbafe82", "ada@example.com", "a b"])
def test_the_names_that_are_taken(app: Driver, sub: str) -> None:
    assert status(app, token(app, sub=sub)) == 200


@pytest.mark.parametrize("roles", [1, True, {"data.read": True}, [1], ["data.read", None], [["data.read"]]])
def test_roles_of_another_form_are_refused(app: Driver, roles: Any) -> None:
    assert status(app, token(app, Role=roles)) == 401


@pytest.mark.parametrize("name", ["role", "roles", "cognito:groups"])
def test_roles_of_another_claim_do_not_count(app: Driver, name: str) -> None:
    assert status(app, token(app, Role=None, **{name: ["data.read"]})) == 403


# ---- forgeries


def public_pem(name: str) -> bytes:
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    return private_key(name).public_key().public_bytes(serialization.Encoding.PEM, form)


def changed(app: Driver) -> str:
    head, _, mac = token(app).split(".")
    return f"{head}.{part(claims(app, sub='eve'))}.{mac}"


def signed(app: Driver, algorithm: str) -> str:
    return jwt.encode(claims(app), secret(app, "jwt_key") * 2, algorithm=algorithm)


FORGERIES: dict[str, Callable[[Driver], str]] = {
    "nothing": lambda app: " ",
    "words": lambda app: "let me in",
    "two parts": lambda app: ".".join(token(app).split(".")[:2]),
    "four parts": lambda app: f"{token(app)}.AAAA",
    "no signature": lambda app: f"{token(app).rpartition('.')[0]}.",
    "another signature": lambda app: f"{token(app).rpartition('.')[0]}.{part(b'0' * 32)}",
    "half a signature": lambda app: token(app)[:-20],
    "claims changed": changed,
    "another key": lambda app: by_hand(app, {"alg": "HS256"}, claims(app), b"k" * 48),
    "an empty key": lambda app: by_hand(app, {"alg": "HS256"}, claims(app), b""),
    "alg none": lambda app: f"{part({'alg': 'none', 'typ': 'JWT'})}.{part(claims(app))}.",
    "alg none, signed": lambda app: by_hand(app, {"alg": "none"}, claims(app)),
    "alg None": lambda app: by_hand(app, {"alg": "None"}, claims(app)),
    "no alg": lambda app: by_hand(app, {"typ": "JWT"}, claims(app)),
    "alg null": lambda app: by_hand(app, {"alg": None}, claims(app)),
    "alg a list": lambda app: by_hand(app, {"alg": ["HS256"]}, claims(app)),
    "alg an object": lambda app: by_hand(app, {"alg": {"HS256": 1}}, claims(app)),
    "alg hs256": lambda app: by_hand(app, {"alg": "hs256"}, claims(app)),
    "HS384": lambda app: signed(app, "HS384"),
    "HS512": lambda app: signed(app, "HS512"),
    "RS256 with the shared key": lambda app: by_hand(app, {"alg": "RS256", "kid": "first"}, claims(app)),
    "HS256 with the public key": lambda app: by_hand(app, {"alg": "HS256"}, claims(app), public_pem("first")),
    "HS256 with the public JWK": lambda app: by_hand(
        app, {"alg": "HS256", "kid": "first"}, claims(app), json.dumps(jwk("first")).encode()
    ),
    "PS256": lambda app: jwt.encode(claims(app), private_key("first"), "PS256", headers={"kid": "first"}),
    "RS512": lambda app: jwt.encode(claims(app), private_key("first"), "RS512", headers={"kid": "first"}),
    "RS256 with another key under a known id": lambda app: rs256(app, "second", headers={"kid": "first"}),
    "RS256 with a key that it brings": lambda app: rs256(app, "second", headers={"jwk": jwk("second")}),
    "kid a number": lambda app: by_hand(app, {"alg": "RS256", "kid": 1}, claims(app)),
    "kid a path": lambda app: by_hand(app, {"alg": "RS256", "kid": "../../dev/null"}, claims(app), b""),
    "crit": lambda app: by_hand(app, {"alg": "HS256", "crit": ["exp"], "exp": 1}, claims(app)),
    "not encoded": lambda app: by_hand(app, {"alg": "HS256", "b64": False, "crit": ["b64"]}, claims(app)),
    "another kind": lambda app: by_hand(app, {"alg": "HS256", "typ": "logout+jwt"}, claims(app)),
    "kind a number": lambda app: by_hand(app, {"alg": "HS256", "typ": 1}, claims(app)),
    "an encrypted one": lambda app: f"{part({'alg': 'dir', 'enc': 'A256GCM'})}..AAAA.AAAA.AAAA",
    "claims a list": lambda app: by_hand(app, {"alg": "HS256"}, [claims(app)]),
    "claims a text": lambda app: by_hand(app, {"alg": "HS256"}, "ada"),
    "claims no JSON": lambda app: by_hand(app, {"alg": "HS256"}, b"{"),
    "claims no UTF-8": lambda app: by_hand(app, {"alg": "HS256"}, b'{"sub": "\xff"}'),
    "claims too deep": lambda app: by_hand(app, {"alg": "HS256"}, b"[" * 5000),
    "head no JSON": lambda app: by_hand(app, b"alg", claims(app)),
    "head too deep": lambda app: by_hand(app, b'{"alg":' + b"[" * 5000, claims(app)),
    "a number that is too long": lambda app: by_hand(app, {"alg": "HS256"}, b'{"exp": ' + b"9" * 5000 + b"}"),
    "too long": lambda app: token(app, more="x" * 8192),
    "padding": lambda app: f"{token(app)}=",
    "a line break": lambda app: token(app).replace(".", ".\n", 1),
    "a sign that is not ASCII": lambda app: token(app) + "ä",
}


@pytest.mark.parametrize("with_keys", [False, True], ids=["shared key", "key set"])
@pytest.mark.parametrize("name", FORGERIES)
def test_a_forgery_is_401_and_tells_nothing(app: Driver, keys: KeyServer, name: str, with_keys: bool) -> None:
    if with_keys:
        app.secret("jwks_url").write(keys.url)
    answer = app.get("/data", headers=bearer(FORGERIES[name](app)))
    assert answer.status == 401, answer
    assert answer.headers["www-authenticate"] == "Bearer"
    assert "Traceback" not in answer.body.decode()
    assert not [line for line in app.logs if line.level == "ERROR"]


@pytest.mark.parametrize(
    "header", ["", "Bearer", "Bearer ", "Basic YTpi", "Token {}", "{}", "Bearer{}", "Bearer {} x", "Bearer,{}"]
)
def test_another_header_is_401(app: Driver, header: str) -> None:
    assert app.get("/data", headers={"authorization": header.format(token(app))}).status == 401


def test_any_text_at_all_is_401(presenter: System, start: Start) -> None:
    with start(presenter, clock_start=START) as app:

        @settings(max_examples=200, deadline=None)
        @given(st.text(max_size=60))
        def check(text: str) -> None:
            app.clock.advance(timedelta(seconds=1))
            assert status(app, text) == 401

        check()


def test_no_change_of_a_character_is_taken(presenter: System, start: Start) -> None:
    """But for one: the last character of a signature of 32 bytes carries four bits of it, and two of nothing."""
    with start(presenter, clock_start=START) as app:
        good = token(app)

        @settings(max_examples=200, deadline=None)
        @given(st.integers(0, len(good) - 2), st.sampled_from("AQgwZz09-_."))
        def check(place: int, sign: str) -> None:
            app.clock.advance(timedelta(seconds=1))
            other = good[:place] + sign + good[place + 1 :]
            assert status(app, other) == (200 if other == good else 401)

        check()


@pytest.mark.parametrize("key", ["k" * 31, public_pem("first").decode(), json.dumps(jwk("first"))])
def test_what_is_no_shared_key_is_never_used_as_one(app: Driver, key: str) -> None:
    app.secret("jwt_key").write(key)
    answer = app.get("/data", headers=bearer(by_hand(app, {"alg": "HS256"}, claims(app), key.encode())))
    assert answer.status == 500
    assert key not in answer.body.decode()
    (line,) = [line for line in app.logs if line.level == "ERROR"]
    assert "windlass secret set presenter jwt_key" in line.message
