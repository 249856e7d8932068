"""States of older versions: `version_1.sql` is what the first Windlass left, and goes on to work."""

from __future__ import annotations

import base64
import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from windlass import System
from windlass.engines.embedded.backup import backup, restore
from windlass.engines.embedded.idempotency import EmbeddedIdempotency
from windlass.engines.embedded.lock import Lock
from windlass.engines.embedded.migrations import SCHEMA_VERSION, migrate, state_version
from windlass.engines.embedded.namespace import Namespace
from windlass.engines.embedded.store import Store
from windlass.errors import Conflict, HomeError
from windlass.ports.clock import ManualClock
from windlass.ports.idempotency import Fresh, Seen

DUMP = (Path(__file__).parent / "version_1.sql").read_text(encoding="utf-8")
START = datetime(2024, 6, 12, 9, 0, tzinfo=UTC)


@dataclass
class Job:
    name: str


def post(done: list[str]) -> System:
    """What wrote the dump, as it is declared today."""
    system = System("post")
    users = system.user_pool("users", sign_in="username", groups=["staff"])
    table = system.table("done", Job, key="name")
    jobs = system.queue("jobs", Job, delay=timedelta(minutes=1))
    letters = system.queue("letters", Job, fifo=True)
    system.secret("key")
    system.mailer("mails", sender="post@example.com")
    api = system.api("api", auth=users)

    @jobs.consumer(uses=[table.put])
    def work(job: Job) -> None:
        done.append(job.name)

    @letters.consumer(uses=[table.put])
    def carry(job: Job) -> None:
        done.append(job.name)

    @system.schedule("hourly", every=timedelta(hours=1)).task()
    def strike() -> None:
        done.append("strike")

    @api.get("/me", uses=[table.get])
    def me() -> str:
        return "me"

    return system


def write_version_1(folder: Path) -> Path:
    folder.mkdir(mode=0o700, parents=True)
    key = re.search(r"^-- master.key \(base64\): (\S+)$", DUMP, re.MULTILINE)
    assert key is not None
    (folder / "master.key").write_bytes(base64.b64decode(key[1]))
    state = folder / "state.sqlite"
    with closing(sqlite3.connect(state)) as db:
        db.executescript(DUMP)
        db.execute("pragma journal_mode = wal")
    return state


@pytest.fixture
def home(tmp_path: Path) -> Path:
    write_version_1(tmp_path / "home" / "default")
    return tmp_path / "home"


@pytest.fixture
def state(home: Path) -> Path:
    return home / "default" / "state.sqlite"


def dump(path: Path) -> list[str]:
    with closing(sqlite3.connect(path)) as db:
        return [*db.iterdump(), str(db.execute("pragma user_version").fetchone()[0])]


def columns(path: Path, table: str) -> list[str]:
    with closing(sqlite3.connect(path)) as db:
        return [row[1] for row in db.execute(f"pragma table_info({table})")]


# What the first version wrote


def test_everything_goes_on(home: Path) -> None:
    done: list[str] = []
    system = post(done)
    with system.run_embedded(home, clock_start=START) as app:
        pool = app.user_pool("users")
        tokens = pool.sign_in("ada", "correct horse battery")
        assert pool.verify(tokens.access_token)["cognito:groups"] == ["staff"]
        with pytest.raises(Conflict):
            pool.create_user("ada", "another horse battery")
        assert app.secret("key").read() == "s3cret"
        [mail] = app.outbox
        assert (mail.subject, mail.text) == ("Hello", "Ada")
        assert app.get("/me", as_user="bea").status == 200
        app.settle()
        assert done == ["first"]
        app.advance(timedelta(minutes=1))
        assert done == ["first", "waits"]
        app.advance(timedelta(hours=1))
        assert done == ["first", "waits", "strike"]


def test_answers_are_kept_and_requests_that_died_free_their_keys(home: Path) -> None:
    clock = ManualClock(START)
    namespace = Namespace(home, clock=clock)
    keys = EmbeddedIdempotency(namespace, "slot-1")
    seen = keys.begin("scope", "answered", b"print", 11)
    assert isinstance(seen, Seen)
    assert (seen.response.status, seen.response.body) == (201, b"answer")
    keys.release_all()
    assert isinstance(keys.begin("scope", "running", b"print", 11), Fresh)
    namespace.close()


def test_the_version_and_the_columns_are_the_present_ones(state: Path) -> None:
    assert state_version(state) == 1
    before = columns(state, "idempotency")
    Store(state).close()
    assert state_version(state) == SCHEMA_VERSION
    assert columns(state, "idempotency") == [*before, "owner", "reservation"]
    assert columns(state, "meta") == ["key", "value"]


def test_a_migrated_state_and_a_new_one_have_the_same_tables(home: Path, tmp_path: Path) -> None:
    def shapes(home: Path) -> dict[str, list[str]]:
        with post([]).run_embedded(home, clock_start=START):
            pass
        state = home / "default" / "state.sqlite"
        with closing(sqlite3.connect(state)) as db:
            tables = [row[0] for row in db.execute("select name from sqlite_schema where type = 'table'")]
        return {table: columns(state, f'"{table}"') for table in tables}

    assert shapes(home) == shapes(tmp_path / "new")


# How


def test_the_state_as_it_was_is_kept_beside(state: Path) -> None:
    before = dump(state)
    Store(state).close()
    copy = state.with_name("state.sqlite.version-1")
    assert dump(copy) == before
    assert copy.stat().st_mode & 0o077 == 0
    assert {file.name for file in state.parent.iterdir()} == {"master.key", "state.sqlite", "state.sqlite.version-1"}


def test_a_large_one_is_migrated_without_a_copy(state: Path, caplog: pytest.LogCaptureFixture) -> None:
    migrate(state, copy_up_to=4096)
    assert state_version(state) == SCHEMA_VERSION
    assert not state.with_name("state.sqlite.version-1").exists()
    assert "it is large, so no copy of the old one was made" in caplog.text


@pytest.mark.parametrize("idempotency", [True, False])
def test_tables_that_are_not_there_yet_are_no_obstacle(tmp_path: Path, idempotency: bool) -> None:
    state = tmp_path / "state.sqlite"
    with closing(sqlite3.connect(state)) as db:
        db.execute("pragma user_version = 1")
        if idempotency:
            db.execute("create table idempotency (scope text primary key)")
    Store(state).close()
    assert ("owner" in columns(state, "idempotency")) == idempotency
    assert state_version(state) == SCHEMA_VERSION


def test_a_step_that_fails_leaves_everything_as_it_was(state: Path) -> None:
    before = dump(state)

    def step(db: sqlite3.Connection) -> None:
        db.execute("alter table idempotency add column half text")
        db.execute("drop table mails")
        raise ZeroDivisionError("a fault of the step")

    told = r"from version 1 to 2, and is as it was: a fault of the step\n  fix: "
    with pytest.raises(HomeError, match=told):
        migrate(state, {1: step})
    assert dump(state) == before
    Store(state).close()
    assert state_version(state) == SCHEMA_VERSION


def test_nobody_else_may_have_it_open(state: Path) -> None:
    before = dump(state)
    with closing(sqlite3.connect(state)) as other:
        other.execute("select * from mails").fetchall()
        with pytest.raises(HomeError, match=r"another process has it open(?s:.*)fix: stop the server"):
            migrate(state, wait=0.05)
    assert dump(state) == before
    migrate(state, wait=0.05)
    assert state_version(state) == SCHEMA_VERSION


# Beside a server of the older version


@pytest.fixture
def server(home: Path) -> Iterator[Lock]:
    with Lock.acquire(home / "default" / "lock", "http://127.0.0.1:8400") as lock:
        yield lock


def test_a_command_does_not_migrate_under_a_running_server(home: Path, state: Path, server: Lock) -> None:
    before = dump(state)
    with pytest.raises(HomeError, match=r"older Windlass \(version 1, (?s:.*)http://127.0.0.1:8400(?s:.*)fix: use the"):
        Namespace(home)
    assert dump(state) == before


def test_the_server_that_holds_the_lock_migrates(home: Path, state: Path, server: Lock) -> None:
    Namespace(home, lock=server).close()
    assert state_version(state) == SCHEMA_VERSION


def test_a_command_migrates_alone_and_gives_the_lock_back(home: Path, state: Path) -> None:
    Namespace(home).close()
    assert state_version(state) == SCHEMA_VERSION
    assert Lock.holder(home / "default" / "lock") is None


# Backups of older states


def test_a_backup_migrates_nothing_and_what_is_restored_migrates(home: Path, state: Path, tmp_path: Path) -> None:
    before = dump(state)
    assert backup(home, "default", tmp_path / "old.zip").state == 1
    assert dump(state) == before
    restore(home, "copy", tmp_path / "old.zip")
    assert dump(home / "copy" / "state.sqlite") == before
    Namespace(home, "copy").close()
    assert state_version(home / "copy" / "state.sqlite") == SCHEMA_VERSION
    assert state_version(state) == 1
