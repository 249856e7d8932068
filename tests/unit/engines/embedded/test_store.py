"""The store: group commit, what a failed commit tells and leaves, and state that survives kill -9."""

import os
import resource
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from windlass.engines.embedded.store import Store
from windlass.errors import EngineUnavailable, HomeError

LARGE = "zeroblob(300000)"


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = Store(tmp_path / "state.sqlite")
    with opened.write() as db:
        db.execute("create table items (n integer primary key, body)")
    opened.flush()
    yield opened
    opened.close()


def insert(store: Store, n: int, body: str = "null") -> None:
    with store.write() as db:
        db.execute(f"insert into items values (?, {body})", (n,))


def insert_and_fail(store: Store, n: int) -> None:
    with store.atomic() as db:
        db.execute("insert into items values (?, null)", (n,))
        raise ValueError("no")


def numbers(path: Path) -> list[int]:
    """What another connection sees: only what is committed."""
    with sqlite3.connect(path) as db:
        found = [row[0] for row in db.execute("select n from items order by n")]
    db.close()
    return found


@contextmanager
def full_disk() -> Iterator[None]:
    """Files of this process cannot grow past 64 KiB inside: a commit that is larger fails as on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (65_536, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


# Committing


def test_those_who_wait_are_told_when_it_is_durable(store: Store) -> None:
    told: list[Any] = []
    insert(store, 1)
    store.after_commit(told.append)
    insert(store, 2)
    store.after_commit(told.append)
    assert told == []
    assert numbers(store.path) == []
    assert [row[0] for row in store.read("select n from items order by n")] == [1, 2]
    store.flush()
    assert told == [None, None]
    assert numbers(store.path) == [1, 2]


def test_with_nothing_open_one_is_told_at_once(store: Store) -> None:
    told: list[Any] = []
    store.after_commit(told.append)
    assert told == [None]
    store.flush()
    assert told == [None]


def test_a_block_that_raises_is_undone_and_no_more(store: Store) -> None:
    insert(store, 1)
    with pytest.raises(ValueError, match="no"):
        insert_and_fail(store, 2)
    with store.atomic() as outer:
        outer.execute("insert into items values (3, null)")
        with pytest.raises(ValueError, match="no"):
            insert_and_fail(store, 4)
    store.flush()
    assert numbers(store.path) == [1, 3]


def test_threads_share_their_commits(store: Store) -> None:
    told: list[Any] = []

    def write(first: int) -> None:
        for n in range(first, first + 50):
            insert(store, n)
            store.after_commit(told.append)
            store.flush()

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(write, range(0, 400, 50)))
    assert numbers(store.path) == list(range(400))
    assert told == [None] * 400


def test_changes_of_another_process_are_seen(store: Store) -> None:
    before = store.changes()
    insert(store, 1)
    store.flush()
    assert store.changes() == before
    with sqlite3.connect(store.path) as db:
        db.execute("insert into items values (2, null)")
    db.close()
    assert store.changes() != before


def test_a_closed_store_has_committed_and_takes_nothing(store: Store) -> None:
    insert(store, 1)
    store.close()
    assert numbers(store.path) == [1]
    with pytest.raises(EngineUnavailable, match="stopping"):
        insert(store, 2)
    store.close()


# A full disk


def test_a_failed_commit_tells_all_who_wait_and_stores_nothing(store: Store) -> None:
    told: list[Any] = []
    insert(store, 1)
    store.after_commit(told.append)
    insert(store, 2, LARGE)
    store.after_commit(told.append)
    with full_disk(), pytest.raises(EngineUnavailable, match="cannot be written now"):
        store.flush()
    assert [type(error) for error in told] == [EngineUnavailable, EngineUnavailable]
    assert store.read("select * from items") == []
    insert(store, 3)
    store.after_commit(told.append)
    store.flush()
    assert told[2] is None
    assert numbers(store.path) == [3]


def test_a_statement_that_finds_no_room_is_refused(store: Store) -> None:
    told: list[Any] = []
    with store.write() as db:
        pages = db.execute("pragma page_count").fetchone()[0]
        db.execute(f"pragma max_page_count = {pages + 2}")
    store.flush()
    insert(store, 1)
    store.after_commit(told.append)
    with pytest.raises(EngineUnavailable, match="full"):
        insert(store, 2, LARGE)
    with pytest.raises(EngineUnavailable, match="full"), store.atomic() as db:
        db.execute(f"insert into items values (3, null), (4, {LARGE})")
    store.flush()
    # Whether SQLite kept the open transaction is its own affair: what was told must be true.
    assert numbers(store.path) == ([1] if told == [None] else [])
    insert(store, 5)
    store.flush()
    assert numbers(store.path)[-1] == 5


def test_who_asks_after_the_loss_is_told_of_it(store: Store) -> None:
    told: list[Any] = []
    mark = store.mark()
    insert(store, 1, LARGE)

    def flush() -> None:
        with full_disk(), pytest.raises(EngineUnavailable):
            store.flush()

    other = threading.Thread(target=flush)
    other.start()
    other.join()
    store.after_commit(told.append, mark)
    assert numbers(store.path) == []
    with pytest.raises(EngineUnavailable, match="lost"), store.write(mark):
        pytest.fail("nothing is written on top of what is lost")
    assert [type(error) for error in told] == [EngineUnavailable]


# What cannot be opened


@pytest.mark.parametrize("content", [b"not a database" * 100, b"SQLite format 3\x00" + b"\xff" * 4096])
def test_a_damaged_file_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "state.sqlite"
    path.write_bytes(content)
    with pytest.raises(HomeError, match=r"cannot be used as state(?s:.)*fix: restore it from a backup"):
        Store(path)
    assert path.read_bytes() == content


def test_the_state_of_a_newer_version_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "state.sqlite"
    with sqlite3.connect(path) as db:
        db.execute("pragma user_version = 99")
    db.close()
    with pytest.raises(HomeError, match=r"newer Windlass \(state version 99(?s:.)*fix: run the newer version"):
        Store(path)


def test_a_path_that_is_a_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(HomeError):
        Store(tmp_path)


# kill -9

WRITER = """
import sys, threading
from pathlib import Path
from windlass.engines.embedded.store import Store

store = Store(Path(sys.argv[1]), durability=sys.argv[2])
lock = threading.Lock()

def acknowledge(n):
    def call(error):
        with lock:
            if error is None:
                print(n, flush=True)
    return call

def write(first):
    for n in range(first, 10**9, 4):
        with store.atomic() as db:
            db.execute("insert into items values (?, ?)", (n, "half"))
            db.execute("update items set body = 'whole' where n = ?", (n,))
        store.after_commit(acknowledge(n))
        store.flush()

for first in range(4):
    threading.Thread(target=write, args=(first,)).start()
"""


@pytest.mark.parametrize("durability", ["process", "full"])
def test_what_was_acknowledged_survives_kill_9(store: Store, durability: str) -> None:
    store.close()
    writer = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(store.path), durability],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    )
    assert writer.stdout is not None
    with writer:
        acknowledged = [int(writer.stdout.readline()) for _ in range(300)]
        os.kill(writer.pid, signal.SIGKILL)
        # What it printed before it died counts as well; its last line may be torn.
        rest = writer.stdout.read()
        acknowledged += [int(line) for line in rest.splitlines(keepends=True) if line.endswith("\n")]
    assert writer.returncode == -signal.SIGKILL
    reopened = Store(store.path)
    rows: dict[int, str] = dict(reopened.read("select n, body from items"))
    reopened.close()
    assert set(acknowledged) <= set(rows)
    assert set(rows.values()) == {"whole"}
