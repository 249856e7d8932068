"""The file of a backup: a zip with the state, its key, and a manifest.

It is made by `backup`, and read as if an enemy had made it: nothing is extracted by the name that stands in the file,
nothing is read beyond the size that it may have, and what is restored is what the manifest's digests say. The digests
find damage; they do not tell who made the file. Who can change a backup can make one with keys of their own, so it is
to be kept like the key that it holds.

A zip rather than a tar: its directory is at the end and is no larger than the file, where the headers of a compressed
tar can each unpack to as much as they like.
"""

from __future__ import annotations

import hashlib
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import BinaryIO, Self

import msgspec

from windlass.errors import HomeError

__all__ = ["FORMAT", "KEY", "MANIFEST", "STATE", "Archive", "Manifest", "Member", "add"]

FORMAT = 1
MANIFEST, STATE, KEY = "manifest.json", "state.sqlite", "master.key"

_MOST_MANIFEST = 65_536
_KEY_BYTES = 32
_CHUNK = 1 << 20
# Deflate makes at most 1,032 bytes of one (https://zlib.net/zlib_tech.html).
_MOST_RATIO = 1_100
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
# What zipfile raises for bytes that are no zip, or one that it cannot read.
_UNREADABLE = (zipfile.BadZipFile, zlib.error, EOFError, ValueError, NotImplementedError, RuntimeError, OverflowError)


class Member(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A file in the backup: its size in bytes, and its SHA-256 in hexadecimal."""

    size: int
    sha256: str


class Manifest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a backup says of itself. `format` is the version of this very form, `state` that of the database, `time`
    when it was made (ISO 8601, UTC); `files` has `state.sqlite` and `master.key`."""

    format: int
    windlass: str
    state: int
    namespace: str
    time: str
    files: Mapping[str, Member]


def add(archive: zipfile.ZipFile, name: str, source: BinaryIO) -> Member:
    """Writes `source` into the archive as `name`."""
    digest, size = hashlib.sha256(), 0
    info = zipfile.ZipInfo(name)
    info.compress_type = zipfile.ZIP_DEFLATED
    info.external_attr = 0o600 << 16
    with archive.open(info, "w", force_zip64=True) as target:
        while chunk := source.read(_CHUNK):
            digest.update(chunk)
            size += len(chunk)
            target.write(chunk)
    return Member(size, digest.hexdigest())


class Archive:
    """A backup that is read. Raises HomeError for a file that is none, or is damaged."""

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            self._zip = zipfile.ZipFile(path)
        except OSError as error:
            raise HomeError(f"{path} cannot be read: {error.strerror}\n  fix: give a file that you may read") from error
        except _UNREADABLE as error:
            raise _damaged(path, str(error)) from error
        try:
            self.manifest = _manifest(self._zip, path)
        except _UNREADABLE as error:
            self._zip.close()
            raise _damaged(path, str(error)) from error
        except BaseException:
            self._zip.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *raised: object) -> None:
        self._zip.close()

    def copy(self, name: str, target: BinaryIO) -> None:
        """Writes the file `name` to `target`. Raises HomeError, having written no more than the manifest allows, when
        it is not what the manifest says."""
        known = self.manifest.files[name]
        digest, left = hashlib.sha256(), known.size
        try:
            with self._zip.open(name) as source:
                while left >= 0 and (chunk := source.read(min(_CHUNK, left + 1))):
                    left -= len(chunk)
                    digest.update(chunk)
                    if left >= 0:
                        target.write(chunk)
        except _UNREADABLE as error:
            raise _damaged(self._path, f"{name}: {error}") from error
        if left != 0 or digest.hexdigest() != known.sha256:
            raise _damaged(self._path, f"{name} is not what the manifest says")


def _manifest(archive: zipfile.ZipFile, path: Path) -> Manifest:
    entries = archive.infolist()
    names = [entry.filename for entry in entries]
    if sorted(names) != sorted([MANIFEST, STATE, KEY]):
        shown = ", ".join(sorted(repr(name[:60]) for name in names)[:5])
        raise HomeError(
            f"{path} is no backup of Windlass: it holds {len(names)} files ({shown}), and not {MANIFEST}, {STATE} and "
            f"{KEY}\n  fix: give a file that `windlass backup` has made"
        )
    for entry in entries:
        if entry.compress_type not in _METHODS or entry.flag_bits & 0x1:
            raise _damaged(path, f"{entry.filename} is encrypted, or compressed in a way that no backup is")
    with archive.open(MANIFEST) as source:
        text = source.read(_MOST_MANIFEST + 1)
    if len(text) > _MOST_MANIFEST:
        raise _damaged(path, "its manifest is too long")
    try:
        manifest = msgspec.json.decode(text, type=Manifest)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        form = _form(text)
        if form is not None and form > FORMAT:
            raise HomeError(
                f"{path} was made by a newer Windlass (format {form}, this one reads {FORMAT})\n"
                f"  fix: restore it with the newer version"
            ) from error
        raise _damaged(path, f"its manifest cannot be read: {error}") from error
    if manifest.format != FORMAT:
        raise HomeError(
            f"{path} has the format {manifest.format}, and this Windlass reads {FORMAT}\n"
            f"  fix: restore it with the Windlass that made it"
        )
    packed = path.stat().st_size
    if set(manifest.files) != {STATE, KEY} or manifest.files[KEY].size != _KEY_BYTES:
        raise _damaged(path, "its manifest does not name a state and a key")
    if not 0 < manifest.files[STATE].size <= packed * _MOST_RATIO:
        raise _damaged(path, f"its state cannot have {manifest.files[STATE].size} bytes")
    return manifest


def _form(text: bytes) -> int | None:
    """The format of a manifest that this version cannot read, as far as it tells."""

    class Form(msgspec.Struct):
        format: int

    try:
        return msgspec.json.decode(text, type=Form).format
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None


def _damaged(path: Path, why: str) -> HomeError:
    return HomeError(f"{path} is damaged, or no backup: {why}\n  fix: take another backup")
