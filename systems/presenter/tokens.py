"""Bearer tokens: JSON Web Tokens (RFC 7519) that others have signed, read as RFC 8725 asks for.

The algorithm decides where the key comes from, and the two sources never meet: an HS256 token is verified with the
secret `jwt_key` and nothing else, an RS256 token with an RSA key of the key set and nothing else. So a token that was
"signed" with somebody's public key as if it were a shared secret fits no key here. Nothing in a token can name a key's
address or bring the key along: of its header only `alg`, `kid` and `typ` are looked at.

Times are checked against the engine's clock, which PyJWT does not know.
"""

from __future__ import annotations

import math
import re
import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import jwt

from windlass import Caller, SecretNotSet, Unauthorized, WindlassError, now

from .key_set import KeySet

__all__ = ["LEEWAY", "Verifier"]

LEEWAY = 30
"""How far the issuer's clock and this one may be apart, in seconds."""

MAX_TOKEN = 8192
MAX_SUBJECT = 200
ROLE_CLAIM = "Role"
_MOST_REMEMBERED = 2000
_SHORTEST_KEY = 32  # bytes: RFC 7518, 3.2 wants as many as the hash has

_FORM = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+", re.ASCII)
_TYPES = (None, "JWT", "AT+JWT")
_SIGNATURE_ONLY: Any = {f"verify_{claim}": False for claim in ("aud", "exp", "iat", "iss", "jti", "nbf", "sub")}


class Verifier:
    """Tells who calls from the `Authorization` header."""

    def __init__(self, key_set: KeySet | None = None) -> None:
        self._key_set = key_set or KeySet()
        # Signatures that were found good, by token, with the key that they fit: a client sends its token many times.
        self._good: OrderedDict[str, tuple[str, Mapping[str, Any]]] = OrderedDict()
        self._lock = threading.Lock()

    def caller(self, authorization: str, shared_key: Callable[[], str], key_set_url: Callable[[], str]) -> Caller:
        """Who calls, with the roles of the token's `Role` claim. `shared_key` and `key_set_url` read the secrets.

        Raises Unauthorized for a token that is not valid, ServiceUnavailable when the key set cannot be fetched.
        """
        scheme, _, token = authorization.strip().partition(" ")
        if scheme.lower() != "bearer" or not token.strip():
            raise Unauthorized("send Authorization: Bearer and a token")
        claims = self._known(token, shared_key) or self._verified(token.strip(), shared_key, key_set_url)
        _check_times(claims, now().timestamp())
        return Caller(_subject(claims), roles=_roles(claims), claims=claims)

    def _known(self, token: str, shared_key: Callable[[], str]) -> Mapping[str, Any] | None:
        """The claims of a token whose signature was found good with the key as it is now."""
        good = self._good.get(token)
        return good[1] if good is not None and good[0] == shared_key() else None

    def _remember(self, token: str, key: str, claims: Mapping[str, Any]) -> None:
        with self._lock:
            self._good[token] = (key, claims)
            if len(self._good) > _MOST_REMEMBERED:
                self._good.popitem(last=False)

    def _verified(self, token: str, shared_key: Callable[[], str], key_set_url: Callable[[], str]) -> Mapping[str, Any]:
        if len(token) > MAX_TOKEN or _FORM.fullmatch(token) is None:
            raise Unauthorized("the token is not a JSON Web Token")
        try:
            header = jwt.get_unverified_header(token)
            algorithm, kind = header.get("alg"), header.get("typ")
            if "crit" in header or (kind.upper() if isinstance(kind, str) else kind) not in _TYPES:
                raise Unauthorized("the token is of a kind that is not taken here")
            key: Any
            text = ""
            if algorithm == "HS256":
                key = _shared(text := shared_key())
            elif algorithm == "RS256":
                key = self._public(key_set_url, header.get("kid"))
            else:
                raise Unauthorized("the token must be signed with HS256 or RS256")
            decoded = jwt.decode(token, key, algorithms=[algorithm], options=_SIGNATURE_ONLY)
        except (jwt.InvalidTokenError, ValueError, RecursionError):  # the last two: what JSON can do to its parser
            raise Unauthorized("the token is not valid") from None
        claims: Mapping[str, Any] = MappingProxyType(decoded)
        if algorithm == "HS256":
            self._remember(token, text, claims)
        return claims

    def _public(self, key_set_url: Callable[[], str], kid: Any) -> Any:
        try:
            url = key_set_url()
        except SecretNotSet:
            raise Unauthorized("tokens that are signed with RS256 are not taken here: no key set is known") from None
        key = self._key_set.find(url, kid, now().timestamp())
        if key is None:
            raise Unauthorized("the token is signed with a key that is not known")
        return key


def _shared(key: str) -> bytes:
    """The shared key as bytes. One that is too short, or no shared key at all, is a fault of the operation: 500."""
    if len(key.encode()) < _SHORTEST_KEY or key.lstrip().startswith(("-----BEGIN", "ssh-", "{")):
        raise WindlassError(
            f"the secret jwt_key is not a key for HS256: it is shorter than {_SHORTEST_KEY} bytes, or a public key\n"
            "  fix: set a long random text with `windlass secret set presenter jwt_key`"
        )
    return key.encode()


def _check_times(claims: Mapping[str, Any], now: float) -> None:
    """Raises Unauthorized for a token without `exp`, and for one that is not valid at `now` (RFC 7519, 4.1)."""
    expires: Any = claims.get("exp")
    begins: Any = claims.get("nbf", 0)
    if not _is_time(expires):
        raise Unauthorized("the token must say when it expires, in exp")
    if not _is_time(begins):
        raise Unauthorized("nbf of the token is not a time")
    if now >= expires + LEEWAY:
        raise Unauthorized("the token has expired")
    if now < begins - LEEWAY:
        raise Unauthorized("the token is not valid yet")


def _is_time(value: Any) -> bool:
    # `type`, not `isinstance`: True is no time.
    return type(value) is int or (type(value) is float and math.isfinite(value))


def _subject(claims: Mapping[str, Any]) -> str:
    """Whose the information is: 1 to 200 printable characters."""
    subject = claims.get("sub")
    if not isinstance(subject, str) or not 1 <= len(subject) <= MAX_SUBJECT:
        raise Unauthorized(f"the token must name its user in sub, with 1 to {MAX_SUBJECT} characters")
    if not subject.strip() or not subject.isprintable():
        raise Unauthorized("sub of the token has characters that are not printable, or only blanks")
    return subject


def _roles(claims: Mapping[str, Any]) -> frozenset[str]:
    """The roles: a list of texts, or one text; none where the claim is missing."""
    roles = claims.get(ROLE_CLAIM, [])
    if isinstance(roles, str):
        return frozenset([roles])
    if not isinstance(roles, list) or not all(isinstance(role, str) for role in roles):
        raise Unauthorized(f"{ROLE_CLAIM} of the token must be a list of texts, or one text")
    return frozenset(roles)
