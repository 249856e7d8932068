"""Attacks on a pool's tokens: what is not exactly one that it issued, for this use, still valid, is refused."""

import base64
import json
import string
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import hashes, hmac, serialization
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.engines.embedded.pool_world import ADA, SECRET, PoolWorld, declared, part
from windlass.engines.embedded.signing_key import SigningKey, SigningKeys
from windlass.engines.embedded.tokens import CLOCK_SKEW, MAX_LENGTH, TokenReader
from windlass.errors import Unauthorized
from windlass.ports.user_pool import Tokens


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PoolWorld]:
    """A pool that the tests share; those that move its clock have one of their own."""
    world = PoolWorld(tmp_path_factory.mktemp("pool"))
    world.pool.create_user(ADA, SECRET, groups=["admins"])
    yield world
    world.close()


@pytest.fixture(scope="module")
def tokens(world: PoolWorld) -> Tokens:
    return world.sign_in()


@pytest.fixture(scope="module")
def key(world: PoolWorld) -> SigningKey:
    """The pool's own key: what a token signed with it lacks, signing did not lack."""
    return SigningKeys(world.namespace, system="todos", pool="users").present()


def encoded(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).decode().rstrip("=")


def compact(header: Any, claims: Any) -> str:
    return ".".join(encoded(json.dumps(each).encode()) for each in (header, claims))


def signed(key: SigningKey, claims: Any, **header: Any) -> str:
    """A token with a good signature, whatever it says."""
    body = compact({"alg": "RS256", "typ": "JWT", "kid": key.kid, **header}, claims)
    return f"{body}.{encoded(jwt.get_algorithm_by_name('RS256').sign(body.encode(), key.private))}"


def refused(world: PoolWorld, token: Any) -> None:
    """Neither use of a token is possible, and signing out with it does nothing."""
    with pytest.raises(Unauthorized):
        world.pool.verify(token)
    with pytest.raises(Unauthorized):
        world.pool.refresh(token)
    world.pool.sign_out(token)


# What is no token


@given(st.text(max_size=2000))
def test_no_text_is_a_token(world: PoolWorld, text: str) -> None:
    refused(world, text)


@given(st.text(st.sampled_from(string.ascii_letters + string.digits + "-_.={}[]\n\x00ä"), max_size=200))
def test_no_text_of_the_right_characters_is_a_token(world: PoolWorld, text: str) -> None:
    refused(world, text)


@pytest.mark.parametrize(
    "token",
    [None, b"bytes", 7, "", ".", "..", "...", "\ud800.a.b", "é" * 100, "A" * 10_000_000, "." * MAX_LENGTH],
    ids=["none", "bytes", "int", "empty", "dot", "dots", "more_dots", "surrogate", "letters", "huge", "all_dots"],
)
def test_rubbish_is_unauthorized(world: PoolWorld, token: Any) -> None:
    refused(world, token)


@pytest.mark.parametrize(
    "header",
    [
        b"",
        b"null",
        b"\xff\xfe",
        b"[" * 5000,
        b'{"a":' * 1000,
        b"9" * 5000,
        b'{"alg":"RS256","kid":["a"]}',
        b'{"alg":{},"kid":{}}',
    ],
    ids=["empty", "null", "no_utf8", "deep_list", "deep_object", "huge_number", "kid_list", "objects"],
)
def test_a_header_cannot_break_the_parser(world: PoolWorld, header: bytes) -> None:
    refused(world, f"{encoded(header)}.e30.{'A' * 342}")


def test_a_token_is_not_looked_at_when_it_is_too_long(world: PoolWorld, key: SigningKey, tokens: Tokens) -> None:
    claims = {**part(tokens.access_token, 1), "padding": "x" * MAX_LENGTH}
    refused(world, signed(key, claims))


# What was changed


@given(st.data())
def test_a_token_with_a_character_changed_is_refused(world: PoolWorld, tokens: Tokens, data: st.DataObject) -> None:
    token = data.draw(st.sampled_from([tokens.access_token, tokens.id_token, tokens.refresh_token]))
    place = data.draw(st.integers(0, len(token) - 1))
    other = data.draw(st.characters(max_codepoint=127).filter(lambda character: character != token[place]))
    refused(world, token[:place] + other + token[place + 1 :])


@pytest.mark.parametrize("kind", ["access_token", "id_token", "refresh_token"])
def test_a_token_with_a_bit_flipped_is_refused(world: PoolWorld, tokens: Tokens, kind: str) -> None:
    token: str = getattr(tokens, kind)
    for place, character in enumerate(token):
        flipped = chr(ord(character) ^ (1 << place % 7))
        refused(world, token[:place] + flipped + token[place + 1 :])


def test_a_token_has_one_spelling(world: PoolWorld, tokens: Tokens) -> None:
    """The last character of a signature carries two bits; the others must not make the token another text."""
    alphabet = string.ascii_uppercase + string.ascii_lowercase + string.digits + "-_"
    body, last = tokens.access_token[:-1], tokens.access_token[-1]
    assert [each for each in alphabet if _accepted(world, body + each)] == [last]
    token = tokens.access_token
    for other in (f"{token}=", f"{token}==", f"{token}\n", f" {token}", token.replace(".", "=."), f"{token}."):
        refused(world, other)


def _accepted(world: PoolWorld, token: str) -> bool:
    try:
        world.pool.verify(token)
    except Unauthorized:
        return False
    return True


@given(st.integers(0, 900), st.text(st.sampled_from(string.ascii_letters + "\n =.-_"), min_size=1, max_size=3))
def test_nothing_can_be_put_into_a_token(world: PoolWorld, tokens: Tokens, place: int, more: str) -> None:
    token = tokens.access_token
    refused(world, token[:place] + more + token[place:])
    refused(world, token[:place])


# What was signed otherwise


@pytest.mark.parametrize("algorithm", ["none", "None", "NONE", "nOnE", "HS256", "RS512", "PS256", "ES256", "", 7])
@pytest.mark.parametrize("signature", ["", "A" * 342, "own"])
def test_only_rs256_is_an_algorithm(
    world: PoolWorld, tokens: Tokens, key: SigningKey, algorithm: str | int, signature: str
) -> None:
    body = compact({"alg": algorithm, "typ": "JWT", "kid": key.kid}, part(tokens.access_token, 1))
    own = tokens.access_token.rpartition(".")[2]
    refused(world, f"{body}.{own if signature == 'own' else signature}")


@pytest.mark.parametrize("kind", ["pem", "der", "modulus", "jwk"])
def test_the_public_key_is_no_shared_secret(world: PoolWorld, tokens: Tokens, key: SigningKey, kind: str) -> None:
    info = serialization.PublicFormat.SubjectPublicKeyInfo
    secrets: dict[str, bytes] = {
        "pem": key.public.public_bytes(serialization.Encoding.PEM, info),
        "der": key.public.public_bytes(serialization.Encoding.DER, info),
        "modulus": key.jwk()["n"].encode(),
        "jwk": json.dumps(key.jwk()).encode(),
    }
    body = compact({"alg": "HS256", "typ": "JWT", "kid": key.kid}, part(tokens.access_token, 1))
    code = hmac.HMAC(secrets[kind], hashes.SHA256())
    code.update(body.encode())
    refused(world, f"{body}.{encoded(code.finalize())}")


@pytest.mark.parametrize("hint", ["jwk", "jku", "x5c", "x5u", "none"])
def test_a_key_never_comes_from_the_token(world: PoolWorld, tokens: Tokens, key: SigningKey, hint: str) -> None:
    mine = SigningKey.of(generate_private_key(65537, 2048))
    hints: dict[str, dict[str, Any]] = {
        "jwk": {"jwk": mine.jwk()},
        "jku": {"jku": "http://127.0.0.1:1/jwks.json"},
        "x5u": {"x5u": "http://127.0.0.1:1/cert.pem"},
        "x5c": {"x5c": [encoded(b"certificate")]},
        "none": {},
    }
    for kid in (key.kid, mine.kid):
        refused(world, signed(mine, part(tokens.access_token, 1), kid=kid, **hints[hint]))


@pytest.mark.parametrize(
    "header",
    [{"kid": None}, {"kid": "other"}, {"kid": ""}, {"crit": ["b64"], "b64": False}, {"alg": "none"}, {"alg": 5}],
)
def test_an_odd_header_is_refused_even_when_it_is_signed(
    world: PoolWorld, tokens: Tokens, key: SigningKey, header: dict[str, Any]
) -> None:
    refused(world, signed(key, part(tokens.access_token, 1), **header))


@pytest.mark.parametrize("claims", [None, [], "text", 7, {}])
def test_claims_are_an_object(world: PoolWorld, key: SigningKey, claims: Any) -> None:
    refused(world, signed(key, claims))


# What was signed well, and says the wrong thing


def claims_of(tokens: Tokens, **changes: Any) -> dict[str, Any]:
    claims = {**part(tokens.access_token, 1), **changes}
    return {name: value for name, value in claims.items() if value is not ...}


def test_what_is_signed_with_the_pools_key_is_accepted(world: PoolWorld, tokens: Tokens, key: SigningKey) -> None:
    """So the next test's tokens are refused for what they say."""
    token = signed(key, claims_of(tokens))
    assert world.pool.verify(token) == world.pool.verify(tokens.access_token)


@pytest.mark.parametrize("claim", ["sub", "iss", "client_id", "origin_jti", "jti", "event_id", "username", "scope"])
@pytest.mark.parametrize("value", [..., None, 1, True, ["a"], {"a": 1}])
def test_a_text_claim_must_be_there_and_be_text(
    world: PoolWorld, tokens: Tokens, key: SigningKey, claim: str, value: Any
) -> None:
    refused(world, signed(key, claims_of(tokens, **{claim: value})))


@pytest.mark.parametrize("claim", ["exp", "iat", "auth_time"])
@pytest.mark.parametrize("value", [..., None, "1", True, 1e12, ["1"], float("inf"), float("nan"), "99999999999"])
def test_a_time_must_be_there_and_be_a_whole_number(
    world: PoolWorld, tokens: Tokens, key: SigningKey, claim: str, value: Any
) -> None:
    refused(world, signed(key, claims_of(tokens, **{claim: value})))


@pytest.mark.parametrize(
    "changes",
    [
        {"token_use": ...},
        {"token_use": "both"},
        {"token_use": ["access"]},
        {"token_use": "id"},
        {"client_id": "abcdefghijklmnopqrstuvwxyz"},
        {"iss": "http://127.0.0.1:8400/todos/_pools/others"},
        {"iss": "http://127.0.0.1:8400/todos/_pools/users/"},
        {"iss": "http://127.0.0.1:9999/todos/_pools/users"},
        {"iss": "https://evil.example/todos/_pools/users"},
        {"sub": "somebody-else"},
        {"origin_jti": "another-family"},
        {"exp": 0},
        {"exp": -1},
        {"nbf": 99999999999},
        {"nbf": "0"},
        {"nbf": None},
        {"iat": 99999999999},
        {"cognito:groups": "admins"},
        {"cognito:groups": [1]},
        {"cognito:groups": None},
        {"cognito:groups": {"admins": 1}},
    ],
)
def test_a_token_that_says_the_wrong_thing_is_refused(
    world: PoolWorld, tokens: Tokens, key: SigningKey, changes: dict[str, Any]
) -> None:
    refused(world, signed(key, claims_of(tokens, **changes)))


def test_a_refresh_token_belongs_to_its_user(world: PoolWorld, key: SigningKey) -> None:
    claims = part(world.sign_in().refresh_token, 1)
    with pytest.raises(Unauthorized, match="revoked"):
        world.pool.refresh(signed(key, {**claims, "sub": "somebody-else"}))


def test_each_kind_of_token_is_good_for_its_own_use(world: PoolWorld, tokens: Tokens) -> None:
    assert world.pool.verify(tokens.access_token)["token_use"] == "access"
    assert world.pool.verify(tokens.id_token)["token_use"] == "id"
    with pytest.raises(Unauthorized):
        world.pool.verify(tokens.refresh_token)
    for token in (tokens.access_token, tokens.id_token):
        with pytest.raises(Unauthorized):
            world.pool.refresh(token)
        world.pool.sign_out(token)
        assert world.pool.verify(token)


def test_a_pool_that_never_issued_refuses_all(tmp_path: Path, tokens: Tokens) -> None:
    fresh = PoolWorld(tmp_path)
    refused(fresh, tokens.access_token)
    assert fresh.namespace.store.read("select * from user_pool_keys") == []
    fresh.close()


def test_another_namespace_has_other_keys_and_clients(tmp_path: Path, world: PoolWorld, tokens: Tokens) -> None:
    twin = PoolWorld(tmp_path)
    other = twin.add_ada()
    refused(twin, tokens.access_token)
    refused(world, other.access_token)
    assert part(other.access_token, 1)["client_id"] != part(tokens.access_token, 1)["client_id"]
    twin.close()


# Time


def test_a_token_expires_to_the_second(tmp_path: Path) -> None:
    world = PoolWorld(tmp_path)
    tokens = world.add_ada()
    world.advance(3599.999)
    assert world.pool.verify(tokens.access_token)
    assert world.pool.verify(tokens.id_token)
    world.advance(0.001)
    for token in (tokens.access_token, tokens.id_token):
        with pytest.raises(Unauthorized, match="expired"):
            world.pool.verify(token)
    world.close()


def test_a_clock_that_is_a_little_behind_does_no_harm(tmp_path: Path) -> None:
    world = PoolWorld(tmp_path)
    tokens = world.add_ada()
    key = SigningKeys(world.namespace, system="todos", pool="users").present()
    now = int(world.clock.now())
    for ahead, good in ((CLOCK_SKEW, True), (CLOCK_SKEW + 1, False)):
        for claim in ("iat", "nbf"):
            token = signed(key, claims_of(tokens, **{claim: now + ahead}))
            assert _accepted(world, token) is good
    world.close()


# What is remembered


def test_what_a_caller_does_to_its_claims_stays_with_it(world: PoolWorld, tokens: Tokens) -> None:
    for _ in range(2):
        claims = world.pool.verify(tokens.access_token)
        assert isinstance(claims, dict)
        claims["cognito:groups"].append("owners")
        claims["sub"] = "somebody-else"
    assert world.pool.verify(tokens.access_token)["cognito:groups"] == ["admins"]


def test_a_bounded_number_of_tokens_is_remembered(world: PoolWorld, key: SigningKey, tokens: Tokens) -> None:
    asked: list[int] = []

    def counted() -> SigningKey:
        asked.append(1)
        return key

    client_id = part(tokens.access_token, 1)["client_id"]
    reader = TokenReader(counted, client_id=client_id, issued_as=lambda issuer: True, remembered=2)
    three = [tokens.access_token, tokens.id_token, tokens.refresh_token]
    access, identity, refresh = three
    for token in (access, identity, identity, access):
        reader.read(token, "access", "id")
    assert len(asked) == 2
    reader.read(refresh, "refresh")  # in place of the one that was not used for longest
    reader.read(access, "access")
    assert len(asked) == 3
    reader.read(identity, "id")
    assert len(asked) == 4


# What others need to verify


def test_anybody_can_verify_with_the_published_keys(world: PoolWorld, tokens: Tokens) -> None:
    discovery = world.pool.discovery()
    assert discovery["jwks_uri"] == "http://127.0.0.1:8400/todos/_pools/users/.well-known/jwks.json"
    keys = jwt.PyJWKSet.from_dict(dict(world.pool.jwks()))
    kid = part(tokens.id_token, 0)["kid"]
    claims = jwt.decode(
        tokens.id_token,
        keys[kid],
        algorithms=discovery["id_token_signing_alg_values_supported"],
        issuer=discovery["issuer"],
        audience=part(tokens.access_token, 1)["client_id"],
        options={"verify_exp": False, "verify_iat": False},
    )
    assert claims["email"] == ADA
    assert set(world.pool.jwks()["keys"][0]) == {"kid", "use", "alg", "kty", "n", "e"}


def test_the_kid_is_the_thumbprint_of_the_key() -> None:
    """The example of RFC 7638, 3.1."""
    numbers = jwt.PyJWK.from_dict(
        {
            "kty": "RSA",
            "alg": "RS256",
            "n": "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJE"
            "CPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2Q"
            "vzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6"
            "WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw",
            "e": "AQAB",
        }
    ).key
    assert SigningKey.name_of(numbers) == "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"


def test_a_pool_of_another_declaration_keeps_its_issuer_apart(tmp_path: Path, tokens: Tokens) -> None:
    twin = PoolWorld(tmp_path, declared(system="shop"))
    assert part(twin.add_ada().access_token, 1)["iss"] == "http://127.0.0.1:8400/shop/_pools/users"
    refused(twin, tokens.access_token)
    twin.close()
