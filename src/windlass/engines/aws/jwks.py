"""The public keys of a user pool, from its JSON Web Key Set (RFC 7517).

Cognito signs with keys that it may change at any time, and names the key in each token; so a key that is not known yet
is looked for once more
(https://docs.aws.amazon.com/cognito/latest/developerguide/amazon-cognito-user-pools-using-tokens-verifying-a-jwt.html).
Whoever sends tokens of made-up keys makes nobody ask more often than once in REFETCH_SECONDS.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from http.client import HTTPException
from typing import TYPE_CHECKING, Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import jwt

from windlass.errors import EngineUnavailable
from windlass.ports.clock import Clock

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

__all__ = ["MAX_BYTES", "REFETCH_SECONDS", "KeySet"]

REFETCH_SECONDS = 60.0
"""The shortest time between two fetches, once there are keys."""

MAX_BYTES = 65_536
"""The longest document that is read; Cognito's has two keys and less than 1 KiB."""

_SECONDS = 3.0


@dataclass(frozen=True, slots=True)
class _Fetched:
    """What a fetch brought: the document as it is, its usable keys by id, and when, in steady seconds."""

    document: Mapping[str, Any]
    keys: Mapping[str, RSAPublicKey]
    at: float


class KeySet:
    """The keys at `url`, fetched when they are first asked for. `where` names the pool in errors; `seconds` is how
    long a fetch may take."""

    def __init__(self, url: str, clock: Clock, *, where: str, seconds: float = _SECONDS) -> None:
        if not url.startswith(("https://", "http://")):
            raise EngineUnavailable(f"{where}: {url!r} is no address of keys; give the endpoint as http(s)://HOST")
        self._url, self._clock, self._where, self._seconds = url, clock, where, seconds
        self._lock = threading.Lock()
        self._fetched: _Fetched | None = None
        self._tried_at = 0.0

    def document(self) -> Mapping[str, Any]:
        """The key set as it was fetched. Raises EngineUnavailable."""
        return self._present().document

    def find(self, kid: str) -> RSAPublicKey | None:
        """The key of that id; None for one that is not the pool's. Raises EngineUnavailable when the keys cannot be
        had."""
        present = self._present()
        if kid in present.keys:
            return present.keys[kid]
        return self._later_than(present).keys.get(kid)

    def _present(self) -> _Fetched:
        with self._lock:
            if self._fetched is None:
                self._fetched = self._fetch()
            return self._fetched

    def _later_than(self, seen: _Fetched) -> _Fetched:
        """What a fetch after `seen` brought, when another thread made one, or one may be made now; else `seen`."""
        with self._lock:
            assert self._fetched is not None
            if self._fetched is seen and self._clock.steady() - self._tried_at >= REFETCH_SECONDS:
                self._fetched = self._fetch()
            return self._fetched

    def _fetch(self) -> _Fetched:
        at = self._tried_at = self._clock.steady()
        try:
            document = json.loads(self._read())
            return _Fetched(document, _usable(document), at)
        except (OSError, HTTPException, ValueError, RecursionError, jwt.PyJWTError) as error:
            # The last three: no JSON, or JSON that is no key set.
            raise EngineUnavailable(f"{self._where}: the pool's keys cannot be had: {type(error).__name__}") from error

    def _read(self) -> bytes:
        # Of the wall, not of the engine's clock, which stands still in a test while a peer does not answer.
        deadline = time.monotonic() + self._seconds
        request = Request(self._url, headers={"accept": "application/json"})  # noqa: S310 - the scheme was checked
        body = b""
        try:
            with urlopen(request, timeout=self._seconds) as answer:  # noqa: S310
                while chunk := answer.read1(MAX_BYTES + 1 - len(body)):
                    body += chunk
                    if len(body) > MAX_BYTES:
                        raise ValueError(f"more than {MAX_BYTES} bytes")
                    if time.monotonic() > deadline:
                        raise TimeoutError(f"more than {self._seconds} seconds")
        except HTTPError as error:
            error.close()
            raise
        return body


def _usable(document: Any) -> dict[str, RSAPublicKey]:
    """The keys that sign with RS256, by their ids. Raises ValueError for what is no key set, PyJWTError for a key that
    is damaged."""
    entries = document.get("keys") if isinstance(document, dict) else None
    if not isinstance(entries, list):
        raise ValueError("no key set")
    keys: dict[str, RSAPublicKey] = {}
    for entry in entries:
        if not isinstance(entry, dict) or not isinstance(entry.get("kid"), str) or entry.get("kty") != "RSA":
            continue
        if entry.get("use", "sig") == "sig" and entry.get("alg", "RS256") == "RS256":
            keys[entry["kid"]] = jwt.PyJWK(entry, algorithm="RS256").key
    return keys
