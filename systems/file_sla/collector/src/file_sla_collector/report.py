"""The posts: breaches as JSON bodies, none above the bounds of the API.

The API takes at most 256 KiB a post and stores every entry of `sla_error` as a record of its own. A folder
with very many late files is therefore split into several entries, and a large report into several posts.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from file_sla_collector.clock import iso
from file_sla_collector.scan import Breach, LateFile

MAX_BODY_BYTES = 240 * 1024
MAX_FILES = 1_000
MAX_ENTRIES = 100

_ENVELOPE = len(b'{"sla_error":[]}')
_COMMA = 1


@dataclass(frozen=True, slots=True)
class Post:
    """The breaches of one post; every one has at least one file."""

    breaches: tuple[Breach, ...]

    def payload(self) -> dict[str, Any]:
        """The body of `POST /file_sla_error`, as a JSON object."""
        return {"sla_error": [_entry(breach) for breach in self.breaches]}


def encode(payload: object) -> bytes:
    """The one way in which a body is written, so that a post re-sent has the very same bytes."""
    return json.dumps(payload, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode("utf-8")


def split(
    breaches: Iterable[Breach],
    *,
    max_bytes: int = MAX_BODY_BYTES,
    max_files: int = MAX_FILES,
    max_entries: int = MAX_ENTRIES,
) -> Iterator[Post]:
    """Cut `breaches` into posts, in order, each within all three bounds.

    Raises ValueError when one file with its folder exceeds `max_bytes` alone. With the default bound it
    cannot: the longest path of Windows takes 96 KiB in UTF-8.
    """
    post: list[Breach] = []
    size, files = _ENVELOPE, 0
    for piece in _pieces(breaches, max_bytes - _ENVELOPE, max_files):
        piece_size = _entry_size(piece)
        added = piece_size + (_COMMA if post else 0)
        if post and (size + added > max_bytes or files + len(piece.files) > max_files or len(post) >= max_entries):
            yield Post(tuple(post))
            post, size, files, added = [], _ENVELOPE, 0, piece_size
        post.append(piece)
        size += added
        files += len(piece.files)
    if post:
        yield Post(tuple(post))


def _pieces(breaches: Iterable[Breach], max_bytes: int, max_files: int) -> Iterator[Breach]:
    """Breaches that fit into a post alone, at most `max_bytes` as an entry."""
    for breach in breaches:
        bare = _entry_size(Breach(breach.folder, breach.sla, ()))
        files: list[LateFile] = []
        size = bare
        for file in breach.files:
            file_size = len(encode(_file(file)))
            if bare + file_size > max_bytes:
                raise ValueError(f"one file of {breach.folder!r} needs more than the {max_bytes} bytes of a post")
            added = file_size + (_COMMA if files else 0)
            if files and (size + added > max_bytes or len(files) >= max_files):
                yield Breach(breach.folder, breach.sla, tuple(files))
                files, size, added = [], bare, file_size
            files.append(file)
            size += added
        if files:
            yield Breach(breach.folder, breach.sla, tuple(files))


def _entry(breach: Breach) -> dict[str, Any]:
    return {"folder": breach.folder, "sla": breach.sla, "files": [_file(file) for file in breach.files]}


def _file(file: LateFile) -> dict[str, str]:
    return {"filename": file.filename, "creationDate": iso(file.created)}


def _entry_size(breach: Breach) -> int:
    return len(encode(_entry(breach)))
