"""The tokens of a user pool: JSON Web Tokens (RFC 7519), signed with RS256, with the claims of Cognito's.

https://docs.aws.amazon.com/cognito/latest/developerguide/amazon-cognito-user-pools-using-the-access-token.html and
https://docs.aws.amazon.com/cognito/latest/developerguide/amazon-cognito-user-pools-using-the-id-token.html list
them. A refresh token is a JWT here too; Cognito's is opaque, so clients must not look into it.

Reading follows RFC 8725: one algorithm, fixed beforehand; the key is the pool's own and never comes from the token;
every claim that is relied on must be there and have its type; each kind of token is good for its own use only.
Times are checked against the engine's clock, which PyJWT does not know.
"""

from __future__ import annotations

import hashlib
import re
import threading
import uuid
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from typing import Any

import jwt

from windlass.engines.embedded.signing_key import SigningKey
from windlass.engines.embedded.token_families import Family
from windlass.engines.embedded.users import StoredUser
from windlass.errors import Unauthorized
from windlass.ports.user_pool import Tokens

__all__ = ["CLOCK_SKEW", "MAX_LENGTH", "TokenReader", "check_times", "sign"]

MAX_LENGTH = 8192
"""The longest token that is looked at, in characters."""

CLOCK_SKEW = 30
"""How far in the future a token may have been issued, in seconds: clocks are set back now and then (RFC 7519, 4.1.4
allows a small leeway). Expiry has no leeway."""

_SCOPE = "aws.cognito.signin.user.admin"

# Header, payload, and the 2048 bits of a signature. The last of the signature's 342 characters carries two bits;
# were its other four not held to zero, sixteen texts would be the same token (to older versions of PyJWT they are).
_FORM = re.compile(r"[A-Za-z0-9_-]{2,}\.[A-Za-z0-9_-]{2,}\.[A-Za-z0-9_-]{341}[AQgw]", re.ASCII)

_UNCHECKED: Any = {f"verify_{claim}": False for claim in ("aud", "exp", "iat", "iss", "jti", "nbf", "sub")}

_COMMON = {"sub": str, "iss": str, "origin_jti": str, "jti": str, "auth_time": int, "exp": int, "iat": int}
_REQUIRED: dict[str, dict[str, type]] = {
    "access": {**_COMMON, "client_id": str, "event_id": str, "scope": str, "username": str},
    "id": {**_COMMON, "aud": str, "event_id": str, "cognito:username": str},
    "refresh": {**_COMMON, "client_id": str},
}


def sign(
    user: StoredUser,
    groups: Sequence[str],
    family: Family,
    key: SigningKey,
    *,
    client_id: str,
    issuer: str,
    now: float,
    life: timedelta,
) -> Tokens:
    """Signs the tokens of a user: access and ID token for `life` from `now`, and the family's refresh token. That one
    comes out the same as long as the family and the issuer are, since RS256 is deterministic."""
    issued_at, seconds = int(now), int(life.total_seconds())
    of_family = {"sub": user.id, "iss": issuer, "origin_jti": family.id, "auth_time": family.auth_time}
    shared: dict[str, Any] = {
        **of_family,
        "event_id": family.event_id,
        "iat": issued_at,
        "exp": issued_at + seconds,
    }
    if groups:
        shared["cognito:groups"] = list(groups)
    access = {
        **shared,
        "token_use": "access",
        "client_id": client_id,
        "scope": _SCOPE,
        "username": user.username,
        "jti": str(uuid.uuid4()),
    }
    identity = {
        **shared,
        "token_use": "id",
        "aud": client_id,
        "cognito:username": user.username,
        "jti": str(uuid.uuid4()),
    }
    if user.email is not None:
        identity |= {"email": user.email, "email_verified": True}
    refresh = {
        **of_family,
        "token_use": "refresh",
        "client_id": client_id,
        "jti": family.refresh_id,
        "iat": int(family.refreshed_at),
        "exp": family.ends_at,
    }
    return Tokens(
        access_token=_signed(access, key),
        id_token=_signed(identity, key),
        refresh_token=_signed(refresh, key),
        token_type="Bearer",  # noqa: S106 - the name of a scheme (RFC 6750), not a token
        expires_in=seconds,
    )


def _signed(claims: Mapping[str, Any], key: SigningKey) -> str:
    return jwt.encode(dict(claims), key.private, algorithm="RS256", headers={"kid": key.kid})


def check_times(claims: Mapping[str, Any], now: float) -> None:
    """Raises Unauthorized for a token that has expired at `now`, or is not valid yet (RFC 7519, 4.1.4 to 4.1.6)."""
    if now >= claims["exp"]:
        raise Unauthorized("the token has expired")
    if max(claims["iat"], claims.get("nbf", 0)) > now + CLOCK_SKEW:
        raise Unauthorized("the token is not valid yet")


class TokenReader:
    """Tells a pool's own tokens from everything else.

    What does not change with time (signature, form, issuer, client) is remembered for the `remembered` tokens used
    last, under their SHA-256; times, and whether the token was revoked, are the caller's to check at each use.
    `key` gives the pool's key, if it has one; `issued_as` says whether the pool ever issued under that issuer.
    """

    def __init__(
        self,
        key: Callable[[], SigningKey | None],
        *,
        client_id: str,
        issued_as: Callable[[str], bool],
        remembered: int = 4096,
    ) -> None:
        self._key, self._client_id, self._issued_as = key, client_id, issued_as
        self._remembered = remembered
        self._cache: OrderedDict[bytes, dict[str, Any]] = OrderedDict()
        self._lock = threading.Lock()

    def read(self, token: object, *uses: str) -> dict[str, Any]:
        """The claims of a token whose `token_use` is one of `uses`; the dict is shared, do not change it. Raises
        Unauthorized."""
        if not isinstance(token, str) or len(token) > MAX_LENGTH or not token.isascii():
            raise _invalid()
        digest = hashlib.sha256(token.encode()).digest()
        with self._lock:
            claims = self._cache.get(digest)
            if claims is not None:
                self._cache.move_to_end(digest)
        if claims is None:
            claims = self._decoded(token)
            with self._lock:
                self._cache[digest] = claims
                if len(self._cache) > self._remembered:
                    self._cache.popitem(last=False)
        if claims["token_use"] not in uses:
            raise _invalid()
        return claims

    def _decoded(self, token: str) -> dict[str, Any]:
        if _FORM.fullmatch(token) is None:
            raise _invalid()
        key = self._key()
        if key is None:
            raise _invalid()
        try:
            if jwt.get_unverified_header(token).get("kid") != key.kid:
                raise _invalid()
            claims = jwt.decode(token, key.public, algorithms=["RS256"], options=_UNCHECKED)
        except (jwt.InvalidTokenError, ValueError, RecursionError):  # the last two: what JSON can do to its parser
            raise _invalid() from None
        if not self._sound(claims):
            raise _invalid()
        return claims

    def _sound(self, claims: dict[str, Any]) -> bool:
        use = claims.get("token_use")
        required = _REQUIRED.get(use) if isinstance(use, str) else None
        if required is None:
            return False
        # `type`, not `isinstance`: True is no time.
        if any(type(claims.get(name)) is not kind for name, kind in required.items()):
            return False
        if type(claims.get("nbf", 0)) is not int:
            return False
        groups = claims.get("cognito:groups", [])
        if not isinstance(groups, list) or not all(isinstance(group, str) for group in groups):
            return False
        audience = claims["aud"] if use == "id" else claims["client_id"]
        return bool(audience == self._client_id) and self._issued_as(claims["iss"])


def _invalid() -> Unauthorized:
    """One answer for all faults: which check failed is of use to an attacker only."""
    return Unauthorized("the token is not valid")
