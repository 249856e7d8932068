"""Turns to write: one at a time, over threads, processes and kills."""

import subprocess
import sys
import threading
from pathlib import Path

import pytest

from windlass.engines.embedded.store import Insert, Store
from windlass.engines.embedded.turn import Turn
from windlass.errors import EngineUnavailable

_HOLDER = """
import sys
from pathlib import Path
from windlass.engines.embedded.turn import Turn
turn = Turn(Path(sys.argv[1]))
turn.take()
print("taken", flush=True)
sys.stdin.read()
"""


def test_who_waits_goes_on_as_soon_as_the_holder_is_killed(tmp_path: Path) -> None:
    path = tmp_path / "turn"
    with subprocess.Popen(
        [sys.executable, "-c", _HOLDER, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"taken\n"
        mine, got = Turn(path), threading.Event()

        def wait() -> None:
            mine.take()
            got.set()

        threading.Thread(target=wait, daemon=True).start()
        assert not got.wait(0.05)
        holder.kill()
        assert got.wait(10)
    mine.give()
    mine.close()


def test_stores_of_one_state_write_by_turns_and_lose_nothing(tmp_path: Path) -> None:
    path = tmp_path / "state.sqlite"
    stores = [Store(path, turn=Turn(tmp_path / "turn")) for _ in range(2)]
    with stores[0].write() as db:
        db.execute("create table counted (n integer not null)")
        db.execute("insert into counted values (0)")
    stores[0].flush()

    def count(store: Store) -> None:
        for _ in range(200):
            with store.atomic() as db:
                db.execute("update counted set n = n + 1")
            store.give_way()
        store.flush()

    threads = [threading.Thread(target=count, args=(store,)) for store in stores]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert stores[0].read_one("select n from counted") == (400,)
    for store in stores:
        store.close()


def test_what_is_deferred_holds_nobody_up_until_it_is_committed(tmp_path: Path) -> None:
    path = tmp_path / "state.sqlite"
    first, second = (Store(path, turn=Turn(tmp_path / "turn")) for _ in range(2))
    with first.write() as db:
        db.execute("create table noted (text text not null)")
    first.flush()
    told: list[object] = []
    first.defer(Insert("insert into noted values", 1), [("a",), ("b",)])
    first.after_commit(told.append)
    assert first.dirty
    assert told == []
    second.execute("insert into noted values ('c')")  # it would wait for ever if the first had begun to write
    second.flush()
    first.flush()
    assert told == [None]
    assert sorted(second.read("select text from noted")) == [("a",), ("b",), ("c",)]
    for store in (first, second):
        store.close()


def test_what_is_deferred_can_be_read_after_apply_and_is_gone_with_a_lost_transaction(tmp_path: Path) -> None:
    store = Store(tmp_path / "state.sqlite")
    store.execute("create table noted (text text not null unique)")
    store.flush()
    store.defer(Insert("insert into noted values", 1), [("a",)])
    store.apply()
    assert store.read("select text from noted") == [("a",)]
    store.flush()
    told: list[object] = []
    store.defer(Insert("insert into noted values", 1), [("b",), ("a",)])  # the second breaks the rule of the table
    store.after_commit(told.append)
    lost = store.mark()
    with pytest.raises(EngineUnavailable) as raised:
        store.flush()
    assert told == [raised.value]
    assert store.mark() == lost + 1
    assert store.read("select text from noted") == [("a",)], "all of it or none"
    store.close()


def test_who_has_deferred_rows_that_a_savepoint_undid_is_told(tmp_path: Path) -> None:
    store = Store(tmp_path / "state.sqlite")
    store.execute("create table noted (text text not null)")
    store.flush()
    told: list[object] = []
    store.defer(Insert("insert into noted values", 1), [("others",)])
    store.after_commit(told.append)

    def write_and_fail() -> None:
        with store.atomic() as db:
            db.execute("insert into noted values ('mine')")
            store.apply()
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        write_and_fail()
    store.flush()
    assert [type(error) for error in told] == [EngineUnavailable], "never an answer for what is not stored"
    assert store.read("select text from noted") == []
    store.close()


@pytest.mark.parametrize("number", [1, 4, 63, 64, 65, 149])
def test_any_number_of_rows_is_inserted_in_order(tmp_path: Path, number: int) -> None:
    store = Store(tmp_path / "state.sqlite")
    store.execute("create table noted (seq integer primary key autoincrement, n integer, text text)")
    insert = Insert("insert into noted (n, text) values", 2)
    store.defer(insert, [(n, str(n)) for n in range(number)])
    store.flush()
    assert store.read("select seq - 1, n, cast(text as integer) from noted order by seq") == [
        (n, n, n) for n in range(number)
    ]
    store.close()
