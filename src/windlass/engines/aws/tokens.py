"""Reading the tokens of a user pool: what Cognito signed, for this client, and not too long ago.

https://docs.aws.amazon.com/cognito/latest/developerguide/amazon-cognito-user-pools-using-tokens-verifying-a-jwt.html
lists what is to be checked; reading follows RFC 8725: one algorithm, fixed beforehand; the key is the pool's own and
never comes from the token; every claim that is relied on must be there and have its type. Times are checked against the
engine's clock, which PyJWT does not know. A token that was revoked since is not found out: that Cognito tells only to
its own operations (https://docs.aws.amazon.com/cognito/latest/developerguide/token-revocation.html).
"""

from __future__ import annotations

from typing import Any

import jwt

from windlass.engines.aws.jwks import KeySet
from windlass.errors import Unauthorized
from windlass.ports.clock import Clock

__all__ = ["CLOCK_SKEW", "MAX_LENGTH", "TokenReader"]

MAX_LENGTH = 16_384
"""The longest token that is looked at, in characters; all headers of a request to API Gateway have 10,240 bytes:
https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-quotas.html"""

CLOCK_SKEW = 30
"""How far in the future a token may have been issued, in seconds, since two machines tell the time. Expiry has no
leeway."""

_UNCHECKED: Any = {f"verify_{claim}": False for claim in ("aud", "exp", "iat", "iss", "jti", "nbf", "sub")}

_COMMON: dict[str, type] = {"sub": str, "iss": str, "exp": int, "iat": int}
_REQUIRED: dict[str, dict[str, type]] = {
    "access": {**_COMMON, "client_id": str, "username": str},
    "id": {**_COMMON, "aud": str, "cognito:username": str},
}


class TokenReader:
    """Tells the access and ID tokens of one client of one pool from everything else."""

    def __init__(self, keys: KeySet, *, issuer: str, client_id: str, clock: Clock) -> None:
        self._keys, self._issuer, self._client_id, self._clock = keys, issuer, client_id, clock

    def read(self, token: object) -> dict[str, Any]:
        """The claims of a valid token. Raises Unauthorized, and EngineUnavailable when the keys cannot be had."""
        if not isinstance(token, str) or len(token) > MAX_LENGTH or not token.isascii():
            raise _invalid()
        claims = self._signed(token)
        if not self._sound(claims):
            raise _invalid()
        now = self._clock.now()
        if now >= claims["exp"]:
            raise Unauthorized("the token has expired")
        if max(claims["iat"], claims.get("nbf", 0)) > now + CLOCK_SKEW:
            raise Unauthorized("the token is not valid yet")
        return claims

    def _signed(self, token: str) -> dict[str, Any]:
        try:
            header = jwt.get_unverified_header(token)
            # Before the keys are asked for: junk costs no fetch.
            if header.get("alg") != "RS256" or not isinstance(header.get("kid"), str):
                raise _invalid()
            key = self._keys.find(header["kid"])
            if key is None:
                raise _invalid()
            return jwt.decode(token, key, algorithms=["RS256"], options=_UNCHECKED)
        except (jwt.InvalidTokenError, ValueError, RecursionError):  # the last two: what JSON can do to its parser
            raise _invalid() from None

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
        return bool(audience == self._client_id and claims["iss"] == self._issuer)


def _invalid() -> Unauthorized:
    """One answer for all faults: which check failed is of use to an attacker only."""
    return Unauthorized("the token is not valid")
