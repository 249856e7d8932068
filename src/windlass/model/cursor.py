"""Cursors: where a page ended, opaque and signed, so that nobody can read or forge a position.

A cursor belongs to the query that made it (table, index, partition, order): with another query it is refused.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from typing import Any

import msgspec

from windlass.errors import BadRequest
from windlass.ports.binding import current
from windlass.ports.table import Attributes

__all__ = ["make_cursor", "read_cursor", "sign", "verify"]

_MAC = 16


def _mac(key: bytes, scope: str, payload: bytes) -> bytes:
    return hmac.digest(key, scope.encode() + b"\0" + payload, hashlib.sha256)[:_MAC]


def sign(key: bytes, scope: str, position: Attributes, *, backward: bool) -> str:
    """A cursor for `position` in the query that `scope` describes; `backward` when it goes towards the start."""
    payload = msgspec.msgpack.encode([backward, position])  # as long as the keys, where JSON may be six times that
    return base64.urlsafe_b64encode(_mac(key, scope, payload) + payload).rstrip(b"=").decode()


def verify(key: bytes, scope: str, cursor: object) -> tuple[Attributes, bool]:
    """The position and direction that `cursor` holds. Raises BadRequest for one that was not made for `scope`."""
    refused = BadRequest("the cursor is not one that this query made", field="after")
    if not isinstance(cursor, str) or len(cursor) > 8192:
        raise refused
    try:
        raw = base64.b64decode(cursor.encode("ascii") + b"=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError, UnicodeEncodeError):
        raise refused from None
    mac, payload = raw[:_MAC], raw[_MAC:]
    if not hmac.compare_digest(mac, _mac(key, scope, payload)):
        raise refused
    backward, position = msgspec.msgpack.decode(payload, type=tuple[bool, dict[str, Any]])
    return position, backward


def make_cursor(scope: str, position: Attributes) -> str:
    """A cursor for a listing that a handler puts together itself, from several queries say.

    `position` (JSON types) comes back from `read_cursor` with the same `scope`, which should name the listing and
    all that selects from it. Raises NotBound outside a handler.
    """
    return sign(current().signing_key, f"{current().handler}/{scope}", position, backward=False)


def read_cursor(scope: str, cursor: str) -> Attributes:
    """The position in a cursor of `make_cursor`. Raises BadRequest for one that was not made for `scope`."""
    return verify(current().signing_key, f"{current().handler}/{scope}", cursor)[0]
