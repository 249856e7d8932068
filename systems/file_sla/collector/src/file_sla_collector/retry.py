"""When a request is tried again: exponential backoff with full jitter, and the server's own Retry-After.

Full jitter (a wait drawn evenly from zero to the bound) spreads many collectors that one outage has aligned;
see "Exponential Backoff And Jitter" on the AWS Architecture Blog. Retry-After is RFC 9110, section 10.2.3.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How often, and with which waits in seconds, one request is tried.

    The bound of the wait before the second attempt is `base`; it doubles up to `cap`. A Retry-After up to
    `longest_wait` is waited for; a longer one ends the attempts of this run. A later run does not ask before
    it is over either, yet never stays silent for more than `longest_silence`, whatever the server says.
    """

    attempts: int = 5
    base: float = 0.5
    cap: float = 20.0
    longest_wait: float = 60.0
    longest_silence: float = 3600.0

    def __post_init__(self) -> None:
        if self.attempts < 1:
            raise ValueError("a request needs at least one attempt")

    def wait(
        self,
        failures: int,
        retry_after: float | None = None,
        draw: Callable[[float, float], float] = random.uniform,
    ) -> float:
        """Seconds to wait after the `failures`-th failure (from 1): never less than `retry_after`."""
        bound = min(self.cap, self.base * 2.0 ** min(failures - 1, 32))
        return (retry_after or 0.0) + draw(0.0, bound)


def parse_retry_after(value: str | None, now: datetime) -> float | None:
    """The seconds that a Retry-After header asks for, not below zero; None when it cannot be read."""
    if value is None:
        return None
    text = value.strip()
    if text.isascii() and text.isdigit():
        return min(float(text[:20]), math.inf)
    try:
        moment = parsedate_to_datetime(text)
    except (ValueError, OverflowError):
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return max(0.0, (moment - now).total_seconds())
