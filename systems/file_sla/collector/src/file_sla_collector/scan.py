"""One look at one folder: which files are older than its SLA.

Which time counts. The age of a file is taken from its creation time where Python can see one (Windows, macOS,
BSD). Linux keeps a birth time but Python does not offer it, so there the time of the last modification
counts. Both err towards reporting: a file that was moved in, or copied with its times preserved, can be older
than its arrival. A file that is written to again becomes younger on Linux, which is right for one that is
still growing.
"""

from __future__ import annotations

import fnmatch
import os
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import PurePath
from typing import Any, Protocol

from file_sla_collector.config import Folder
from file_sla_collector.paths import identity, printable, shortened

# So many unreadable paths of one folder are told one by one; of the others, how many there are.
MOST_UNREADABLE = 100

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_FIRST = datetime.min.replace(tzinfo=UTC)
_LAST = datetime.max.replace(tzinfo=UTC)
_WINDOWS_JUNCTION = 0xA0000003

ListFolder = Callable[[str], AbstractContextManager[Iterator["os.DirEntry[str]"]]]


class Times(Protocol):
    """The part of `os.stat_result` that every platform has."""

    @property
    def st_mtime_ns(self) -> int: ...


@dataclass(frozen=True, slots=True)
class LateFile:
    """A file older than its folder's SLA.

    `filename` is relative to the folder, its parts joined by `/`, as `printable` and `shortened` make it.
    """

    filename: str
    created: datetime


@dataclass(frozen=True, slots=True)
class Breach:
    """A folder and its late files, the oldest first. `sla` is in minutes."""

    folder: str
    sla: int
    files: tuple[LateFile, ...]


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A path that could not be looked at, in the folder named `folder`."""

    folder: str
    path: str
    reason: str


@dataclass(frozen=True, slots=True)
class Scan:
    """What one look at one folder found. `checked` counts the files whose age was compared with the SLA."""

    breach: Breach | None
    unreadable: tuple[Unreadable, ...]
    checked: int


def scan(
    folder: Folder,
    now: datetime,
    *,
    listed: frozenset[str] = frozenset(),
    list_folder: ListFolder = os.scandir,
) -> Scan:
    """Look at `folder` once. Never raises for what is, or is not, on the disk.

    A file is late when it is older than the SLA at `now`; one that is exactly as old is not. Links are
    neither followed nor reported, except that `folder` itself may be one. A subfolder that matches `archive`
    is left out, and so is one whose `identity` is in `listed`: it has an SLA of its own. What vanishes while
    it is looked at was moved in time.
    """
    looking = _Looking(folder, now, listed, list_folder)
    looking.look()
    late = tuple(sorted(looking.late, key=lambda file: (file.created, file.filename)))
    return Scan(
        breach=Breach(folder.name, folder.sla_minutes, late) if late else None,
        unreadable=tuple(looking.unreadable),
        checked=looking.checked,
    )


def created_at(times: Times, platform: str = sys.platform) -> datetime:
    """The moment from which a file's age counts (see the module), in UTC.

    Times that a `datetime` cannot hold become the nearest that it can.
    """
    birth: float | None = getattr(times, "st_birthtime", None)
    if birth is None and platform == "win32":
        birth = getattr(times, "st_ctime", None)
    microseconds = times.st_mtime_ns // 1000 if birth is None else int(birth * 1_000_000)
    try:
        return _EPOCH + timedelta(microseconds=microseconds)
    except OverflowError:
        return _FIRST if microseconds < 0 else _LAST


class _Looking:
    """The state of one look: a walk with an explicit stack, so that a deep tree is no deep recursion."""

    def __init__(self, folder: Folder, now: datetime, listed: frozenset[str], list_folder: ListFolder) -> None:
        self.late: list[LateFile] = []
        self.unreadable: list[Unreadable] = []
        self.checked = 0
        self._failures = 0
        self._folder = folder
        self._latest = now - folder.sla
        self._listed = listed
        self._resolved = PurePath(identity(folder.path))
        self._list = list_folder
        self._pattern = _any_of(folder.pattern)
        self._ignore = _any_of(folder.ignore)
        self._archive = _any_of(folder.archive)

    def look(self) -> None:
        stack = [PurePath()]
        while stack:
            inside = stack.pop()
            try:
                with self._list(str(self._folder.path / inside)) as entries:
                    stack.extend(self._entries(entries, inside))
            except (FileNotFoundError, NotADirectoryError) as error:
                if inside == PurePath():
                    self._failed(inside, error)
            except (OSError, ValueError) as error:
                self._failed(inside, error)
        if self._failures > MOST_UNREADABLE:
            more = f"and {self._failures - MOST_UNREADABLE} more paths below it"
            self.unreadable.append(Unreadable(self._folder.name, printable(str(self._folder.path)), more))

    def _entries(self, entries: Iterator[os.DirEntry[str]], inside: PurePath) -> Iterator[PurePath]:
        for entry in entries:
            try:
                if entry.is_file(follow_symlinks=False):
                    self._file(entry, inside)
                elif self._to_enter(entry, inside):
                    yield inside / entry.name
            except FileNotFoundError:
                continue
            except OSError as error:
                self._failed(inside / entry.name, error)

    def _file(self, entry: os.DirEntry[str], inside: PurePath) -> None:
        name = entry.name.casefold()
        if not self._pattern(name) or self._ignore(name):
            return
        created = created_at(entry.stat(follow_symlinks=False))
        self.checked += 1
        if created < self._latest:
            self.late.append(LateFile(shortened(printable((inside / entry.name).as_posix())), created))

    def _to_enter(self, entry: os.DirEntry[str], inside: PurePath) -> bool:
        if not self._folder.recursive or not entry.is_dir(follow_symlinks=False) or _is_junction(entry):
            return False
        if self._archive(entry.name.casefold()):
            return False
        # No link was followed from the resolved root to here, so this needs no resolving of its own.
        return os.path.normcase(self._resolved / inside / entry.name) not in self._listed

    def _failed(self, inside: PurePath, error: OSError | ValueError) -> None:
        self._failures += 1
        if self._failures > MOST_UNREADABLE:
            return
        reason = (error.strerror if isinstance(error, OSError) else None) or str(error)
        path = printable(str(self._folder.path / inside))
        self.unreadable.append(Unreadable(self._folder.name, path, reason))


def _any_of(globs: tuple[str, ...]) -> Callable[[str], Any]:
    """A test for names that were case-folded: does any of the globs fit?"""
    if not globs:
        return lambda _: False
    return re.compile("|".join(fnmatch.translate(glob.casefold()) for glob in globs)).match


def _is_junction(entry: os.DirEntry[str]) -> bool:
    # A Windows junction is a folder to Python 3.11, yet it leads elsewhere, like a link.
    tag: int = getattr(entry.stat(follow_symlinks=False), "st_reparse_tag", 0)
    return tag == _WINDOWS_JUNCTION
