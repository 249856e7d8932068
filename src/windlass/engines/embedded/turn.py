"""Whose turn it is to write, among the processes that share a state.

SQLite lets one write at a time and has the others sleep and look again, for a millisecond and more. Here the operating
system wakes the next one. It takes the turn back from a process that died.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from windlass.errors import HomeError

__all__ = ["Turn"]


class Turn:
    """A process's place in the line, kept as a lock of the file `path`. For one thread at a time."""

    def __init__(self, path: Path) -> None:
        try:
            self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise HomeError(f"{path} cannot be used for state: {error.strerror}") from error

    if sys.platform == "win32":

        def take(self) -> None:
            """Waits for the turn."""
            raise HomeError("several processes cannot share a state on Windows\n  fix: leave --workers out")

        def give(self) -> None:
            """Lets the next one write."""

    else:

        def take(self) -> None:
            """Waits for the turn."""
            import fcntl

            fcntl.flock(self._file, fcntl.LOCK_EX)

        def give(self) -> None:
            """Lets the next one write."""
            import fcntl

            fcntl.flock(self._file, fcntl.LOCK_UN)

    def close(self) -> None:
        """Leaves the line."""
        os.close(self._file)
