from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

import pytest

from file_sla_collector.memory import Memory
from file_sla_collector.scan import Breach, LateFile
from file_sla_collector.spool import write_whole
from hand_clock import START

HOUR = timedelta(hours=1)


def memory(folder: Path, interval: timedelta = HOUR) -> Memory:
    return Memory(folder / "reported.json", interval, write_whole)


def breach(*names: str, sla: int = 20, created: datetime = START) -> Breach:
    return Breach("in", sla, tuple(LateFile(name, created) for name in names))


def test_an_unchanged_breach_is_held_back_until_the_interval_is_over(tmp_path: Path) -> None:
    memory(tmp_path).remember([breach("a")], START)
    assert memory(tmp_path).fresh([breach("a")], START + HOUR - timedelta(seconds=1)) == []
    assert memory(tmp_path).fresh([breach("a")], START + HOUR) == [breach("a")]


def test_only_what_is_new_is_left_of_a_folder(tmp_path: Path) -> None:
    memory(tmp_path).remember([breach("a")], START)
    assert memory(tmp_path).fresh([breach("a", "b")], START) == [breach("b")]


def test_a_changed_breach_is_reported(tmp_path: Path) -> None:
    memory(tmp_path).remember([breach("a")], START)
    for changed in (
        breach("a", sla=30),
        breach("a", created=START + HOUR),
        Breach("out", 20, breach("a").files),
    ):
        assert memory(tmp_path).fresh([changed], START) == [changed]


def test_what_was_reported_stays_known_while_more_is_reported(tmp_path: Path) -> None:
    memory(tmp_path).remember([breach("a")], START)
    memory(tmp_path).remember([breach("b")], START + timedelta(minutes=30))
    assert memory(tmp_path).fresh([breach("a", "b")], START + timedelta(minutes=59)) == []
    assert memory(tmp_path).fresh([breach("a", "b")], START + timedelta(minutes=61)) == [breach("a")]


def test_what_is_over_is_forgotten_on_disk_too(tmp_path: Path) -> None:
    memory(tmp_path).remember([breach("a")], START)
    memory(tmp_path).remember([breach("b")], START + HOUR)
    assert b'"a"' not in (tmp_path / "reported.json").read_bytes()


def test_a_clock_that_was_set_back_silences_nothing(tmp_path: Path) -> None:
    memory(tmp_path).remember([breach("a")], START)
    assert memory(tmp_path).fresh([breach("a")], START - timedelta(days=1)) == [breach("a")]


def test_without_an_interval_nothing_is_held_back_or_written(tmp_path: Path) -> None:
    every_time = memory(tmp_path, timedelta(0))
    every_time.remember([breach("a")], START)
    assert every_time.fresh([breach("a")], START) == [breach("a")]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xff",
        b"[]",
        b"{}",
        b'{"version":1,"reported":[[1]]}',
        b'{"version":9,"reported":[]}',
        b'{"version":1,"reported":[["in",20,"a","x","2026-03-01T12:00:00"]]}',
        pytest.param(b"[" * 100_000, id="deep"),
    ],
)
def test_a_memory_that_cannot_be_read_is_no_memory(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "reported.json").write_bytes(content)
    assert memory(tmp_path).fresh([breach("a")], START) == [breach("a")]
