"""Metrics in SQLite: by the minute and of all time, of several processes, and after damage."""

from __future__ import annotations

import logging
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.unit.cli.terminal import ENVIRONMENT
from windlass.dispatch.metrics import Deltas, Distribution, series
from windlass.engines.embedded.metric_store import MetricStore
from windlass.errors import EngineUnavailable

CREATED = series("requests", system="shop", handler="create")
READ = series("requests", system="shop", handler="read")
OTHER = series("requests", system="desk", handler="create")


def of(*values: float) -> Distribution:
    made = Distribution()
    made.add(values)
    return made


def deltas(*found: tuple[int, tuple[str, tuple[tuple[str, str], ...]], Distribution]) -> Deltas:
    return {(minute, name): distribution for minute, name, distribution in found}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "telemetry" / "metrics.sqlite"


@pytest.fixture
def store(path: Path) -> Iterator[MetricStore]:
    with closing(MetricStore(path)) as store:
        yield store


def test_a_window_merges_all_series_that_carry_the_labels(store: MetricStore) -> None:
    store.merge(deltas((100, CREATED, of(1, 2)), (100, READ, of(5)), (102, CREATED, of(7)), (100, OTHER, of(9))))
    first, nothing, third = store.window("requests", {"system": "shop"}, 100, 3)
    assert first is not None
    assert (first.count, first.total, first.least, first.greatest) == (3, 8, 1, 5)
    assert nothing is None
    assert third is not None
    assert third.total == 7
    [both] = store.window("requests", {}, 100, 1)
    assert both is not None
    assert both.total == 17
    assert store.window("requests", {"system": "nobody"}, 100, 2) == [None, None]
    assert store.window("nothing", {}, 100, 1) == [None]


def test_percentiles_survive_being_stored(store: MetricStore) -> None:
    store.merge(deltas((1, CREATED, of(*range(1, 51)))))
    store.merge(deltas((1, CREATED, of(*range(51, 101)))))
    [found] = store.window("requests", {}, 1, 1)
    assert found is not None
    assert found.percentile(50) == pytest.approx(50, rel=0.06)
    assert found.percentile(100) == 100


def test_steps_hold_several_minutes(store: MetricStore) -> None:
    store.merge(deltas((60, CREATED, of(1)), (64, CREATED, of(2)), (65, CREATED, of(4))))
    [(found, steps)] = store.listing("requests", {}, 60, 7, 5).items()
    assert found == CREATED
    assert [step and step.total for step in steps] == [3, 4]


def test_totals_stay_when_minutes_are_removed(store: MetricStore, path: Path) -> None:
    store.merge(deltas((100, CREATED, of(1)), (200, CREATED, of(2))))
    assert store.latest_minute() == 200
    assert store.remove_before(150) == 1
    assert store.window("requests", {}, 100, 1) == [None]
    store.close()
    with closing(MetricStore(path)) as again:
        again.merge(deltas((300, CREATED, of(4))))
        assert again.totals()[CREATED].total == 7
        assert again.names() == ["requests"]
        assert path.stat().st_mode & 0o777 == 0o600


def test_the_oldest_minutes_go_when_the_file_is_too_large(path: Path) -> None:
    with closing(MetricStore(path, most_bytes=200_000)) as store:
        many = [series("operations", resource=f"r{number}") for number in range(100)]
        for minute in range(100):
            store.merge({(minute, one): of(*range(1, 20)) for one in many})
        assert store.remove_before(0) > 1000
        assert store.window("operations", {}, 0, 1) == [None]
        [newest] = store.window("operations", {}, 99, 1)
        assert newest is not None
        assert newest.count == 1900
        assert store.totals()[many[0]].count == 1900
        assert path.stat().st_size < 1_000_000


def test_several_processes_write_at_once(path: Path) -> None:
    code = (
        "import sys; from pathlib import Path\n"
        "from windlass.dispatch.metrics import Distribution, series\n"
        "from windlass.engines.embedded.metric_store import MetricStore\n"
        "store, one = MetricStore(Path(sys.argv[1])), Distribution()\n"
        "one.add([1.0])\n"
        "for number in range(100): store.merge({(number % 3, series('n', a=str(number % 5))): one})\n"
        "store.close()\n"
    )
    writers = [subprocess.Popen([sys.executable, "-c", code, str(path)], env=ENVIRONMENT) for _ in range(3)]
    assert [writer.wait(60) for writer in writers] == [0, 0, 0]
    with closing(MetricStore(path)) as store:
        assert sum(total.count for total in store.totals().values()) == 300
        assert sum(found.count for found in store.window("n", {}, 0, 3) if found is not None) == 300


@pytest.mark.parametrize("spoil", ["text", "version", "columns"])
def test_a_damaged_file_is_moved_aside(path: Path, caplog: pytest.LogCaptureFixture, spoil: str) -> None:
    path.parent.mkdir()
    if spoil == "text":
        path.write_bytes(b"this is not a database" * 1000)
    else:
        with closing(sqlite3.connect(path)) as db:
            if spoil == "version":
                db.execute("pragma user_version = 99")
            else:
                db.execute("create table series (id)")
                db.execute("pragma user_version = 1")
            db.commit()
    with caplog.at_level(logging.WARNING), closing(MetricStore(path)) as store:
        store.merge(deltas((1, CREATED, of(1))))
        assert store.totals()[CREATED].count == 1
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "metrics begin anew" in caplog.text
    assert path.with_name("metrics.sqlite.damaged").exists()


def test_a_damaged_row_does_not_stop_what_comes_after_it(store: MetricStore, path: Path) -> None:
    store.merge(deltas((1, CREATED, of(1))))
    with closing(sqlite3.connect(path)) as db:
        db.execute("update minutes set buckets = x'ff'")
        db.commit()
    store.merge(deltas((1, CREATED, of(2))))
    assert store.totals()[CREATED].total == 2


def test_a_file_that_was_removed_is_begun_anew(store: MetricStore, path: Path) -> None:
    store.merge(deltas((1, CREATED, of(1))))
    for file in path.parent.iterdir():
        file.unlink()
    store.merge(deltas((2, CREATED, of(1))))
    with closing(MetricStore(path, read_only=True)) as reader:
        assert reader.totals()[CREATED].count == 1


def test_who_only_reads_leaves_a_damaged_file_alone(path: Path) -> None:
    path.parent.mkdir()
    path.write_bytes(b"this is not a database" * 1000)
    with closing(MetricStore(path, read_only=True)) as store, pytest.raises(EngineUnavailable, match="cannot be used"):
        store.totals()
    assert [file.name for file in path.parent.iterdir()] == ["metrics.sqlite"]


def test_what_cannot_be_stored_is_said(tmp_path: Path) -> None:
    (tmp_path / "telemetry").write_text("a file, where a folder should be")
    with closing(MetricStore(tmp_path / "telemetry" / "metrics.sqlite")) as store:
        with pytest.raises(EngineUnavailable, match="cannot be used now"):
            store.merge(deltas((1, CREATED, of(1))))
        (tmp_path / "telemetry").unlink()
        store.merge(deltas((1, CREATED, of(1))))
