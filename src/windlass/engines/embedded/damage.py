"""What is told of a database that cannot be read or written: in words, with what to do, and not a thousand times."""

from __future__ import annotations

import logging
import sqlite3
import threading
import time
from pathlib import Path

__all__ = ["Faults"]

logger = logging.getLogger("windlass")

_QUIET_SECONDS = 600.0

_DAMAGED = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
_NO_ROOM = (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR)


class Faults:
    """The faults of the database at `path`. One of a kind is logged at once, and again after ten minutes if it is still
    there; each operation that fails of it says so besides."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._logged: dict[str, float] = {}

    @staticmethod
    def is_damage(cause: sqlite3.DatabaseError) -> bool:
        """Whether the file holds what no database does."""
        return _code(cause) in _DAMAGED

    def told(self, cause: sqlite3.DatabaseError, what: str = "read or written") -> str:
        """What to say of `cause`, which kept the state from being `what`, to an operator."""
        if self.is_damage(cause):
            self._log(
                "damaged",
                "%s is damaged: %s. What lies in the damaged part is refused with 503; everything else is served.\n"
                "  fix: stop the server and restore the last good backup with `windlass restore FILE --force`, which "
                "keeps the damaged state aside",
                cause,
            )
            return (
                f"the state is damaged: {cause}\n"
                f"  fix: restore the last good backup of {self._path.parent} with `windlass restore FILE --force`"
            )
        if _code(cause) in _NO_ROOM:
            self._log(
                "no room",
                "%s cannot be written: %s. Writes are refused with 503, and nothing that was acknowledged is lost.\n"
                "  fix: make room on the disk, or see what is wrong with it; the server goes on by itself",
                cause,
            )
        return f"the state cannot be {what} now: {cause}"

    def _log(self, kind: str, text: str, cause: sqlite3.DatabaseError) -> None:
        now = time.monotonic()
        with self._lock:
            last = self._logged.get(kind)
            if last is not None and now - last < _QUIET_SECONDS:
                return
            self._logged[kind] = now
        logger.critical(text, self._path, cause)


def _code(cause: sqlite3.DatabaseError) -> int:
    """SQLite's primary result code; 0 where the error is Python's own."""
    code: int = getattr(cause, "sqlite_errorcode", 0)
    return code & 0xFF
