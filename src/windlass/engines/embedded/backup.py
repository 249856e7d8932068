"""Backup and restore of a namespace.

A backup is a snapshot: SQLite's backup interface copies the database within one read transaction, which in WAL mode
holds up no writer, so the copy has what was committed when it began and nothing of what came later. The copy is
checked before the file gets its name. It may be made while a server runs, and of a state that an older Windlass has
written, which it does not migrate.

A restore builds the whole folder beside the namespace's and gives it its name at the end. So the namespace is as it
was, or as in the backup, and never between. Where old state has to give way there is a moment with no folder of that
name; a process that dies in it leaves `.NAME.restoring` behind, with which nothing starts until the restore is run
again. Nothing in the state depends on the namespace's name.
"""

from __future__ import annotations

import os
import re
import shutil
import sqlite3
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import BinaryIO

import msgspec

from windlass.engines.embedded.archive import FORMAT, KEY, MANIFEST, STATE, Archive, Manifest, add
from windlass.engines.embedded.lock import Lock
from windlass.engines.embedded.migrations import SCHEMA_VERSION, state_version
from windlass.engines.embedded.namespace import folder, restoring
from windlass.errors import HomeError
from windlass.ports.clock import Clock, SystemClock, from_epoch, iso

__all__ = ["backup", "restore"]

_LOCK = "lock"
_PASSING = {_LOCK, "turn", "throttles"}
_OURS = {STATE, KEY, "telemetry"}
_WAIT_SECONDS = 10.0
_KEY_BYTES = 32


def backup(home: Path, name: str, file: Path, *, force: bool = False, clock: Clock | None = None) -> Manifest:
    """Writes a backup of a namespace to `file`, which with `force` may replace one that is there. Raises HomeError,
    with `file` as it was, when there is no state, when that is damaged, and when the file cannot be written."""
    path = folder(home, name)
    if not (path / STATE).is_file():
        raise HomeError(f"there is no state in {path}\n  fix: say where the state is, with --home and --namespace")
    if file.is_symlink() or (file.exists() and not file.is_file()):
        raise HomeError(f"{file} is not a regular file\n  fix: give the name of a file that may be made or replaced")
    if not force and file.exists():
        raise _exists(file)
    with _named_by("written", file), _workshop(file) as workshop:
        made = iso((clock or SystemClock()).now())
        key = _key(path)
        state = _copied(path / STATE, workshop / STATE)
        if _key(path) != key:
            raise HomeError(f"{path} was replaced while it was copied\n  fix: run it again")
        try:
            windlass = version("windlass")
        except PackageNotFoundError:
            windlass = "a source tree"
        packed = workshop / "packed"
        with _made(packed) as target:
            with zipfile.ZipFile(target, "w") as archive:
                (workshop / KEY).write_bytes(key)
                files = {}
                for member in (STATE, KEY):
                    with (workshop / member).open("rb") as source:
                        files[member] = add(archive, member, source)
                manifest = Manifest(FORMAT, windlass, state, name, made, files)
                archive.writestr(MANIFEST, msgspec.json.format(msgspec.json.encode(manifest), indent=2))
            _to_disk(target)
        _give_name(packed, file, force=force)
        _folder_to_disk(file.absolute().parent)
    return manifest


def restore(
    home: Path, name: str, file: Path, *, force: bool = False, clock: Clock | None = None, wait: float = _WAIT_SECONDS
) -> tuple[Manifest, Path | None]:
    """Puts the state of the backup `file` in the place of a namespace's. Returns the backup's manifest and, with
    `force`, where the state that was there has been moved. Raises HomeError, with everything as it was, when a server
    or (for longer than `wait` seconds) a command has the namespace open, when there is state and no `force`, and when
    the file is damaged or made by a newer Windlass."""
    path, build = folder(home, name), restoring(home, name)
    with Archive(file) as archive, _named_by("used for state", path):
        manifest = archive.manifest
        if manifest.state > SCHEMA_VERSION:
            raise HomeError(
                f"{file} holds state of a newer Windlass ({manifest.windlass}, state version {manifest.state}; this "
                f"one reads {SCHEMA_VERSION})\n  fix: restore it with the newer version"
            )
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        with Lock.acquire(path / _LOCK, "windlass restore") as held:
            occupied = _occupied(path, force=force)
            shutil.rmtree(build, ignore_errors=True)  # what one that was cut off has left
            build.mkdir(mode=0o700)
            try:
                _unpack(archive, file, build)
                with Lock.acquire(build / _LOCK, "windlass restore") as held_too:
                    if sys.platform == "win32":  # a folder with an open file in it cannot be renamed there
                        held.release()
                        held_too.release()
                    aside = _exchange(path, build, home, clock or SystemClock(), occupied=occupied, wait=wait)
            except BaseException:
                if path.exists():
                    shutil.rmtree(build, ignore_errors=True)
                raise
        _folder_to_disk(home)
    return manifest, aside


# ---- the database


def _copied(source: Path, target: Path) -> int:
    """Copies what is committed in the database `source`; returns the state's version. Raises HomeError when it is
    damaged, or of a newer Windlass."""
    os.close(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    number = state_version(source)
    uri = f"{source.absolute().as_uri()}?mode=rw"
    try:
        with (
            closing(sqlite3.connect(uri, uri=True, isolation_level=None, timeout=_WAIT_SECONDS)) as db,
            closing(sqlite3.connect(target, isolation_level=None)) as copy,
        ):
            db.execute("begin")
            db.execute("select count(*) from sqlite_schema").fetchone()  # waits here, where it gives up after a while
            db.backup(copy)
            copy.execute("pragma journal_mode = delete")
            fault = _fault(copy)
    except sqlite3.DatabaseError as error:
        fault = str(error)
    if fault is not None:
        raise HomeError(
            f"{source} cannot be backed up: {fault}\n"
            f"  fix: if the disk is full, make room; if the state is damaged, stop the server and restore the last "
            f"good backup with `windlass restore`"
        )
    return number


def _fault(db: sqlite3.Connection) -> str | None:
    """What is wrong with a database, None when nothing is."""
    db.execute("pragma trusted_schema = off")
    db.execute("pragma cell_size_check = on")
    told = db.execute("pragma integrity_check(1)").fetchone()[0]
    if told != "ok":
        return f"it is damaged: {' '.join(told.split())}"
    orphan = db.execute("pragma foreign_key_check").fetchone()
    return None if orphan is None else f"it is damaged: a row of {orphan[0]!r} refers to one that is missing"


def _unpack(archive: Archive, file: Path, build: Path) -> None:
    """Writes state and key of a backup to the folder `build`, and checks them."""
    size, free = archive.manifest.files[STATE].size, shutil.disk_usage(build).free
    if size > free:
        raise HomeError(f"{file} holds {size:,} bytes of state, and {build.parent} has room for {free:,}")
    for member in (STATE, KEY):
        with _made(build / member) as target:
            archive.copy(member, target)
            _to_disk(target)
    try:
        with closing(sqlite3.connect(build / STATE, isolation_level=None)) as db:
            fault = _fault(db)
            number = db.execute("pragma user_version").fetchone()[0]
            # Such would run with every statement; Windlass makes none.
            strange = db.execute(
                "select type, name from sqlite_schema "
                "where type not in ('table', 'index') or sql like 'create virtual%'"
            ).fetchone()
    except sqlite3.DatabaseError as error:
        fault, number, strange = str(error), 0, None
    if fault is None and number != archive.manifest.state:
        fault = f"its state has the version {number}, and its manifest says {archive.manifest.state}"
    if fault is None and strange is not None:
        fault = f"its state has a {strange[0]} {strange[1]!r}, which Windlass never makes"
    if fault is not None:
        raise HomeError(f"{file} cannot be restored: {fault}\n  fix: take another backup")


# ---- the folder


def _occupied(path: Path, *, force: bool) -> bool:
    """Whether there is something in the namespace's folder that has to give way."""
    names = {child.name for child in path.iterdir()} - _PASSING
    if names and not names & _OURS:
        raise HomeError(
            f"{path} holds files, and none of them is state of Windlass\n"
            f"  fix: give the folder of the state with --home, and the namespace in it with --namespace"
        )
    if names and not force:
        raise HomeError(
            f"{path} holds state already\n"
            f"  fix: restore into another namespace, with --namespace; or move this state aside, with --force"
        )
    return bool(names)


def _exchange(path: Path, build: Path, home: Path, clock: Clock, *, occupied: bool, wait: float) -> Path | None:
    """Gives `build` the name `path`; returns where what was there is now."""
    aside = None
    if occupied:
        _check_unused(path / STATE, wait)
        aside = _aside(path, clock)
        path.rename(aside)
    else:
        shutil.rmtree(path)  # a lock, and nothing else
    _folder_to_disk(build)
    try:
        build.rename(path)
    except OSError as error:
        was = f"; the state that was there is in {aside}" if aside else ""
        raise HomeError(
            f"{path} was made by another process meanwhile{was}\n  fix: stop that process and restore again"
        ) from error
    return aside


def _aside(path: Path, clock: Clock) -> Path:
    time = from_epoch(clock.now()).strftime("%Y%m%dT%H%M%SZ")
    aside, number = path.with_name(f"{path.name}.before-restore-{time}"), 1
    while aside.exists():
        number += 1
        aside = path.with_name(f"{path.name}.before-restore-{time}-{number}")
    return aside


def _check_unused(state: Path, wait: float) -> None:
    """Refuses to move a database that a command has open, which does not take the namespace's lock. Closing it here
    leaves no write-ahead log."""
    if not state.is_file():
        return
    try:
        with closing(sqlite3.connect(state, isolation_level=None, timeout=wait)) as db:
            db.execute("pragma locking_mode = exclusive")
            db.execute("begin exclusive")
    except sqlite3.DatabaseError as error:
        if error.sqlite_errorcode & 0xFF in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
            raise HomeError(
                f"another process has {state} open\n  fix: wait until the other `windlass` command has ended"
            ) from error
        # It is damaged, which is why it is replaced.


# ---- files


def _exists(file: Path) -> HomeError:
    return HomeError(f"{file} is there already\n  fix: give another name, or replace it with --force")


def _key(path: Path) -> bytes:
    key = (path / KEY).read_bytes()
    if len(key) != _KEY_BYTES:
        raise HomeError(f"{path / KEY} is not a master key: it has {len(key)} bytes, not {_KEY_BYTES}")
    return key


@contextmanager
def _named_by(used: str, path: Path) -> Iterator[None]:
    """Tells what the operating system refuses in words."""
    try:
        yield
    except OSError as error:
        raise HomeError(
            f"{path} cannot be {used}: {error.strerror}"
            f"{f' ({error.filename})' if error.filename else ''}\n  fix: give a place with room that you may write to"
        ) from error


@contextmanager
def _workshop(file: Path) -> Iterator[Path]:
    """A folder beside `file`, on the same disk, for its owner only; gone at the end."""
    made = Path(tempfile.mkdtemp(prefix=f".{re.sub(r'[^A-Za-z0-9._-]', '_', file.name)[:100]}.", dir=file.parent))
    try:
        yield made
    finally:
        shutil.rmtree(made, ignore_errors=True)


def _give_name(made: Path, file: Path, *, force: bool) -> None:
    if not force:
        try:
            os.link(made, file)  # unlike a rename, this never replaces what is there
            return
        except FileExistsError:
            raise _exists(file) from None
        except OSError:
            if file.exists():  # a disk without hard links
                raise _exists(file) from None
    made.replace(file)


def _made(path: Path) -> BinaryIO:
    """A new file for its owner only."""
    return os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600), "w+b")


def _to_disk(file: BinaryIO) -> None:
    file.flush()
    os.fsync(file.fileno())


def _folder_to_disk(path: Path) -> None:
    """Makes the names in a folder survive a power loss."""
    if sys.platform == "win32":  # folders cannot be opened there
        return
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
