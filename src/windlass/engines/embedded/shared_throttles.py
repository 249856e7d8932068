"""Token buckets that several processes share: a table in a file that all of them map into memory."""

from __future__ import annotations

import mmap
import os
import struct
import threading
import time
from collections.abc import Callable
from hashlib import blake2b
from pathlib import Path

from windlass.engines.embedded.turn import Turn
from windlass.model.api import Route

__all__ = ["SharedThrottles"]

_BUCKET = struct.Struct("=8sdd")
_BUCKETS = 65_536
_PLACES = 8


class SharedThrottles:
    """As `api.Throttles`, for all processes that give the same `path`, whose folder must exist. A key has eight places;
    when all are taken, the bucket that was used longest ago makes room."""

    def __init__(self, path: Path, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._lock = threading.Lock()
        self._turn = Turn(path)
        size = _BUCKET.size * _BUCKETS
        file = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        self._turn.take()  # of two that start together, one makes the table
        try:
            if os.fstat(file).st_size != size:
                # Written, not only sized: a page that a full disk has no room for would end the process.
                os.ftruncate(file, 0)
                os.pwrite(file, bytes(size), 0)
            self._table = mmap.mmap(file, size)
        finally:
            self._turn.give()
            os.close(file)

    def admit(self, route: Route, caller_id: str | None) -> float:
        """Takes a token. 0, or after how many seconds there will be one."""
        throttle = route.throttle if caller_id is None else route.throttle_per_caller
        if throttle is None:
            return 0.0
        name = f"{route.api.where} {route.method} {route.path} {'' if caller_id is None else 'c' + caller_id}"
        key = blake2b(name.encode(errors="surrogatepass"), digest_size=8).digest()
        with self._lock:
            self._turn.take()
            try:
                now = self._now()
                place, tokens, since = self._find(key, float(throttle.burst), now)
                tokens = min(float(throttle.burst), tokens + max(0.0, now - since) * throttle.rate)
                allowed = tokens >= 1
                _BUCKET.pack_into(self._table, place, key, tokens - 1 if allowed else tokens, now)
            finally:
                self._turn.give()
        return 0.0 if allowed else (1 - tokens) / throttle.rate

    def _find(self, key: bytes, burst: float, now: float) -> tuple[int, float, float]:
        """Where the bucket of `key` is or may be, its tokens, and when it had them."""
        first = int.from_bytes(key, "big")
        oldest, oldest_since = 0, float("inf")
        for step in range(_PLACES):
            place = (first + step) % _BUCKETS * _BUCKET.size
            held, tokens, since = _BUCKET.unpack_from(self._table, place)
            if held == key:
                return place, tokens, since
            if since < oldest_since:  # an empty one has 0
                oldest, oldest_since = place, since
        return oldest, burst, now

    def close(self) -> None:
        """Leaves the table to the others."""
        self._table.close()
        self._turn.close()
