"""Which process holds a namespace.

The operating system keeps the lock, not the file: it ends with the process, also after `kill -9`, so a file that is
left behind means nothing. What the file says is for people; it is read only while the lock is held.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Self

from windlass.errors import HomeError
from windlass.ports.clock import from_epoch

__all__ = ["Lock"]

# Asking who holds a lock takes it for some microseconds, so whoever wants it tries again before giving up.
_TRIES = 5
_PAUSE = 0.02

if sys.platform == "win32":
    import msvcrt

    # Windows locks bytes against being read, too: one that is far behind the text is locked.
    _FAR = 1 << 30
    # There are no shared locks: two that ask must not take each other for the holder.
    _TRIES_TO_ASK = _TRIES

    def _take(handle: int, *, shared: bool) -> bool:
        os.lseek(handle, _FAR, os.SEEK_SET)
        try:
            msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True

    def _free(handle: int) -> None:
        os.lseek(handle, _FAR, os.SEEK_SET)
        msvcrt.locking(handle, msvcrt.LK_UNLCK, 1)

else:
    import fcntl

    _TRIES_TO_ASK = 1

    def _take(handle: int, *, shared: bool) -> bool:
        try:
            fcntl.flock(handle, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def _free(handle: int) -> None:
        fcntl.flock(handle, fcntl.LOCK_UN)


class Lock:
    """A held lock; `acquire` makes one. It is free again after `release`, after a `with` block, or when the process
    ends."""

    def __init__(self, path: Path, handle: int) -> None:
        self.path = path
        self._handle: int | None = handle

    @classmethod
    def acquire(cls, path: Path, about: str) -> Lock:
        """Takes the lock of the file `path`, whose folder must exist. `about` is told to whoever finds it held:
        the URL of a server, or what runs. Raises HomeError, naming the holder."""
        handle = _open_and_take(path)
        if handle is None:
            raise HomeError(
                f"{path.parent} is held by {cls.holder(path) or 'another process'}\n"
                f"  fix: stop that process, or use another namespace, with --namespace"
            )
        since = from_epoch(time.time()).strftime("%Y-%m-%d %H:%M:%SZ")
        os.ftruncate(handle, 0)
        os.lseek(handle, 0, os.SEEK_SET)
        os.write(handle, f"process {os.getpid()}, {about}, since {since}\n".encode())
        return cls(path, handle)

    @classmethod
    def inherited(cls, path: Path, handle: int) -> Lock:
        """The lock that the process has which started this one, by the number of its open file. It is held until both
        have ended."""
        return cls(path, handle)

    def fileno(self) -> int:
        """The open file that holds the lock, to be inherited."""
        assert self._handle is not None
        return self._handle

    @staticmethod
    def holder(path: Path) -> str | None:
        """Who holds the lock of the file `path`, as a text such as `process 123, http://127.0.0.1:8400, since
        2026-05-04 09:00:00Z`; None when nobody does. The holder does not notice."""
        try:
            handle = os.open(path, os.O_RDWR)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise HomeError(f"{path} cannot be read: {error.strerror}") from error
        try:
            if _take_soon(handle, shared=True, tries=_TRIES_TO_ASK):
                _free(handle)
                return None
            os.lseek(handle, 0, os.SEEK_SET)
            return os.read(handle, 4096).decode(errors="replace").strip() or "another process"
        finally:
            os.close(handle)

    def release(self) -> None:
        """Frees the lock; a second time does nothing. The file stays: to remove it would let two processes hold
        locks of two files of one name."""
        handle, self._handle = self._handle, None
        if handle is not None:
            os.ftruncate(handle, 0)
            _free(handle)
            os.close(handle)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()


def _open_and_take(path: Path) -> int | None:
    """An open file, locked, that is the one at `path`; None when another process holds that."""
    while True:
        handle = None
        try:
            handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
            if not _take_soon(handle, shared=False, tries=_TRIES):
                os.close(handle)
                return None
        except OSError as error:
            if handle is not None:
                os.close(handle)
            raise HomeError(
                f"{path} cannot be locked: {error.strerror}\n"
                f"  fix: give a folder on a local disk that you may write to, with --home or WINDLASS_HOME"
            ) from error
        if _is_at(handle, path):
            return handle
        os.close(handle)  # `windlass reset` has removed it in between: what is there now must be locked


def _take_soon(handle: int, *, shared: bool, tries: int) -> bool:
    for _ in range(tries - 1):
        if _take(handle, shared=shared):
            return True
        time.sleep(_PAUSE)
    return _take(handle, shared=shared)


def _is_at(handle: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(handle), path.stat())
    except FileNotFoundError:
        return False
