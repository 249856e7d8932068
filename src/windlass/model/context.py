"""What a handler may ask for without declaring it: ids and the time."""

from __future__ import annotations

import uuid
from datetime import datetime

from windlass.ports.binding import current
from windlass.ports.clock import from_epoch

__all__ = ["new_id", "now"]


def new_id() -> str:
    """A new random id: a UUID of version 4, as text."""
    return str(uuid.uuid4())


def now() -> datetime:
    """The engine's time in UTC: in a test, that of the test's clock. Raises NotBound outside a handler."""
    return from_epoch(current().clock.now())
