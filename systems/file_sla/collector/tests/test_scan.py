from __future__ import annotations

import itertools
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aged_file import AgedFile
from file_sla_collector.config import Folder
from file_sla_collector.paths import LONGEST_NAME, identity, printable, shortened
from file_sla_collector.scan import MOST_UNREADABLE, created_at, scan
from hand_clock import START
from hypothesis_settings import fixed_examples

HOUR = timedelta(hours=1)


def late(folder: Folder, listed: tuple[Path, ...] = ()) -> list[str]:
    found = scan(folder, START, listed=frozenset(map(identity, listed)))
    assert not found.unreadable
    return [file.filename for file in found.breach.files] if found.breach else []


def watch(path: Path, **more: object) -> Folder:
    return Folder(path, HOUR, "orders", **more)  # type: ignore[arg-type]


def test_only_files_older_than_the_sla_are_late_the_oldest_first(tmp_path: Path, aged: AgedFile) -> None:
    aged(tmp_path / "new.csv", 1)
    aged(tmp_path / "exactly.csv", 60)
    aged(tmp_path / "late.csv", 61)
    aged(tmp_path / "later.csv", 600)
    found = scan(watch(tmp_path), START)
    assert found.breach is not None
    assert (found.breach.folder, found.breach.sla) == ("orders", 60)
    assert [(f.filename, f.created) for f in found.breach.files] == [
        ("later.csv", START - timedelta(minutes=600)),
        ("late.csv", START - timedelta(minutes=61)),
    ]
    assert (found.checked, found.unreadable) == (4, ())


def test_nothing_late_is_no_breach(tmp_path: Path) -> None:
    assert scan(watch(tmp_path), START).breach is None


def test_archives_are_left_out_at_every_depth(tmp_path: Path, aged: AgedFile) -> None:
    for name in ("Archive", "archived", "archive-2025", "ARCHIVES", "sub/archive"):
        aged(tmp_path / name / "deep" / "old.csv", 600)
    aged(tmp_path / "archiver-input" / "stuck.csv", 600)
    aged(tmp_path / "archive.csv", 600)
    aged(tmp_path / "sub" / "stuck.csv", 600)
    assert sorted(late(watch(tmp_path))) == ["archive.csv", "archiver-input/stuck.csv", "sub/stuck.csv"]
    assert sorted(late(watch(tmp_path, archive=("sub", "arch*")))) == ["archive.csv"]


def test_a_listed_archive_is_watched_because_it_is_listed(tmp_path: Path, aged: AgedFile) -> None:
    aged(tmp_path / "archive" / "old.csv", 600)
    assert late(watch(tmp_path / "archive")) == ["old.csv"]


def test_subfolders_only_when_recursive(tmp_path: Path, aged: AgedFile) -> None:
    aged(tmp_path / "sub" / "old.csv", 600)
    assert late(watch(tmp_path)) == ["sub/old.csv"]
    assert late(watch(tmp_path, recursive=False)) == []


def test_a_subfolder_with_an_entry_of_its_own_is_left_to_it(tmp_path: Path, aged: AgedFile) -> None:
    aged(tmp_path / "in" / "old.csv", 600)
    aged(tmp_path / "in" / "slow" / "old.csv", 600)
    listed = (tmp_path / "in", tmp_path / "in" / "slow")
    assert late(watch(tmp_path / "in"), listed) == ["old.csv"]
    assert late(watch(tmp_path / "in" / "slow"), listed) == ["old.csv"]


def test_patterns_and_ignored_names_without_regard_to_case(tmp_path: Path, aged: AgedFile) -> None:
    for name in ("a.csv", "b.CSV", "c.txt", "d.csv.tmp", "~$e.csv", "Thumbs.db", "f.Part"):
        aged(tmp_path / name, 600)
    assert sorted(late(watch(tmp_path))) == ["a.csv", "b.CSV", "c.txt"]
    assert sorted(late(watch(tmp_path, pattern=("*.Csv",)))) == ["a.csv", "b.CSV"]
    assert sorted(late(watch(tmp_path, pattern=("[!a].csv", "*.tmp"), ignore=()))) == ["b.CSV", "d.csv.tmp"]


def test_links_are_neither_followed_nor_reported(tmp_path: Path, aged: AgedFile) -> None:
    outside = aged(tmp_path / "outside" / "old.csv", 600)
    inside = tmp_path / "in"
    inside.mkdir()
    (inside / "to-file").symlink_to(outside)
    (inside / "to-folder").symlink_to(outside.parent)
    (inside / "to-nothing").symlink_to(tmp_path / "none")
    (inside / "to-itself").symlink_to(inside / "to-itself")
    (inside / "up").symlink_to(inside)
    assert late(watch(inside)) == []


def test_the_listed_folder_may_be_a_link(tmp_path: Path, aged: AgedFile) -> None:
    aged(tmp_path / "real" / "old.csv", 600)
    (tmp_path / "link").symlink_to(tmp_path / "real")
    assert late(watch(tmp_path / "link")) == ["old.csv"]


def test_what_is_no_file_is_not_checked(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    os.utime(tmp_path / "pipe", (0, 0))
    assert late(watch(tmp_path)) == []


@pytest.mark.parametrize(
    ("name", "reason"),
    [("none", "No such file or directory"), ("file", "Not a directory"), ("x" * 300, "File name too long")],
)
def test_an_unreadable_folder_is_told_of(tmp_path: Path, aged: AgedFile, name: str, reason: str) -> None:
    aged(tmp_path / "file", 600)
    found = scan(watch(tmp_path / name), START)
    assert found.breach is None
    (unreadable,) = found.unreadable
    assert (unreadable.folder, unreadable.path) == ("orders", str(tmp_path / name))
    assert unreadable.reason == reason


def test_an_unreadable_subfolder_does_not_hide_the_rest(tmp_path: Path, aged: AgedFile) -> None:
    aged(tmp_path / "closed" / "old.csv", 600)
    aged(tmp_path / "open" / "old.csv", 600)
    aged(tmp_path / "old.csv", 600)

    def refusing(path: str) -> os._ScandirIterator[str]:
        if path.endswith("closed"):
            raise PermissionError(13, "Permission denied")
        return os.scandir(path)

    found = scan(watch(tmp_path), START, list_folder=refusing)
    assert found.breach is not None
    assert sorted(file.filename for file in found.breach.files) == ["old.csv", "open/old.csv"]
    assert [(u.path, u.reason) for u in found.unreadable] == [(str(tmp_path / "closed"), "Permission denied")]


class ClosedEntry:
    """A file whose times may not be read, as on some network shares."""

    name = "closed.csv"

    def is_file(self, *, follow_symlinks: bool) -> bool:
        return True

    def stat(self, *, follow_symlinks: bool) -> os.stat_result:
        raise PermissionError(13, "Permission denied")


def test_an_unreadable_file_does_not_hide_the_rest(tmp_path: Path, aged: AgedFile) -> None:
    aged(tmp_path / "old.csv", 600)

    @contextmanager
    def with_closed(path: str) -> Iterator[Iterator[os.DirEntry[str]]]:
        with os.scandir(path) as listing:
            yield itertools.chain([cast("os.DirEntry[str]", ClosedEntry())], listing)

    found = scan(watch(tmp_path), START, list_folder=with_closed)
    assert found.breach is not None
    assert [u.path for u in found.unreadable] == [str(tmp_path / "closed.csv")]


def test_very_many_unreadable_paths_are_counted(tmp_path: Path) -> None:
    @contextmanager
    def all_closed(path: str) -> Iterator[Iterator[os.DirEntry[str]]]:
        yield iter([cast("os.DirEntry[str]", ClosedEntry())] * (MOST_UNREADABLE + 7))

    found = scan(watch(tmp_path), START, list_folder=all_closed)
    assert len(found.unreadable) == MOST_UNREADABLE + 1
    assert found.unreadable[-1].reason == "and 7 more paths below it"


def test_a_listing_that_breaks_off_keeps_what_it_gave(tmp_path: Path, aged: AgedFile) -> None:
    aged(tmp_path / "old.csv", 600)

    @contextmanager
    def breaking(path: str) -> Iterator[Iterator[os.DirEntry[str]]]:
        def entries() -> Iterator[os.DirEntry[str]]:
            with os.scandir(path) as listing:
                yield from listing
            raise OSError(5, "Input/output error")

        yield entries()

    found = scan(watch(tmp_path), START, list_folder=breaking)
    assert found.breach is not None
    assert [u.reason for u in found.unreadable] == ["Input/output error"]


def test_what_vanishes_while_it_is_looked_at_is_no_error(tmp_path: Path, aged: AgedFile) -> None:
    moved = aged(tmp_path / "moved.csv", 600)
    aged(tmp_path / "stays.csv", 600)
    (tmp_path / "gone").mkdir()
    (tmp_path / "replaced").mkdir()

    @contextmanager
    def changing(path: str) -> Iterator[Iterator[os.DirEntry[str]]]:
        if path != str(tmp_path):
            Path(path).rmdir()
        if path.endswith("replaced"):
            aged(Path(path), 600)
        with os.scandir(path) as listing:
            entries = list(listing)
        moved.unlink()
        yield iter(entries)

    found = scan(watch(tmp_path), START, list_folder=changing)
    assert found.breach is not None
    assert [file.filename for file in found.breach.files] == ["stays.csv"]
    assert found.unreadable == ()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["replaced", "stays.csv"]


@pytest.mark.skipif(sys.platform != "linux", reason="only here are names arbitrary bytes")
def test_names_that_are_no_text_become_text(tmp_path: Path) -> None:
    names = [b"caf\xe9.csv", "日本\n語.csv".encode(), b'q"uo\\te', b"\x1b[31m.csv", b"\xed\xa0\x80"]
    for name in names:
        path = os.fsencode(tmp_path) + b"/" + name
        os.close(os.open(path, os.O_CREAT | os.O_WRONLY))
        os.utime(path, (1, 1))
    found = late(watch(tmp_path))
    assert sorted(found) == sorted([r"caf\xe9.csv", "日本\n語.csv", 'q"uo\\te', "\x1b[31m.csv", r"\xed\xa0\x80"])
    for text in found:
        assert text.encode("utf-8")


def test_a_name_that_is_text_stays_as_it_is() -> None:
    assert printable("é日本🙂") == "é日本🙂"


def test_a_long_name_is_shortened_and_stays_one_of_a_kind(tmp_path: Path, aged: AgedFile) -> None:
    deep = tmp_path.joinpath(*["d" * 200] * 6)
    for name in ("1" + "x" * 200, "2" + "x" * 200):
        aged(deep / name, 600)
    first, second = late(watch(tmp_path))
    assert first != second
    assert max(len(first), len(second)) <= LONGEST_NAME
    assert first.startswith("d" * 200 + "/")
    assert first.endswith("x" * 200)


@fixed_examples
@given(st.text(max_size=3000))
def test_no_name_is_longer_than_the_api_takes(name: str) -> None:
    assert len(shortened(name)) <= LONGEST_NAME
    assert shortened(name) == name or len(name) > LONGEST_NAME


def test_a_deep_tree_is_walked(tmp_path: Path, aged: AgedFile) -> None:
    aged(tmp_path.joinpath(*["d"] * 200, "old"), 600)
    assert late(watch(tmp_path)) == ["d/" * 200 + "old"]


@dataclass
class Times:
    st_mtime_ns: int = 5_000_000_123


@dataclass
class TimesWithBirth(Times):
    st_birthtime: float = 3.5
    st_ctime: float = 9.0


@dataclass
class TimesWithChange(Times):
    st_ctime: float = 7.25


def test_the_creation_time_counts_where_there_is_one() -> None:
    def at(seconds: float) -> datetime:
        return datetime.fromtimestamp(seconds, UTC)

    assert created_at(TimesWithBirth(), "darwin") == at(3.5)
    assert created_at(TimesWithBirth(), "win32") == at(3.5)
    assert created_at(TimesWithChange(), "win32") == at(7.25)
    # On POSIX, st_ctime is the last change of the inode, a chmod for example, and says nothing on the age.
    assert created_at(TimesWithChange(), "linux") == at(5)
    assert created_at(Times(), "linux") == at(5)


@fixed_examples
@given(st.integers(-(2**62), 2**62))
def test_a_time_beyond_the_calendar_becomes_its_end(seconds: int) -> None:
    created = created_at(Times(seconds * 1_000_000_000), "linux")
    assert created.tzinfo is UTC
    assert datetime.min.replace(tzinfo=UTC) <= created <= datetime.max.replace(tzinfo=UTC)


def test_a_file_from_the_future_is_not_late(tmp_path: Path, aged: AgedFile) -> None:
    aged(tmp_path / "new.csv", -600)
    assert late(watch(tmp_path)) == []
