"""The configuration: which folders are watched, each with its SLA, and where the reports go.

A file is TOML, or JSON with the same keys when its name ends in `.json` (the PowerShell variant reads only
JSON, so one file can serve both). Reading is strict: an unknown key, a missing one, a wrong type, an SLA out
of bounds or a folder listed twice is a `ConfigError` that names the file and the key.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, NoReturn

from file_sla_collector.paths import identity, printable

SHORTEST_SLA = timedelta(minutes=20)
LONGEST_SLA = timedelta(hours=24)

# Names, not a broad `archive*`: a folder such as `archiver-input` would silently go unwatched.
DEFAULT_ARCHIVE = ("archive", "archives", "archived", "archive[-_. ]*", "archived[-_. ]*")

# Files that are still being written, or that an operating system or an editor leaves behind.
DEFAULT_IGNORE = (
    "*.tmp",
    "*.part",
    "*.partial",
    "*.filepart",
    "*.crdownload",
    "~$*",
    ".~lock.*",
    "thumbs.db",
    "desktop.ini",
    ".ds_store",
)

DEFAULT_SPOOL_POSTS = 10_000
DEFAULT_SPOOL_MIB = 256

TOP_KEYS = frozenset(
    {
        "folders",
        "url",
        "username",
        "spool",
        "spool_max_posts",
        "spool_max_mib",
        "report_again",
        "archive",
        "ignore",
    }
)
FOLDER_KEYS = frozenset({"path", "sla", "name", "recursive", "pattern", "ignore", "archive"})
_UNITS = {"d": 86_400, "h": 3_600, "m": 60, "s": 1}
_DURATION = re.compile(r"(?:[0-9]{1,9}[dhms])+", re.ASCII)
_UNUSABLE = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]")
# The API takes no longer one: the name is a key of its index.
LONGEST_NAME_BYTES = 1000


class ConfigError(Exception):
    """The configuration or the command line cannot be used; the message says where and what to write."""


@dataclass(frozen=True, slots=True)
class Folder:
    """One watched folder.

    `name` is what the API is told (the path, unless a name is given). `sla` is a whole number of minutes from
    20 minutes to 24 hours. `pattern` and `ignore` are globs for names of files, `archive` for names of
    subfolders, all without regard to case.
    """

    path: Path
    sla: timedelta
    name: str
    recursive: bool = True
    pattern: tuple[str, ...] = ("*",)
    ignore: tuple[str, ...] = DEFAULT_IGNORE
    archive: tuple[str, ...] = DEFAULT_ARCHIVE

    @property
    def sla_minutes(self) -> int:
        """The SLA in whole minutes, as the API takes it."""
        return int(self.sla.total_seconds()) // 60


@dataclass(frozen=True, slots=True)
class Config:
    """What one configuration file says. `url`, `username` and `report_again` are None when left out."""

    file: Path
    folders: tuple[Folder, ...]
    spool: Path
    url: str | None = None
    username: str | None = None
    report_again: timedelta | None = None
    spool_max_posts: int = DEFAULT_SPOOL_POSTS
    spool_max_bytes: int = DEFAULT_SPOOL_MIB * 1024 * 1024


def duration(text: str) -> timedelta:
    """Read `20m`, `2h`, `1h30m`, `60s` or `1d`. Raises ValueError for anything else, also a bare number."""
    compact = text.strip()
    if not _DURATION.fullmatch(compact):
        raise ValueError(f"{text!r} is not a duration; write for example 20m, 2h, 1h30m or 60s")
    seconds = sum(int(number) * _UNITS[unit] for number, unit in re.findall(r"([0-9]+)([dhms])", compact))
    try:
        return timedelta(seconds=seconds)
    except OverflowError as error:
        raise ValueError(f"{text!r} is too long a duration") from error


def load(file: Path) -> Config:
    """Read and check one configuration file. Raises ConfigError."""
    try:
        text = file.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise ConfigError(f"{file}: cannot be read: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{file}: is not UTF-8 (byte {error.start}); save it as UTF-8") from error
    return parse(_table(file, text), file)


def parse(table: Mapping[str, Any], file: Path) -> Config:
    """Check the table of a configuration. Relative paths start from the folder of `file`.

    Raises ConfigError.
    """
    top = _Section(file, "", table, TOP_KEYS)
    base = file.absolute().parent
    entries = top.required("folders")
    if not isinstance(entries, list) or not entries:
        top.fail("folders", "must be a list with at least one folder: [[folders]] with path and sla")
    archive = top.globs("archive", DEFAULT_ARCHIVE)
    ignore = top.globs("ignore", DEFAULT_IGNORE)
    folders = tuple(_folder(file, index, entry, base, archive, ignore) for index, entry in enumerate(entries))
    _refuse_duplicates(file, folders)
    spool = top.text("spool")
    return Config(
        file=file,
        folders=folders,
        spool=_path(spool, base) if spool is not None else base / f"{file.stem}.spool",
        url=top.text("url"),
        username=top.text("username"),
        report_again=top.duration("report_again"),
        spool_max_posts=top.count("spool_max_posts", DEFAULT_SPOOL_POSTS),
        spool_max_bytes=top.count("spool_max_mib", DEFAULT_SPOOL_MIB) * 1024 * 1024,
    )


def _table(file: Path, text: str) -> dict[str, Any]:
    try:
        if file.suffix.lower() == ".json":
            table = json.loads(text, object_pairs_hook=_no_duplicates)
        else:
            table = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, json.JSONDecodeError, _DuplicateKeyError, RecursionError) as error:
        kind = "JSON" if file.suffix.lower() == ".json" else "TOML"
        raise ConfigError(f"{file}: is not valid {kind}: {error}") from error
    if not isinstance(table, dict):
        raise ConfigError(f"{file}: must be an object with the key 'folders'")
    return table


class _DuplicateKeyError(Exception):
    pass


def _no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    table = dict(pairs)
    if len(table) < len(pairs):
        names = [name for name, _ in pairs]
        raise _DuplicateKeyError(f"the key {next(n for n in names if names.count(n) > 1)!r} is given twice")
    return table


def _path(text: str, base: Path) -> Path:
    try:
        given = Path(text).expanduser()
    except RuntimeError:
        # `~someone` whom this machine does not know: the scan will report it as unreadable.
        given = Path(text)
    return base / given


def _folder(
    file: Path, index: int, entry: object, base: Path, archive: tuple[str, ...], ignore: tuple[str, ...]
) -> Folder:
    where = f"folders[{index}]"
    if not isinstance(entry, dict):
        raise ConfigError(f"{file}: {where}: must be a table with path and sla")
    section = _Section(file, where, entry, FOLDER_KEYS)
    section.required("path")
    given = section.text("path") or ""
    path = _path(given, base)
    name = section.text("name")
    if name is None:
        name = printable(str(path))
    if len(name.encode("utf-8")) > LONGEST_NAME_BYTES:
        section.fail("name", f"must be given, and have at most {LONGEST_NAME_BYTES} bytes of UTF-8")
    return Folder(
        path=path,
        sla=section.sla(),
        name=name,
        recursive=section.flag("recursive", default=True),
        pattern=section.globs("pattern", ("*",)),
        ignore=section.globs("ignore", ignore),
        archive=section.globs("archive", archive),
    )


def _refuse_duplicates(file: Path, folders: tuple[Folder, ...]) -> None:
    paths: dict[str, int] = {}
    names: dict[str, int] = {}
    for index, folder in enumerate(folders):
        first = paths.setdefault(identity(folder.path), index)
        if first != index:
            raise ConfigError(
                f"{file}: folders[{index}].path: {folder.path} is listed already, as folders[{first}]; keep one"
            )
        first = names.setdefault(folder.name, index)
        if first != index:
            raise ConfigError(
                f"{file}: folders[{index}].name: {folder.name!r} is the name of folders[{first}] too; "
                "reports could not tell them apart"
            )


class _Section:
    """One table of the file: takes values by key and type; what it raises names the file and the key."""

    def __init__(self, file: Path, where: str, table: Mapping[str, Any], known: frozenset[str]) -> None:
        self._file = file
        self._where = where
        self._table = table
        for key in table:
            if key not in known:
                self.fail(key, f"is not a known key; the keys here are {', '.join(sorted(known))}")

    def fail(self, key: str, message: str) -> NoReturn:
        """Raise ConfigError for `key`."""
        where = f"{self._where}.{key}" if self._where else key
        raise ConfigError(f"{self._file}: {where}: {message}")

    def required(self, key: str) -> Any:
        if key not in self._table:
            self.fail(key, "is missing")
        return self._table[key]

    def text(self, key: str) -> str | None:
        if key not in self._table:
            return None
        value = self._table[key]
        if not isinstance(value, str) or not value.strip():
            self.fail(key, "must be a text that is not empty")
        if _UNUSABLE.search(value):
            # A NUL would make every system call on a path fail; no name or URL needs a control character.
            self.fail(key, "must not hold control characters or unpaired surrogates")
        return value

    def flag(self, key: str, *, default: bool) -> bool:
        value = self._table.get(key, default)
        if not isinstance(value, bool):
            self.fail(key, "must be true or false")
        return value

    def count(self, key: str, default: int) -> int:
        value = self._table.get(key, default)
        if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= 1_000_000:
            self.fail(key, "must be a whole number from 1 to 1000000")
        return value

    def globs(self, key: str, default: tuple[str, ...]) -> tuple[str, ...]:
        if key not in self._table:
            return default
        value = self._table[key]
        globs = [value] if isinstance(value, str) else value
        if not isinstance(globs, list) or not all(isinstance(g, str) and g for g in globs):
            self.fail(key, 'must be a glob such as "*.csv", or a list of them')
        for glob in globs:
            if "/" in glob or "\\" in glob:
                self.fail(key, f"{glob!r} holds a path separator; globs are compared with names, not with paths")
        if key == "pattern" and not globs:
            self.fail(key, 'is empty, so that no file would be checked; leave it out or write ["*"]')
        return tuple(globs)

    def duration(self, key: str) -> timedelta | None:
        value = self.text(key)
        if value is None:
            return None
        try:
            return duration(value)
        except ValueError as error:
            self.fail(key, str(error))

    def sla(self) -> timedelta:
        value = self.required("sla")
        if isinstance(value, int) and not isinstance(value, bool):
            try:
                sla = timedelta(minutes=value)
            except OverflowError:
                sla = timedelta.max
        elif isinstance(value, str):
            sla = self.duration("sla") or timedelta(0)
        else:
            self.fail("sla", 'must be a duration such as "20m" or "2h", or a whole number of minutes')
        if not SHORTEST_SLA <= sla <= LONGEST_SLA:
            self.fail("sla", f"{value!r} is out of bounds; an SLA is from 20m to 24h")
        if sla.total_seconds() % 60:
            self.fail("sla", f"{value!r} is not a whole number of minutes")
        return sla
