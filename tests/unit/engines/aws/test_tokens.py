"""Tokens that a pool signed, and tokens that look like it."""

import base64
import hashlib
import hmac
import json
from collections.abc import Iterator
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization

from tests.unit.engines.aws.key_peer import KeyPeer, jwk, new_key
from windlass.engines.aws.jwks import KeySet
from windlass.engines.aws.tokens import CLOCK_SKEW, TokenReader
from windlass.errors import Unauthorized
from windlass.ports.clock import ManualClock

ISSUER, CLIENT = "https://cognito-idp.eu-west-1.amazonaws.com/eu-west-1_AbCdEfGhI", "1h57kf5cpq17m0eml12EXAMPLE"
KEY, OTHER = new_key(), new_key()
CLOCK = ManualClock()
NOW = int(CLOCK.now())

COMMON = {
    "sub": "2b238819-23b6-4f6c-8917-7c9e3c307d32",
    "iss": ISSUER,
    "origin_jti": "5b9f50a3-05da-454a-8b99-b79c2349de77",
    "event_id": "0ed5ad5c-7182-4ecf-9d5f-86d8a0ee3ad5",
    "auth_time": NOW,
    "iat": NOW,
    "exp": NOW + 3600,
    "jti": "e0c1c8f1-3d3c-4a1c-9d6f-0a5d0e6b1f0a",
    "cognito:groups": ["admins"],
}
ACCESS = {**COMMON, "token_use": "access", "client_id": CLIENT, "username": "ada", "scope": "openid"}
IDENTITY = {**COMMON, "token_use": "id", "aud": CLIENT, "cognito:username": "ada"}


@pytest.fixture(scope="module")
def peer() -> Iterator[KeyPeer]:
    with KeyPeer(jwk(KEY, "good"), jwk(OTHER, "other")) as peer:
        yield peer


@pytest.fixture(scope="module")
def reader(peer: KeyPeer) -> TokenReader:
    return TokenReader(KeySet(peer.url, CLOCK, where="todos.users"), issuer=ISSUER, client_id=CLIENT, clock=CLOCK)


def signed(claims: dict[str, Any], key: Any = KEY, **headers: Any) -> str:
    return jwt.encode(claims, key, algorithm="RS256", headers={"kid": "good", **headers})


def without(claims: dict[str, Any], name: str) -> dict[str, Any]:
    return {key: value for key, value in claims.items() if key != name}


@pytest.mark.parametrize("claims", [ACCESS, IDENTITY], ids=["access", "id"])
def test_the_claims_are_read_as_they_were_signed(reader: TokenReader, claims: dict[str, Any]) -> None:
    assert reader.read(signed(claims)) == claims
    assert reader.read(signed(without(claims, "cognito:groups"))) == without(claims, "cognito:groups")


@pytest.mark.parametrize(
    "changes",
    [
        {"iss": f"{ISSUER}x"},
        {"client_id": "another"},
        {"client_id": [CLIENT]},
        {"token_use": "refresh"},
        {"token_use": "id"},
        {"token_use": ["access"]},
        {"exp": True},
        {"exp": f"{NOW + 60}"},
        {"exp": NOW + 60.5},
        {"iat": None},
        {"nbf": "now"},
        {"sub": 7},
        {"username": None},
        {"cognito:groups": "admins"},
        {"cognito:groups": [1]},
    ],
    ids=lambda changes: "-".join(f"{name}={value}" for name, value in changes.items()),
)
def test_a_claim_that_is_wrong_makes_the_token_invalid(reader: TokenReader, changes: dict[str, Any]) -> None:
    with pytest.raises(Unauthorized, match=r"^the token is not valid$"):
        reader.read(signed_raw({**ACCESS, **changes}))


def signed_raw(claims: dict[str, Any]) -> str:
    """As `signed`, past PyJWT's checks of what it is given."""
    return jwt.api_jws.encode(json.dumps(claims).encode(), KEY, algorithm="RS256", headers={"kid": "good"})


@pytest.mark.parametrize("name", ["sub", "iss", "exp", "iat", "token_use", "client_id", "username"])
def test_a_claim_that_is_missing_makes_the_token_invalid(reader: TokenReader, name: str) -> None:
    with pytest.raises(Unauthorized, match=r"^the token is not valid$"):
        reader.read(signed(without(ACCESS, name)))


@pytest.mark.parametrize("name", ["aud", "cognito:username"])
def test_an_id_token_is_for_this_client(reader: TokenReader, name: str) -> None:
    with pytest.raises(Unauthorized):
        reader.read(signed(without(IDENTITY, name)))
    with pytest.raises(Unauthorized):
        reader.read(signed({**IDENTITY, "aud": "another"}))


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"exp": NOW}, "expired"),
        ({"exp": NOW - 1}, "expired"),
        ({"iat": NOW + CLOCK_SKEW + 1}, "not valid yet"),
        ({"nbf": NOW + CLOCK_SKEW + 1}, "not valid yet"),
    ],
)
def test_a_token_is_valid_for_its_time(reader: TokenReader, changes: dict[str, Any], says: str) -> None:
    with pytest.raises(Unauthorized, match=says):
        reader.read(signed({**ACCESS, **changes}))
    edge = {name: value + 1 if name == "exp" else value - 1 for name, value in changes.items()}
    if "exp" not in changes or changes["exp"] == NOW:
        assert reader.read(signed({**ACCESS, **edge}))["sub"] == ACCESS["sub"]


def test_a_signature_is_of_the_key_that_the_token_names(reader: TokenReader) -> None:
    assert reader.read(signed(ACCESS, OTHER, kid="other"))
    for token in (signed(ACCESS, OTHER), signed(ACCESS, kid="other"), signed(ACCESS, new_key(), kid="mine")):
        with pytest.raises(Unauthorized):
            reader.read(token)


def test_the_key_and_the_algorithm_never_come_from_the_token(reader: TokenReader) -> None:
    mine = new_key()
    public = KEY.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    # With the public key as the secret of an HMAC; PyJWT makes no such token itself.
    hashed = ".".join([encoded(b'{"alg":"HS256","kid":"good"}'), signed(ACCESS).split(".")[1]])
    tokens = [
        signed(ACCESS, mine, jwk=jwk(mine, "good")),
        signed(ACCESS, mine, jku="https://attacker.example/keys"),
        f"{hashed}.{encoded(hmac.digest(public, hashed.encode(), hashlib.sha256))}",
        jwt.encode(ACCESS, KEY, algorithm="RS512", headers={"kid": "good"}),
        jwt.encode(ACCESS, KEY, algorithm="RS256"),
    ]
    for token in tokens:
        with pytest.raises(Unauthorized):
            reader.read(token)


def encoded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def test_junk_asks_nobody_for_keys(peer: KeyPeer) -> None:
    reader = TokenReader(KeySet(peer.url, CLOCK, where="todos.users"), issuer=ISSUER, client_id=CLIENT, clock=CLOCK)
    before = peer.asked
    for token in (None, 7, "", "a.b.c", "x" * 20_000, jwt.encode(ACCESS, KEY, algorithm="RS256")):
        with pytest.raises(Unauthorized):
            reader.read(token)
    assert peer.asked == before
