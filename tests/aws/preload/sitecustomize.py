"""Repairs `time.sleep` under libfaketime 0.9.10, which Debian 12 has; Python imports this before a server's own code.

Python sleeps until a moment of the monotonic clock. Up to 0.9.10 libfaketime takes the faked date off that moment,
although that clock is not faked, and every sleep fails with "Invalid argument"; from 0.9.11 on it lets it pass
(https://github.com/wolfcw/libfaketime/pull/426). `select` waits for a length of time, which libfaketime leaves alone.
"""

from __future__ import annotations

import select
import time
from typing import SupportsIndex

__all__: list[str] = []


def _sleep(seconds: float | SupportsIndex, /) -> None:
    select.select((), (), (), float(seconds))


time.sleep = _sleep
