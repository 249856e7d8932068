"""Files of JSON lines that are only ever appended to: `spans-START-PROCESS.jsonl`, `logs-START-PROCESS.jsonl`.

Each process writes a file of its own, one write for many lines, and begins another when it is large or an hour old.
The oldest are deleted when all together are too large or too old. START is when the file was begun, in epoch
milliseconds; its last change is when its last line was written. A process that was killed leaves a last line that is
cut off, which nobody reads.
"""

from __future__ import annotations

import logging
import os
import re
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Generic, Literal, NamedTuple, TypeVar

import msgspec

__all__ = ["Kind", "SegmentReader", "SegmentWriter", "segments_of"]

T = TypeVar("T")
Kind = Literal["spans", "logs"]

SEGMENT_BYTES = 8 * 1024 * 1024
"""A segment ends with the write that makes it this large."""

_SEGMENT_SECONDS = 3600.0
_MOST_TO_READ = 16 * SEGMENT_BYTES
_NAME = re.compile(r"(spans|logs)-(\d{1,15})-(\d{1,10})\.jsonl\Z")
_END_OF_TIME = 253402300800.0  # the year 10000, which datetime does not know

logger = logging.getLogger("windlass")


class Segment(NamedTuple):
    """A file, when it was begun and last written to, in epoch seconds, and its size in bytes."""

    path: Path
    start: float
    end: float
    size: int


def segments_of(folder: Path, kind: Kind) -> list[Segment]:
    """The segments in a folder, the oldest first; none where there is no such folder."""
    found = []
    with suppress(FileNotFoundError, NotADirectoryError):
        for path in folder.iterdir():
            name = _NAME.match(path.name)
            if name is not None and name[1] == kind:
                with suppress(FileNotFoundError):  # its writer may have deleted it since
                    told = path.lstat()
                    found.append(Segment(path, int(name[2]) / 1000, told.st_mtime, told.st_size))
    return sorted(found, key=lambda segment: (segment.start, segment.path.name))


class SegmentWriter:
    """Writes this process's segments of one kind, for one thread at a time.

    `most_bytes` is how large all segments of that kind may be together, `most_seconds` how old; `now` is the time on
    the machine's clock, in epoch seconds.
    """

    def __init__(
        self,
        folder: Path,
        kind: Kind,
        *,
        most_bytes: int,
        most_seconds: float,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._folder, self._kind = folder, kind
        self._most_bytes, self._most_seconds, self._now = most_bytes, most_seconds, now
        self._segment_bytes = max(1, min(SEGMENT_BYTES, most_bytes // 8))
        self._path: Path | None = None
        self._handle = -1
        self._size = 0
        self._started = 0.0

    def write(self, lines: bytes) -> None:
        """Appends whole lines. Raises OSError when they cannot be written; then nothing of them is."""
        now = self._now()
        if self._handle >= 0 and (
            self._size >= self._segment_bytes
            or not 0 <= now - self._started < _SEGMENT_SECONDS
            or os.fstat(self._handle).st_nlink == 0  # deleted, by a `windlass reset` or another process
        ):
            self.close()
            self.sweep()
        if self._handle < 0:
            self._begin(now)
        view, written = memoryview(lines), 0
        try:
            while written < len(lines):
                written += os.write(self._handle, view[written:])
        except OSError:
            # Half a line would spoil the one that comes after it.
            os.ftruncate(self._handle, self._size)
            raise
        self._size += written

    def _begin(self, now: float) -> None:
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        milliseconds = int(now * 1000)
        while True:
            path = self._folder / f"{self._kind}-{milliseconds:013}-{os.getpid()}.jsonl"
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | getattr(os, "O_BINARY", 0)
            try:
                self._handle = os.open(path, flags, 0o600)
            except FileExistsError:
                milliseconds += 1
                continue
            self._path, self._size, self._started = path, 0, now
            return

    def sweep(self) -> None:
        """Deletes the oldest segments that are too many or too old. What another process writes now may be among
        them: it then begins another. To be called now and then; writing calls it too."""
        oldest = self._now() - self._most_seconds
        found = segments_of(self._folder, self._kind)
        size = sum(segment.size for segment in found)
        for segment in found:
            if segment.path == self._path or (size <= self._most_bytes and segment.end >= oldest):
                continue
            with suppress(OSError):  # of another's file, that it is gone already, or on Windows, open
                segment.path.unlink()
            size -= segment.size

    def close(self) -> None:
        """Ends the segment; the next write begins another."""
        if self._handle >= 0:
            os.close(self._handle)
            self._handle, self._path = -1, None


class SegmentReader(Generic[T]):
    """Reads the lines of all segments of a kind as `what`, while processes write. `when` tells the time of one, in
    epoch seconds. Lines that are none of these are left out and counted in `skipped`: a file may be damaged."""

    def __init__(self, folder: Path, kind: Kind, what: type[T], when: Callable[[T], float]) -> None:
        self._folder, self._kind, self._when = folder, kind, when
        self._decode = msgspec.json.Decoder(what).decode
        self.skipped = 0

    @property
    def empty(self) -> bool:
        """Whether there is no segment with anything in it."""
        return not any(segment.size for segment in segments_of(self._folder, self._kind))

    def lines(self, since: float = 0.0, *holding: str) -> Iterator[T]:
        """Those that are not before `since`, segment by segment, the oldest first; those of several processes are
        not in one order. With `holding`, only those that have one of these texts in them, which are plain ASCII:
        looking for them is much quicker than decoding."""
        for segment in self._segments(since):
            yield from self._of(segment, since, holding)

    def newest(self, number: int, since: float, keep: Callable[[T], bool], *holding: str) -> list[T]:
        """The newest `number` of those lines that `keep` is true of, the oldest first."""
        found: list[T] = []
        for segment in reversed(self._segments(since)):
            if len(found) >= number and segment.end < self._when(found[0]):
                break  # it, and those before it, end before the oldest of what was found
            found += [line for line in self._of(segment, since, holding) if keep(line)]
            found = sorted(found, key=self._when)[-number:]
        return found

    def _segments(self, since: float) -> list[Segment]:
        return [segment for segment in segments_of(self._folder, self._kind) if segment.end >= since]

    def _of(self, segment: Segment, since: float, holding: Sequence[str]) -> Iterator[T]:
        content = self._content(segment.path, 0)
        for line in _holding(content, holding) if holding else _whole_lines(content):
            for decoded in self._decoded(line):
                if self._when(decoded) >= since:
                    yield decoded

    def _decoded(self, line: bytes) -> list[T]:
        try:
            decoded = self._decode(line)
            if 0 <= self._when(decoded) < _END_OF_TIME:
                return [decoded]
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, OverflowError) as error:
            logger.debug("a line of telemetry is damaged: %s", error)
        self.skipped += 1
        return []

    def _content(self, path: Path, offset: int) -> bytes:
        try:
            with path.open("rb") as file:
                file.seek(offset)
                return file.read(_MOST_TO_READ)
        except FileNotFoundError:
            return b""

    def follow(self) -> Callable[[], list[T]]:
        """A function that returns the lines that were written since it was called last, at first since now."""
        offsets = {segment.path: segment.size for segment in segments_of(self._folder, self._kind)}

        def news() -> list[T]:
            found: list[T] = []
            for segment in segments_of(self._folder, self._kind):
                offset = offsets.get(segment.path, 0)
                if segment.size <= offset:
                    continue
                content = self._content(segment.path, offset)
                whole = content.rfind(b"\n") + 1
                offsets[segment.path] = offset + whole
                for line in _whole_lines(content):
                    found += self._decoded(line)
            return found

        return news


def _whole_lines(content: bytes) -> list[bytes]:
    """The lines that have an end."""
    return content[: content.rfind(b"\n") + 1].split(b"\n")[:-1]


def _holding(content: bytes, texts: Sequence[str]) -> Iterator[bytes]:
    """The whole lines that have one of the texts in them."""
    pattern, place = re.compile(b"|".join(re.escape(text.encode()) for text in texts)), 0
    while (match := pattern.search(content, place)) is not None:
        end = content.find(b"\n", match.end())
        if end < 0:
            return
        yield content[max(place, content.rfind(b"\n", place, match.start()) + 1) : end]
        place = end + 1
