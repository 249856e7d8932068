"""Damage and a full disk, done to a server that runs: it serves what is whole, says what to do, and loses nothing."""

from __future__ import annotations

import json
import os
import random
import resource
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.up import Up
from windlass import System
from windlass.engines.embedded.backup import backup, restore
from windlass.engines.embedded.engine import EmbeddedEngine
from windlass.engines.embedded.namespace import Namespace
from windlass.engines.embedded.store import Insert, Store
from windlass.errors import EngineUnavailable
from windlass.ports.queue import Outgoing

PAGE = 4096
PATIENCE = 20.0
OPTIONS = ("--no-reload",)

DESK = """
from dataclasses import dataclass

from windlass import System


@dataclass
class Note:
    id: str
    text: str


desk = System("desk")
notes = desk.table("notes", Note, key="id")
others = desk.table("others", Note, key="id")
jobs = desk.queue("jobs", Note, max_attempts=100)
api = desk.api("api")


@api.put("/notes", uses=[notes.put], max_body=1_000_000)
def put_note(body: Note) -> None:
    notes.put(body)


@api.get("/notes/{id}", uses=[notes.get])
def get_note(id: str) -> Note | None:
    return notes.get(id)


@api.put("/others", uses=[others.put])
def put_other(body: Note) -> None:
    others.put(body)


@api.get("/others/{id}", uses=[others.get])
def get_other(id: str) -> Note | None:
    return others.get(id)


@api.post("/jobs", status=202, uses=[jobs.send])
def send(body: Note) -> None:
    jobs.send(body)


@jobs.consumer(uses=[others.put])
def work(note: Note) -> None:
    others.put(note)
"""


@pytest.fixture
def desk(tmp_path: Path) -> Path:
    (tmp_path / "desk").mkdir()
    (tmp_path / "desk" / "system.py").write_text(DESK)
    return tmp_path / "desk"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


@pytest.fixture
def state(home: Path) -> Path:
    return home / "default" / "state.sqlite"


def eventually(holds: Callable[[], bool], seconds: float = PATIENCE) -> None:
    end, pause = time.monotonic() + seconds, threading.Event()
    while not holds():
        assert time.monotonic() < end, "it did not happen"
        pause.wait(0.05)


def put(up: Up, name: str, text: str, kind: str = "notes") -> int:
    return up.http.put(f"/desk/{kind}", json={"id": name, "text": text}).status_code


def get(up: Up, name: str, kind: str = "notes") -> tuple[int, str | None]:
    answer = up.http.get(f"/desk/{kind}/{name}")
    found = answer.json() if answer.status_code == 200 and answer.content else None
    return answer.status_code, None if found is None else found["text"]


def spoil(state: Path, marker: str) -> int:
    """Overwrites the page that holds `marker`, which stands in one; returns its offset."""
    content = state.read_bytes()
    assert content.count(marker.encode()) == 1
    start = content.index(marker.encode()) // PAGE * PAGE
    with state.open("r+b") as file:
        file.seek(start)
        file.write(b"\xa5" * PAGE)
    return start


def filled(desk: Path, home: Path) -> list[str]:
    """A run that stores 200 notes, each with a marker of its own, and one thing elsewhere; returns their names."""
    names = [f"n{number}" for number in range(200)]
    with Up(desk, home=home, options=OPTIONS) as up:
        for name in names:
            assert put(up, name, f"marker-of-{name}-" + "x" * 1000) == 200
        assert put(up, "o", "whole", "others") == 200
        assert up.stop() == 0
    return names


def count_beside(state: Path) -> int:
    with closing(sqlite3.connect(state)) as db:
        number: int = db.execute("select count(*) from beside").fetchone()[0]
    return number


# A page is overwritten


def test_what_is_not_hit_is_served_and_the_backup_brings_back_the_rest(
    desk: Path, home: Path, state: Path, tmp_path: Path
) -> None:
    names = filled(desk, home)
    backup(home, "default", tmp_path / "b.zip")
    with Up(desk, home=home, options=OPTIONS) as up:
        start = spoil(state, "marker-of-n100-")
        spoilt = b"\xa5" * PAGE
        answers = {name: get(up, name) for name in names}
        served = [name for name, (status, _) in answers.items() if status == 200]
        assert all(answers[name][1] == f"marker-of-{name}-" + "x" * 1000 for name in served)
        refused = {name: status for name, (status, _) in answers.items() if status != 200}
        assert "n100" in refused
        assert set(refused.values()) == {503}
        assert len(refused) <= 5, "a page holds no more"
        problem = up.http.get("/desk/notes/n100")
        assert problem.headers["content-type"] == "application/problem+json"
        assert problem.headers["retry-after"] == "1"
        assert problem.json()["detail"] == "the service cannot do this now; try again"
        assert not any(word in problem.text for word in ("sqlite", "malformed", str(home)))
        # Everything else is read and written, and messages are delivered.
        assert get(up, "o", "others") == (200, "whole")
        assert put(up, "p", "written beside", "others") == 200
        assert up.http.post("/desk/jobs", json={"id": "j", "text": "done"}).status_code == 202
        eventually(lambda: get(up, "j", "others") == (200, "done"))
        assert put(up, "n100", "over it") == 503
        told = [json.loads(line)["message"] for line in up.log().splitlines()]
        [line] = [line for line in told if "What lies in the damaged part" in line]
        assert "fix: stop the server and restore the last good backup with `windlass restore FILE --force`" in line
        assert up.process.poll() is None
        assert up.stop() == 0
    with state.open("rb") as file:
        file.seek(start)
        assert file.read(PAGE) == spoilt, "nothing is written over what is damaged"
    restore(home, "default", tmp_path / "b.zip", force=True)
    with Up(desk, home=home, options=OPTIONS) as up:
        assert {name: get(up, name) for name in names} == {
            name: (200, f"marker-of-{name}-" + "x" * 1000) for name in names
        }


@pytest.mark.parametrize(
    "ruin",
    [
        pytest.param(lambda content: b"\xa5" * PAGE + content[PAGE:], id="page"),
        pytest.param(lambda content: b"\0" * 100 + content[100:], id="header"),
        pytest.param(lambda content: content[:100] + b"\xa5" * (PAGE - 100) + content[PAGE:], id="schema"),
        pytest.param(lambda content: content[: PAGE * 3], id="cut off"),
    ],
)
def test_a_state_that_cannot_be_opened_is_refused(
    desk: Path, home: Path, state: Path, ruin: Callable[[bytes], bytes]
) -> None:
    filled(desk, home)
    ruined = ruin(state.read_bytes())
    state.write_bytes(ruined)
    done = subprocess.run(
        [sys.executable, "-m", "windlass", "up", str(desk), "--home", str(home), "--port", "0"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr.splitlines()[-2].startswith("error: ")
    assert "fix: restore " in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr
    assert state.read_bytes() == ruined


@dataclass
class Job:
    name: str


class Post:
    """Two queues, of which `left` is to be damaged."""

    def __init__(self, home: Path) -> None:
        self.home, self.done = home, set[str]()
        self.system = System("post")
        for name in ("left", "right"):
            queue = self.system.queue(name, Job, max_attempts=1)
            queue.consumer()(self._consumer(name))

    def _consumer(self, name: str) -> Callable[[Job], None]:
        def work(job: Job) -> None:
            self.done.add(job.name)

        work.__name__ = f"work_{name}"
        return work

    @contextmanager
    def engine(self) -> Iterator[EmbeddedEngine]:
        engine = EmbeddedEngine(Namespace(self.home), [self.system])
        try:
            engine.prepare()
            yield engine
        finally:
            engine.stop()


def send(engine: EmbeddedEngine, queue: str, *names: str) -> None:
    engine.systems["post"].ports[queue].send(
        [Outgoing(f'{{"name":"{name}"{" " * 1500}}}'.encode(), None) for name in names]
    )
    engine.namespace.store.flush()


def test_the_pump_goes_on_beside_a_damaged_queue_and_stays_cool(
    home: Path, state: Path, caplog: pytest.LogCaptureFixture
) -> None:
    post = Post(home)
    with post.engine() as engine:
        send(engine, "left", *(f"left-{number}-" for number in range(100)))
        send(engine, "right", *(f"right-{number}-" for number in range(20)))
    with post.engine() as engine:
        spoil(state, '"left-50-"')
        with closing(sqlite3.connect(state)) as db:  # so that the server reads the file again
            db.execute("create table beside (n)")
        engine.start()
        rights = {f"right-{number}-" for number in range(20)}
        eventually(lambda: rights <= post.done)
        eventually(lambda: "work cannot be claimed" in caplog.text)
        send(engine, "right", "more-")
        eventually(lambda: "more-" in post.done)
        began = time.process_time()
        assert not threading.Event().wait(3)
        assert time.process_time() - began < 1, "it must not loop"
        left = engine.systems["post"].ports["left"]
        with pytest.raises(EngineUnavailable, match="damaged"):
            left.peek(100, dead=False)
    assert caplog.text.count("What lies in the damaged part") == 1
    assert caplog.text.count("work cannot be claimed") < 20
    # No message that could be read has used up an attempt without having been handled.
    with closing(sqlite3.connect(state)) as db:
        assert db.execute('select count(*) from "q.post.right"').fetchone() == (0,)
        seqs = [number + 1 for number in range(100) if f"left-{number}-" not in post.done]
        for seq in seqs:
            try:
                row = db.execute('select dead, attempts from "q.post.left" where seq = ?', (seq,)).fetchone()
            except sqlite3.DatabaseError:
                continue  # in the damaged page
            assert row == (0, 0)


def test_a_damaged_index_makes_one_sender_fail_and_not_who_writes_beside(home: Path, state: Path) -> None:
    post = Post(home)
    with post.engine() as engine:
        engine.namespace.store.execute("create table beside (n integer primary key)")
        engine.namespace.store.flush()
        with closing(sqlite3.connect(state)) as db:
            [page] = db.execute("select rootpage from sqlite_schema where name = 'q.post.left.visible'").fetchone()
    with state.open("r+b") as file:
        file.seek((page - 1) * PAGE)
        file.write(b"\xa5" * PAGE)
    store = Store(state)
    head = 'insert into "q.post.left" (id, body, visible, sent) values'
    sql, insert = f"{head} (?, ?, ?, ?)", Insert(head, 4)
    damaged = 'select visible from "q.post.left" indexed by "q.post.left.visible" where dead = 0 and visible > 0'
    told: list[EngineUnavailable | None] = []
    # The first who meets it takes the transaction with it: SQLite commits none in which that happened.
    store.execute("insert into beside values (1)")
    store.after_commit(told.append)
    store.defer(insert, [("a", b"", 0.0, 0.0)])
    with pytest.raises(EngineUnavailable, match="the state is damaged"):
        store.flush()
    assert [type(error) for error in told] == [EngineUnavailable]
    # From then on, everybody stands alone.
    meets: list[Callable[[], object]] = [
        lambda: store.defer(insert, [("a", b"", 0.0, 0.0)]),
        lambda: store.execute(sql, ("a", b"", 0.0, 0.0)),
        lambda: store.read(damaged),
        lambda: store.read_one(damaged),
    ]
    for number, meet in enumerate(meets):
        told.clear()
        mark = store.mark()
        store.execute("insert into beside values (?)", (number + 2,))
        store.after_commit(told.append, mark)
        with pytest.raises(EngineUnavailable, match="the state is damaged"):
            meet()
        store.flush()
        assert told == [None]
        assert store.mark() == mark, "nothing of the others was lost"
    assert store.read("select n from beside") == [(2,), (3,), (4,), (5,)]

    def two_that_belong_together() -> None:
        with store.atomic() as db:
            db.execute("insert into beside values (6)")
            db.execute(sql, ("a", b"", 0.0, 0.0))

    with pytest.raises(EngineUnavailable, match="damaged"):
        two_that_belong_together()
    store.close()
    assert count_beside(state) == 4


# The disk is full


@contextmanager
def full_disk(up: Up, size: int) -> Iterator[None]:
    """Inside, no file of the server grows past `size` bytes."""
    before = resource.prlimit(up.process.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(up.process.pid, resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.prlimit(up.process.pid, resource.RLIMIT_FSIZE, before)


def test_a_full_disk_refuses_loses_nothing_and_goes_on_when_there_is_room(desk: Path, home: Path) -> None:
    text = "x" * 50_000
    stored: dict[str, bool] = {}
    with Up(desk, home=home, options=OPTIONS) as up:
        assert put(up, "before", text) == 200
        with full_disk(up, 512 * 1024):
            for number in range(30):
                answer = up.http.put("/desk/notes", json={"id": f"n{number}", "text": text})
                assert answer.status_code in (200, 503)
                stored[f"n{number}"] = answer.status_code == 200
                if answer.status_code == 503:
                    assert int(answer.headers["retry-after"]) >= 1
                    assert not any(word in answer.text for word in ("sqlite", "disk", str(home)))
            assert not any(list(stored.values())[-15:]), "the disk is full"
            assert get(up, "before") == (200, text), "what is there is read"
            assert up.http.post("/desk/jobs", json={"id": "lost", "text": text}).status_code == 503
        assert up.http.post("/desk/jobs", json={"id": "kept", "text": "delivered"}).status_code == 202
        assert put(up, "after", text) == 200
        eventually(lambda: get(up, "kept", "others") == (200, "delivered"))
        assert {name: get(up, name)[1] == text for name in stored} == stored
        assert up.log().count("nothing that was acknowledged is lost") == 1
        up.kill()
    with Up(desk, home=home, options=OPTIONS) as up:
        assert {name: get(up, name)[1] == text for name in stored} == stored
        assert get(up, "after") == get(up, "before") == (200, text)
        assert get(up, "lost", "others") == (200, None)


def test_deliveries_wait_for_room(home: Path) -> None:
    post = Post(home)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    with post.engine() as engine:
        send(engine, "right", *(f"right-{number}-" for number in range(300)))
        resource.setrlimit(resource.RLIMIT_FSIZE, (65_536, hard))
        try:
            engine.start()
            # A claim that cannot be stored does not run: it would run again after the loss.
            assert not threading.Event().wait(1.5)
            assert post.done == set()
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        eventually(lambda: len(post.done) == 300)


# The files beside the state, while nothing runs


def killed(desk: Path, home: Path, count: int = 60) -> list[str]:
    """A run that acknowledges notes and is killed; returns their names."""
    names = [f"n{number}" for number in range(count)]
    up = Up(desk, home=home, options=OPTIONS)
    for name in names:
        assert put(up, name, f"marker-of-{name}-") == 200
    up.kill()
    return names


@pytest.mark.parametrize("harm", ["removed", "garbage", "empty"])
def test_the_shared_memory_file_is_made_anew(desk: Path, home: Path, state: Path, harm: str) -> None:
    names = killed(desk, home)
    shm = state.with_name("state.sqlite-shm")
    if harm == "removed":
        shm.unlink()
    else:
        shm.write_bytes(random.Random(1).randbytes(shm.stat().st_size) if harm == "garbage" else b"")
    with Up(desk, home=home, options=OPTIONS) as up:
        assert [get(up, name)[1] for name in names] == [f"marker-of-{name}-" for name in names]
        assert put(up, "more", "and more") == 200


@pytest.mark.parametrize("share", [0.3, 0.6, 0.9])
@pytest.mark.parametrize("harm", ["cut off", "flipped"])
def test_a_damaged_log_ends_at_the_damage(desk: Path, home: Path, state: Path, harm: str, share: float) -> None:
    names = killed(desk, home)
    wal = state.with_name("state.sqlite-wal")
    content = wal.read_bytes()
    place = max(int(len(content) * share), content.index(b"marker-of-n0-"))
    flipped = content[:place] + bytes([content[place] ^ 0xFF]) + content[place + 1 :]
    wal.write_bytes(content[:place] if harm == "cut off" else flipped)
    with Up(desk, home=home, options=OPTIONS) as up:
        found = [get(up, name)[1] for name in names]
        kept = sum(text is not None for text in found)
        assert found == [f"marker-of-{name}-" if number < kept else None for number, name in enumerate(names)]
        assert put(up, "more", "and more") == 200
        assert get(up, "more") == (200, "and more")
        assert up.stop() == 0
    with closing(sqlite3.connect(state)) as db:
        assert db.execute("pragma integrity_check").fetchone() == ("ok",)


def test_without_the_log_the_state_is_that_of_the_last_checkpoint(desk: Path, home: Path, state: Path) -> None:
    names = filled(desk, home)
    killed(desk, home, 3)
    state.with_name("state.sqlite-wal").unlink()
    with Up(desk, home=home, options=OPTIONS) as up:
        assert [get(up, name)[0] for name in names] == [200] * len(names)
        assert get(up, "n150") == (200, "marker-of-n150-" + "x" * 1000)
        assert put(up, "more", "and more") == 200
        assert up.stop() == 0
    with closing(sqlite3.connect(state)) as db:
        assert db.execute("pragma integrity_check").fetchone() == ("ok",)
    assert not os.path.lexists(f"{state}-wal")
