"""The public keys of whoever signs RS256 tokens: a JSON Web Key Set (RFC 7517), fetched and kept.

PyJWT's PyJWKClient is not used, though it fetches and keeps key sets too: it reads an answer of any size, over plain
HTTP from anywhere; after a failed fetch each token makes the next one at once; requests wait for each other while it
fetches, up to its time-out of one fetch each; what it had is of no use to it once it is five minutes old and the
issuer is down; and it asks `time.monotonic`, so a test would have to wait.
"""

from __future__ import annotations

import ipaddress
import json
import logging
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout
from http.client import HTTPException
from typing import Any
from urllib.parse import urlsplit

import jwt
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from windlass import ServiceUnavailable

__all__ = ["GOOD_FOR", "PAUSE", "REFRESH_AFTER", "FetchFailed", "KeySet", "fetch"]

REFRESH_AFTER = 600.0
"""After so many seconds the key set is fetched again."""

GOOD_FOR = 7200.0
"""So long the keys are used, in seconds, when they cannot be fetched again; API Gateway keeps them as long."""

PAUSE = 10.0
"""There is at most one fetch in so many seconds, whatever tokens come."""

MAX_BYTES = 256 * 1024
FETCH_SECONDS = 3.0
_SMALLEST_KEY = 2048  # bits: RFC 7518, 3.3

logger = logging.getLogger(__name__)


class FetchFailed(Exception):
    """The key set could not be fetched; the text says why, for the log."""


class KeySet:
    """The keys at one address; another address begins anew. Threads may share it: one fetches, and those that need
    what it fetches wait for it."""

    def __init__(self, read: Callable[[str], bytes] | None = None) -> None:
        """`read` gets what is at an address; None: `fetch`."""
        self._read = read or fetch
        self._lock = threading.Lock()
        self._begin("")

    def _begin(self, url: str) -> None:
        self._url = url
        self._keys: dict[str | None, RSAPublicKey] = {}
        self._fetched_at: float | None = None
        self._tried_at: float | None = None
        self._running: Future[None] | None = None

    def find(self, url: str, kid: Any, now: float) -> RSAPublicKey | None:
        """The RSA key with this id, None when the set has none; a token without `kid` means the only key of a set.
        `now` is in epoch seconds. Raises ServiceUnavailable when the set was not fetched and cannot be."""
        if kid is not None and not isinstance(kid, str):
            return None
        with self._lock:
            if url != self._url:
                self._begin(url)
            if kid in self._keys and self._younger(self._fetched_at, REFRESH_AFTER, now):
                return self._keys[kid]
            mine, running = None, self._running
            if running is None and not self._younger(self._tried_at, PAUSE, now):
                self._tried_at = now
                mine = running = self._running = Future()
            elif kid in self._keys and self._younger(self._fetched_at, GOOD_FOR, now):
                return self._keys[kid]
        if mine is not None:
            self._refresh(url, now, mine)
        elif running is not None:
            try:
                running.result(FETCH_SECONDS + 1)
            except FutureTimeout:
                logger.warning("another request still fetches the key set")
        with self._lock:
            if url == self._url and self._younger(self._fetched_at, GOOD_FOR, now):
                return self._keys.get(kid)
        raise ServiceUnavailable(
            "the keys that tokens are checked with cannot be had now; try again", retry_after=PAUSE
        )

    @staticmethod
    def _younger(moment: float | None, seconds: float, now: float) -> bool:
        # A clock that was set back makes everything old, rather than good for longer.
        return moment is not None and 0 <= now - moment < seconds

    def _refresh(self, url: str, now: float, running: Future[None]) -> None:
        keys: dict[str | None, RSAPublicKey] | None = None
        try:
            keys = _parsed(self._read(url))
        except FetchFailed as error:
            logger.error("the key set cannot be fetched: %s\n  fix: look at the secret jwks_url", error)
        finally:
            with self._lock:
                if self._running is running:
                    self._running = None
                    if keys is not None:
                        self._keys, self._fetched_at = keys, now
            running.set_result(None)


def _parsed(document: bytes) -> dict[str | None, RSAPublicKey]:
    """The keys that can verify RS256 by their ids; the only one also under None. Others are left out: a set may hold
    keys for other uses. Raises FetchFailed when none is left."""
    try:
        content = json.loads(document)
        entries = content["keys"]
    except (ValueError, RecursionError, TypeError, KeyError):
        raise FetchFailed("what came is no JSON Web Key Set") from None
    keys: dict[str | None, RSAPublicKey] = {}
    usable = []
    for entry in entries if isinstance(entries, list) else []:
        key = _rsa(entry)
        if key is None:
            continue
        usable.append(key)
        if isinstance(kid := entry.get("kid"), str):
            keys.setdefault(kid, key)
    if not usable:
        raise FetchFailed("the key set has no RSA key of 2048 bits or more for RS256")
    if len(usable) == 1:
        keys[None] = usable[0]
    return keys


def _rsa(entry: Any) -> RSAPublicKey | None:
    if not isinstance(entry, dict) or entry.get("kty") != "RSA":
        return None
    if entry.get("use", "sig") != "sig" or entry.get("alg", "RS256") != "RS256":
        return None
    public = {name: entry.get(name) for name in ("kty", "n", "e")}  # a private part is none of our business
    try:
        key = jwt.PyJWK(public, "RS256").key
    except (jwt.PyJWTError, TypeError, ValueError):
        return None
    return key if isinstance(key, RSAPublicKey) and key.key_size >= _SMALLEST_KEY else None


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: Any) -> None:
        """None: a redirect is an error, for it could lead anywhere."""


def fetch(url: str, seconds: float = FETCH_SECONDS) -> bytes:
    """What is at `url`: HTTPS, or HTTP on this machine. Raises FetchFailed, also for what takes longer than that or
    has more than 256 KiB."""
    handlers: list[Any] = [_NoRedirect()]
    if _checked(url) == "http":
        handlers.append(urllib.request.ProxyHandler({}))  # this machine is not behind a proxy
    opener = urllib.request.build_opener(*handlers)
    deadline = time.monotonic() + seconds
    request = urllib.request.Request(url, headers={"Accept": "application/jwk-set+json, application/json"})
    try:
        with opener.open(request, timeout=seconds) as response:
            content = b""
            while chunk := response.read1(65_536):
                content += chunk
                if len(content) > MAX_BYTES:
                    raise FetchFailed(f"it has more than {MAX_BYTES:,} bytes")
                if time.monotonic() > deadline:
                    raise FetchFailed(f"it took longer than {seconds:g} seconds")
            return content
    except urllib.error.HTTPError as error:
        error.close()
        raise FetchFailed(f"the answer was {error.code}") from None
    except (HTTPException, ValueError) as error:  # their texts quote the address, which is a secret
        raise FetchFailed(type(error).__name__) from None
    except OSError as error:
        raise FetchFailed(f"{type(error).__name__}: {error}") from None


def _checked(url: str) -> str:
    """The scheme of an address that may be fetched."""
    fault = FetchFailed("its address must begin with https://, or on this machine with http://127.0.0.1")
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
    except ValueError:
        raise fault from None
    if not host or parts.username is not None or (parts.scheme != "https" and not _loopback(parts.scheme, host)):
        raise fault
    return parts.scheme


def _loopback(scheme: str, host: str) -> bool:
    if scheme != "http":
        return False
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
