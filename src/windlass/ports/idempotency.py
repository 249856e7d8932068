"""The port of idempotency: which requests were answered already, and how."""

from __future__ import annotations

from typing import Any, Protocol

import msgspec

from windlass.ports.api import Response

__all__ = ["Fresh", "IdempotencyPort", "Running", "Seen"]


class Fresh(msgspec.Struct, frozen=True):
    """The key is new and reserved for this request: finish it, or abandon it. `reservation` tells the engine which
    one that is: after its lease another request may hold the key."""

    reservation: Any = None


class Running(msgspec.Struct, frozen=True):
    """Another request with this key runs; it holds the key for at most `seconds` more."""

    seconds: float


class Seen(msgspec.Struct, frozen=True):
    """A request with this key was answered. `same` says whether it was the same request."""

    same: bool
    response: Response


class IdempotencyPort(Protocol):
    def begin(self, scope: str, key: str, fingerprint: bytes, lease: float) -> Fresh | Running | Seen:
        """Reserves `key` within `scope` for `lease` seconds, unless it is taken."""
        ...

    def finish(self, scope: str, key: str, fresh: Fresh, response: Response, keep: float) -> None:
        """Keeps the answer for `keep` seconds, unless another request holds the key by now."""
        ...

    def abandon(self, scope: str, key: str, fresh: Fresh) -> None:
        """Frees a key whose request failed, unless another request holds it by now."""
        ...
