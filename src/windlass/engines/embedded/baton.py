"""Who may keep Python's interpreter busy.

Each call of SQLite lets go of the interpreter's lock, and whoever waits for it takes it. Two threads that both have
much to do then stop each other at every statement, and together do half of what one would. So those that have quick
work take turns by a baton: whoever holds it works on until it has nothing more to do. It is a courtesy, not a lock:
one who does not get it in time goes on without, and one whose work is slow loses it.
"""

from __future__ import annotations

import threading
from collections import deque

__all__ = ["Baton"]

_PATIENCE = 0.02


class Baton:
    """Handed to those who ask in their order."""

    def __init__(self) -> None:
        self._mutex = threading.Lock()
        self._holder: object | None = None
        self._asking: deque[tuple[object, threading.Lock]] = deque()

    @property
    def wanted(self) -> bool:
        """Whether somebody waits for it."""
        return bool(self._asking)

    def take(self, me: object) -> None:
        """Waits for the baton, up to 20 milliseconds; then goes on without."""
        with self._mutex:
            if self._holder is None:
                self._holder = me
                return
            asking = (me, threading.Lock())
            asking[1].acquire()
            self._asking.append(asking)
        if asking[1].acquire(timeout=_PATIENCE):
            return
        with self._mutex:
            if asking in self._asking:  # else it was handed over in this moment
                self._asking.remove(asking)

    def give(self, me: object) -> None:
        """Hands it to the next, if `me` holds it."""
        with self._mutex:
            if self._holder is not me:
                return
            if self._asking:
                self._holder, waiting = self._asking.popleft()
                waiting.release()
            else:
                self._holder = None
