"""Segments: what is written is read again, through rotation, deletion, cut-off lines and damage."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.unit.cli.terminal import ENVIRONMENT
from windlass.engines.embedded.segments import SegmentReader, SegmentWriter, segments_of

WEEK = 7 * 86400.0


class Entry(msgspec.Struct):
    at: float
    text: str = ""


class Time:
    """A clock that is moved by hand."""

    def __init__(self) -> None:
        self.now = 1_700_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
def writer(tmp_path: Path, time: Time) -> Iterator[SegmentWriter]:
    with closing(writing(tmp_path, time)) as made:
        yield made


def writing(folder: Path, time: Time, **limits: Any) -> SegmentWriter:
    return SegmentWriter(folder, "spans", **{"most_bytes": 1 << 20, "most_seconds": WEEK, "now": time, **limits})


def reading(folder: Path) -> SegmentReader[Entry]:
    return SegmentReader(folder, "spans", Entry, lambda entry: entry.at)


def lines(*entries: Entry) -> bytes:
    return msgspec.json.Encoder().encode_lines(entries)


def texts(entries: Any) -> list[str]:
    return [entry.text for entry in entries]


def test_what_was_written_is_read(tmp_path: Path, writer: SegmentWriter) -> None:
    assert reading(tmp_path).empty
    writer.write(lines(Entry(1, "a"), Entry(2, "b")))
    writer.write(lines(Entry(3, "c")))
    reader = reading(tmp_path)
    assert texts(reader.lines()) == ["a", "b", "c"]
    assert texts(reader.lines(2.0)) == ["b", "c"]
    assert texts(reader.newest(2, 0.0, lambda entry: True)) == ["b", "c"]
    assert texts(reader.newest(2, 0.0, lambda entry: entry.text != "c")) == ["a", "b"]
    assert not reader.empty
    assert reader.skipped == 0


def test_a_segment_is_its_owners_alone(tmp_path: Path, writer: SegmentWriter) -> None:
    writer.write(lines(Entry(1)))
    (segment,) = segments_of(tmp_path, "spans")
    assert segment.path.stat().st_mode & 0o777 == 0o600
    assert segment.path.name == f"spans-1700000000000-{os.getpid()}.jsonl"
    assert segments_of(tmp_path, "logs") == []


def test_lines_are_found_by_what_is_in_them(tmp_path: Path, writer: SegmentWriter) -> None:
    writer.write(lines(*(Entry(number, f"trace-{number}-trace-{number}.") for number in range(100))))
    reader = reading(tmp_path)
    assert [entry.at for entry in reader.lines(0.0, "trace-7-")] == [7]
    assert [entry.at for entry in reader.lines(0.0, "trace-99.", "trace-0-", "nothing")] == [0, 99]
    assert list(reader.lines(0.0, "t.*-7")) == []
    assert [entry.at for entry in reader.newest(1, 0.0, lambda entry: True, "trace-1")] == [19]


def test_a_full_or_old_segment_ends_and_the_oldest_are_deleted(tmp_path: Path, time: Time) -> None:
    with closing(writing(tmp_path, time, most_bytes=80_000)) as writer:
        for number in range(100):
            time.now += 1
            writer.write(lines(Entry(number, "x" * 2000)))
        found = segments_of(tmp_path, "spans")
        assert 5 < len(found) <= 9
        assert sum(segment.size for segment in found) <= 90_000
        kept = [entry.at for entry in reading(tmp_path).lines()]
        assert kept == [float(number) for number in range(100 - len(kept), 100)]
        time.now += 3601
        writer.write(lines(Entry(200)))
        assert segments_of(tmp_path, "spans")[-1].start == time.now


def test_what_is_too_old_is_deleted(tmp_path: Path, time: Time, writer: SegmentWriter) -> None:
    writer.write(lines(Entry(1)))
    (old,) = segments_of(tmp_path, "spans")
    os.utime(old.path, (time.now, time.now))
    time.now += WEEK + 1
    writer.write(lines(Entry(2)))
    assert [entry.at for entry in reading(tmp_path).lines()] == [2]


def test_a_segment_that_was_deleted_is_begun_anew(tmp_path: Path, writer: SegmentWriter) -> None:
    writer.write(lines(Entry(1)))
    for segment in segments_of(tmp_path, "spans"):
        segment.path.unlink()
    writer.write(lines(Entry(2)))
    assert [entry.at for entry in reading(tmp_path).lines()] == [2]


def test_newest_looks_no_further_back_than_it_must(tmp_path: Path, time: Time) -> None:
    with closing(writing(tmp_path, time, most_bytes=8 << 20)) as writer:
        for number in range(5):
            writer.write(lines(Entry(time.now, f"{number}")))
            writer.close()
            newest = segments_of(tmp_path, "spans")[-1].path
            os.utime(newest, (time.now, time.now))
            time.now += 10
    segments_of(tmp_path, "spans")[0].path.write_bytes(b"damaged\n")
    os.utime(segments_of(tmp_path, "spans")[0].path, (1_700_000_000, 1_700_000_000))
    reader = reading(tmp_path)
    assert texts(reader.newest(2, 0.0, lambda entry: True)) == ["3", "4"]
    assert reader.skipped == 0
    assert texts(reader.newest(9, 0.0, lambda entry: True)) == ["1", "2", "3", "4"]
    assert reader.skipped == 1


DAMAGE = [
    b"\x00\xff not json\n",
    b'{"at": "text"}\n',
    b'{"text": "without a time"}\n',
    b'{"at": 1e300}\n',
    b'{"at": -1}\n',
    b'{"at": 1, "text": "\xff\xfe"}\n',
    b"[" * 100_000 + b"\n",
    b"\n",
]


@pytest.mark.parametrize("damage", DAMAGE, ids=range(len(DAMAGE)))
def test_damaged_lines_are_left_out_and_counted(tmp_path: Path, writer: SegmentWriter, damage: bytes) -> None:
    writer.write(lines(Entry(1, "a")) + damage + lines(Entry(2, "b")))
    reader = reading(tmp_path)
    assert texts(reader.lines()) == ["a", "b"]
    assert reader.skipped == 1


def test_a_line_that_was_cut_off_is_not_read(tmp_path: Path, writer: SegmentWriter) -> None:
    writer.write(lines(Entry(1, "a"), Entry(2, "b"))[:-4])
    reader = reading(tmp_path)
    assert texts(reader.lines()) == ["a"]
    assert texts(reader.lines(0.0, '"b')) == []
    assert reader.skipped == 0


def test_what_is_no_segment_is_left_alone(tmp_path: Path, time: Time, writer: SegmentWriter) -> None:
    for name in ("spans-x-1.jsonl", "spans-1-1.jsonl.bak", "notes.txt", "logs-1-1.jsonl"):
        (tmp_path / name).write_text("mine\n")
    writer.write(lines(Entry(1)))
    time.now += 10 * WEEK
    writer.write(lines(Entry(2)))
    assert sorted(path.name for path in tmp_path.iterdir())[:2] == ["logs-1-1.jsonl", "notes.txt"]
    assert len(list(tmp_path.iterdir())) == 6


def test_following_shows_what_is_new_line_by_line(tmp_path: Path, time: Time, writer: SegmentWriter) -> None:
    writer.write(lines(Entry(1, "before")))
    news = reading(tmp_path).follow()
    assert news() == []
    writer.write(lines(Entry(2, "a"))[:-1])
    assert news() == []
    writer.write(b"\n" + lines(Entry(3, "b")))
    assert texts(news()) == ["a", "b"]
    time.now += 3601
    writer.write(lines(Entry(4, "c")))
    assert texts(news()) == ["c"]
    assert news() == []


def test_several_processes_write_and_one_is_killed(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path\n"
        "from windlass.engines.embedded.segments import SegmentWriter\n"
        "writer = SegmentWriter(Path(sys.argv[1]), 'spans', most_bytes=1 << 32, most_seconds=1e6)\n"
        "number = 0\n"
        "while True:\n"
        "    writer.write(b''.join(b'{\"at\":%d,\"text\":\"%s\"}\\n' % (number + n, b'x' * 200) for n in range(500)))\n"
        "    number += 500\n"
        "    if number == 50_000: print('far', flush=True)\n"
    )
    writers = [
        subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], env=ENVIRONMENT, stdout=subprocess.PIPE)
        for _ in range(2)
    ]
    for writer in writers:
        assert writer.stdout is not None
        assert writer.stdout.readline() == b"far\n"
    for writer in writers:
        writer.send_signal(signal.SIGKILL)
        writer.wait(20)
        assert writer.stdout is not None
        writer.stdout.close()
    reader = reading(tmp_path)
    seen: dict[float, int] = {}
    for entry in reader.lines():
        seen[entry.at] = seen.get(entry.at, 0) + 1
    assert reader.skipped == 0
    assert all(seen[number] == 2 for number in range(50_000))


def test_a_write_that_fails_leaves_no_half_line(tmp_path: Path) -> None:
    code = (
        "import resource, sys; from pathlib import Path\n"
        "from windlass.engines.embedded.segments import SegmentWriter\n"
        "writer = SegmentWriter(Path(sys.argv[1]), 'spans', most_bytes=1 << 26, most_seconds=1e6)\n"
        "writer.write(b'{\"at\":1}\\n')\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1000, resource.RLIM_INFINITY))\n"
        "try: writer.write(b'{\"at\":2}\\n' * 1000)\n"
        "except OSError as error: print(error.strerror)\n"
        "writer.write(b'{\"at\":3}\\n')\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)], env=ENVIRONMENT, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (0, "File too large\n"), done.stderr
    reader = reading(tmp_path)
    assert [entry.at for entry in reader.lines()] == [1, 3]
    assert reader.skipped == 0
