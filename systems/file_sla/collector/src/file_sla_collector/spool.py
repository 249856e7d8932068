"""The spool: every post is a file on disk before it is sent, and leaves once the API has answered for it.

    spool/
      lock             held by the one collector that uses the spool
      pending/         posts to be sent, in the order of their names
      rejected/        posts that the API refused for good, each with the reason
      corrupt/         files that could not be read back
      reported.json    see `memory`

A post keeps its idempotency key and its very bytes in its file, so a post that is sent again after a crash,
or after an answer that was lost, is the same request to the API.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import sys
import uuid
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

from file_sla_collector.report import encode

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

_VERSION = 1
_NAME = re.compile(r"([0-9]{12})-[0-9a-z-]{1,64}\.json", re.ASCII)
_UNFINISHED = ".unfinished-"
_LARGEST_FILE = 16 * 1024 * 1024

# What was set aside is for a person to look at; this many of the newest are kept.
KEPT_ASIDE = 1_000


class SpoolError(Exception):
    """The spool cannot be used: a folder or a file of it cannot be created, read, written or moved."""


class SpoolInUseError(SpoolError):
    """Another collector is using the spool."""


class SpoolFullError(SpoolError):
    """The spool holds as many posts, or bytes, as it may. Nothing is dropped; what is new is refused."""


@dataclass(frozen=True, slots=True)
class Pending:
    """A post that waits in the spool: `body` is sent with the idempotency key `key`."""

    name: str
    key: str
    body: bytes


@dataclass(frozen=True, slots=True)
class Corrupt:
    """A spool file that could not be read back and was moved to `corrupt/`."""

    name: str
    reason: str


class Spool:
    """A folder of posts, opened by one process at a time.

    Raises SpoolInUseError when another process has it open, SpoolError when it cannot be used, and ValueError
    for bounds below one. Use it as a context manager: leaving it releases the lock. A process that is killed
    releases it too.
    """

    def __init__(
        self,
        folder: Path,
        *,
        max_posts: int,
        max_bytes: int,
        new_key: Callable[[], str] = lambda: str(uuid.uuid4()),
    ) -> None:
        if max_posts < 1 or max_bytes < 1:
            raise ValueError("a spool must have room for one post")
        self.folder = folder
        self._max_posts = max_posts
        self._max_bytes = max_bytes
        self._new_key = new_key
        self._pending = folder / "pending"
        self._rejected = folder / "rejected"
        self._corrupt = folder / "corrupt"
        self.discarded = 0
        try:
            for part in (folder, self._pending, self._rejected, self._corrupt):
                part.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._lock = _lock(folder / "lock")
        except OSError as error:
            raise SpoolError(f"the spool {folder} cannot be used: {error}") from error
        try:
            self._sizes = self._take_stock()
        except OSError as error:
            self._lock.close()
            raise SpoolError(f"the spool {folder} cannot be read: {error}") from error
        self._number = max((int(name[:12]) for name in self._sizes if _NAME.fullmatch(name)), default=0)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __len__(self) -> int:
        """How many posts wait."""
        return len(self._sizes)

    def close(self) -> None:
        """Let another process use the spool."""
        self._lock.close()

    def add(self, payload: dict[str, Any]) -> Pending:
        """Store one post at the end, durably. Raises SpoolFullError or SpoolError; then nothing is stored."""
        body, key = encode(payload), self._new_key()
        digest = hashlib.sha256(body).hexdigest()
        content = b'{"version":%d,"key":"%s","sha256":"%s","body":%s}' % (
            _VERSION,
            key.encode("ascii"),
            digest.encode("ascii"),
            body,
        )
        if len(self._sizes) >= self._max_posts:
            raise SpoolFullError(f"the spool {self.folder} is full: {len(self._sizes)} posts wait")
        if sum(self._sizes.values()) + len(content) > self._max_bytes:
            raise SpoolFullError(f"the spool {self.folder} is full: at most {self._max_bytes} bytes may wait")
        name = f"{self._number + 1:012d}-{key}.json"
        if not _NAME.fullmatch(name):
            raise ValueError(f"{key!r} is no key for a spool file: lower-case letters, digits and hyphens")
        try:
            write_whole(self._pending / name, content)
        except OSError as error:
            raise SpoolError(f"the spool {self.folder} cannot be written: {error}") from error
        self._number += 1
        self._sizes[name] = len(content)
        return Pending(name, key, body)

    def pending(self) -> Iterator[Pending | Corrupt]:
        """Every post that waits, the oldest first. A file that cannot be read back is moved aside."""
        for name in sorted(self._sizes):
            file = self._pending / name
            try:
                yield _read(file)
            except FileNotFoundError:
                # Someone cleared the spool by hand; that is theirs to do.
                self._sizes.pop(name, None)
            except OSError as error:
                raise SpoolError(f"the spool file {file} cannot be read: {error}") from error
            except _DamageError as damage:
                self._set_aside(file, self._corrupt / name)
                yield Corrupt(name, str(damage))

    def sent(self, post: Pending) -> None:
        """The API has stored `post`: forget it."""
        try:
            (self._pending / post.name).unlink(missing_ok=True)
        except OSError as error:
            raise SpoolError(f"the spool file {post.name} cannot be removed: {error}") from error
        self._sizes.pop(post.name, None)

    def reject(self, post: Pending, *, status: int, reason: str, at: str) -> Path:
        """The API refused `post` for good: keep it in `rejected/`, with `status`, `reason` and time `at`."""
        file = self._rejected / post.name
        record = {
            "key": post.key,
            "rejected": {"status": status, "reason": reason, "at": at},
            "body": json.loads(post.body),
        }
        try:
            write_whole(file, json.dumps(record, indent=2, ensure_ascii=True).encode("ascii"))
            self._trim(self._rejected)
        except OSError as error:
            raise SpoolError(f"the spool file {file} cannot be written: {error}") from error
        self.sent(post)
        return file

    def _take_stock(self) -> dict[str, int]:
        sizes = {}
        with os.scandir(self._pending) as entries:
            for entry in entries:
                if entry.name.startswith(_UNFINISHED):
                    # Left by a process that was killed while it wrote; it had promised nothing yet.
                    Path(entry.path).unlink(missing_ok=True)
                else:
                    sizes[entry.name] = entry.stat(follow_symlinks=False).st_size
        return sizes

    def _set_aside(self, file: Path, target: Path) -> None:
        try:
            file.replace(target)
            self._trim(self._corrupt)
        except OSError as error:
            raise SpoolError(f"the damaged spool file {file} cannot be moved aside: {error}") from error
        self._sizes.pop(file.name, None)

    def _trim(self, folder: Path) -> None:
        files = [file for file in folder.iterdir() if file.is_symlink() or not file.is_dir()]
        kept = sorted(files, key=lambda file: file.lstat().st_mtime_ns)
        for file in kept[:-KEPT_ASIDE]:
            file.unlink(missing_ok=True)
            self.discarded += 1


def write_whole(file: Path, content: bytes) -> None:
    """Put `content` into `file`, on disk; a crash leaves the old file or the new one. Raises OSError."""
    unfinished = file.with_name(f"{_UNFINISHED}{file.name}")
    try:
        with unfinished.open("wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        unfinished.replace(file)
    except OSError:
        with suppress(OSError):
            unfinished.unlink(missing_ok=True)
        raise
    _sync_folder(file.parent)


def _sync_folder(folder: Path) -> None:
    # Windows cannot open a folder to flush it; NTFS journals the rename.
    if sys.platform != "win32":
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


class _DamageError(Exception):
    pass


def _read(file: Path) -> Pending:
    if not _NAME.fullmatch(file.name):
        raise _DamageError("its name is not that of a spool file")
    if file.is_symlink() or not file.is_file():
        if not file.exists() and not file.is_symlink():
            raise FileNotFoundError(file)
        raise _DamageError("it is not a regular file")
    if file.stat().st_size > _LARGEST_FILE:
        raise _DamageError("it is larger than any post")
    try:
        record = json.loads(file.read_bytes())
        if not isinstance(record, dict) or record.get("version") != _VERSION:
            raise _DamageError("it is not a spool file of this version")
        key, body = record["key"], encode(record["body"])
        if not isinstance(key, str) or f"-{key}.json" != file.name[12:]:
            raise _DamageError("its key is not the one in its name")
        if record["sha256"] != hashlib.sha256(body).hexdigest():
            raise _DamageError("its body does not fit its checksum")
    except (ValueError, KeyError, RecursionError) as error:
        raise _DamageError(f"it is not a whole spool file: {error}") from error
    return Pending(file.name, key, body)


def _lock(file: Path) -> IO[bytes]:
    """Hold `file` until it is closed or the process ends. Raises SpoolInUseError, OSError."""
    stream = file.open("ab")
    try:
        if sys.platform == "win32":
            stream.seek(0)
            msvcrt.locking(stream.fileno(), msvcrt.LK_NBLCK, 1)
        else:
            fcntl.flock(stream.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError) as error:
        stream.close()
        raise SpoolInUseError(f"another collector is using the spool {file.parent}") from error
    except OSError:
        stream.close()
        raise
    return stream
