"""What attackers and broken clients send."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from tests.conformance.plugin import Start
from windlass.graph.load import load
from windlass.testing import Driver

FILE = b'{"filename": "a", "creationDate": "2024-06-12T08:00:00Z"}'
SEARCH = "/file_sla_errors?date=2024-06-12"


@pytest.fixture
def app(start: Start) -> Iterator[Driver]:
    with start(load(Path(__file__).parents[1])) as app:
        app.add_user("ada", groups=["collector", "viewer"])
        yield app


def part(content: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(content).encode()).rstrip(b"=").decode()


def hmac_with_the_public_key(app: Driver, token: str) -> str:
    """HS256 with what everybody may fetch; made by hand, since PyJWT itself refuses to."""
    key = app.user_pool("users").jwks()["keys"][0]
    signed = f"{part(jwt.get_unverified_header(token) | {'alg': 'HS256'})}.{part(claims(token))}"
    mac = hmac.digest(json.dumps(key).encode(), signed.encode(), hashlib.sha256)
    return f"{signed}.{base64.urlsafe_b64encode(mac).rstrip(b'=').decode()}"


def another_key(app: Driver, token: str) -> str:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    head = jwt.get_unverified_header(token)
    return jwt.encode(claims(token), key, algorithm="RS256", headers={"kid": head["kid"]})


def claims(token: str) -> dict[str, Any]:
    found: dict[str, Any] = jwt.decode(token, options={"verify_signature": False})
    return found


FORGERIES: dict[str, Callable[[Driver, str], str]] = {
    "alg none": lambda app, token: f"{part({'alg': 'none', 'typ': 'JWT'})}.{part(claims(token))}.",
    "alg none, signature kept": lambda app, token: f"{part({'alg': 'none'})}.{'.'.join(token.split('.')[1:])}",
    "HS256 with the public key": hmac_with_the_public_key,
    "another key under our id": another_key,
    "claims changed": lambda app, token: ".".join(
        [token.split(".")[0], part(claims(token) | {"cognito:groups": ["viewer"]}), token.split(".")[2]]
    ),
    "no signature": lambda app, token: token.rpartition(".")[0] + ".",
    "cut off": lambda app, token: token[:-5],
    "garbage": lambda app, token: "x.y.z",
    "not ASCII": lambda app, token: "ü.ü.ü",
    "huge": lambda app, token: "a" * 100_000,
    "empty": lambda app, token: "",
    "two tokens": lambda app, token: f"{token} {token}",
}


@pytest.mark.parametrize("forgery", FORGERIES)
def test_a_forged_token_is_401(app: Driver, forgery: str) -> None:
    token = app.token("ada")
    assert app.get(SEARCH, headers={"authorization": f"Bearer {token}"}).status == 200
    answer = app.get(SEARCH, headers={"authorization": f"Bearer {FORGERIES[forgery](app, token)}"})
    assert answer.status == 401, answer
    assert answer.headers["www-authenticate"] == "Bearer"
    assert "Traceback" not in answer.body.decode()


def test_a_token_of_another_pool_is_401(app: Driver, start: Start) -> None:
    with start(load(Path(__file__).parents[1]), state="other") as other:
        other.add_user("ada", groups=["collector", "viewer"])
        token = other.token("ada")
    assert app.get(SEARCH, headers={"authorization": f"Bearer {token}"}).status == 401


def test_an_expired_token_is_401(app: Driver) -> None:
    header = {"authorization": f"Bearer {app.token('ada')}"}
    app.advance(timedelta(minutes=59))
    assert app.get(SEARCH, headers=header).status == 200
    app.advance(timedelta(minutes=2))
    assert app.get(SEARCH, headers=header).status == 401


def test_a_refresh_token_opens_nothing(app: Driver) -> None:
    app.user_pool("users").create_user("bo", "a long enough password", groups=["viewer"])
    tokens = app.user_pool("users").sign_in("bo", "a long enough password")
    assert app.get(SEARCH, headers={"authorization": f"Bearer {tokens.refresh_token}"}).status == 401


def test_a_disabled_user_is_out_at_once(app: Driver) -> None:
    header = {"authorization": f"Bearer {app.token('ada')}"}
    app.user_pool("users").set_enabled("ada", False)
    assert app.get(SEARCH, headers=header).status == 401


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"null",
        b'{"sla_error": ' + b"[" * 100_000,
        b'{"sla_error": ' + b'{"folder": ' * 20_000,
        b'{"sla_error": [{"folder": "\xff", "sla": 20, "files": []}]}',
        b'{"sla_error": [{"folder": "\\ud800", "sla": 20, "files": [' + FILE + b"]}]}",
        b'{"sla_error": [{"folder": "/a", "sla": 1e400, "files": []}]}',
        b'{"sla_error": [{"folder": "/a", "sla": NaN, "files": []}]}',
        b'{"sla_error": [{"folder": "/a", "sla": 99999999999999999999999, "files": []}]}',
        b'{"sla_error": [{"folder": "/a\\u0000b", "sla": -5, "files": [{}]}]}',
        b"\xff\xfe{",
        b"\xef\xbb\xbf",
    ],
)
def test_a_body_that_cannot_be_read_is_400_and_stores_nothing(app: Driver, body: bytes) -> None:
    header = {"content-type": "application/json"}
    answer = app.post("/file_sla_error", body=body, headers=header, as_user="ada")
    assert answer.status == 400, answer
    assert "Traceback" not in answer.body.decode()
    assert app.get(SEARCH, as_user="ada").json()["items"] == []


@pytest.mark.parametrize("key", ["", " ", "x" * 256, "ü", "a\nb", "\x00"])
def test_a_bad_idempotency_key_is_400(app: Driver, key: str) -> None:
    file = {"filename": "a", "creationDate": "2024-06-12T08:00:00Z"}
    content = {"sla_error": [{"folder": "/a", "sla": 20, "files": [file]}]}
    answer = app.post("/file_sla_error", json=content, headers={"idempotency-key": key}, as_user="ada")
    if key == " ":
        assert answer.status == 200, "a space can be printed"
    else:
        assert answer.status == 400
        assert answer.json()["errors"][0]["field"] == "header.idempotency-key"


def test_text_that_looks_like_code_is_only_text(app: Driver) -> None:
    folder = '\'; drop table "t.file_sla.errors"; -- <script>alert(1)</script> {{ 7*7 }} ../../etc/passwd'
    file = {"filename": folder, "creationDate": "2024-06-12T08:00:00Z"}
    content = {"sla_error": [{"folder": folder, "sla": 20, "files": [file]}]}
    assert app.post("/file_sla_error", json=content, as_user="ada").status == 200
    (item,) = app.get("/file_sla_errors", query={"folder": folder}, as_user="ada").json()["items"]
    assert item["Folder"] == folder
    assert item["Files"][0]["Filename"] == folder
