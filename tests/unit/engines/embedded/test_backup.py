"""Backup and restore: whole, checked, beside a server that writes; and files that somebody else has made."""

from __future__ import annotations

import errno
import os
import shutil
import sqlite3
import subprocess
import sys
import threading
import zipfile
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest

from windlass import System
from windlass.engines.embedded.archive import KEY, MANIFEST, STATE
from windlass.engines.embedded.backup import backup, restore
from windlass.engines.embedded.lock import Lock
from windlass.engines.embedded.migrations import SCHEMA_VERSION
from windlass.engines.embedded.namespace import Namespace, restoring
from windlass.engines.embedded.store import Store
from windlass.errors import HomeError
from windlass.ports.clock import ManualClock

NOON = ManualClock(datetime(2026, 11, 20, 12, 0, tzinfo=UTC))
PATIENCE = 15.0


@dataclass
class Job:
    name: str


def post(done: list[str]) -> System:
    system = System("post")
    users = system.user_pool("users", sign_in="username")
    jobs = system.queue("jobs", Job)
    system.secret("key")
    api = system.api("api", auth=users)

    @jobs.consumer()
    def work(job: Job) -> None:
        done.append(job.name)

    @api.post("/jobs", status=202, uses=[jobs.send])
    def send(body: Job) -> None:
        jobs.send(body)

    return system


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """State with a user, a secret, and a message that waits."""
    with post([]).run_embedded(tmp_path / "home") as app:
        app.user_pool("users").create_user("ada", "correct horse battery")
        app.secret("key").write("s3cret")
        assert app.post("/jobs", json={"name": "waits"}, as_user="bea").status == 202
    return tmp_path / "home"


@pytest.fixture
def file(home: Path, tmp_path: Path) -> Path:
    backup(home, "default", tmp_path / "b.zip", clock=NOON)
    return tmp_path / "b.zip"


def count(path: Path) -> int:
    with closing(sqlite3.connect(path)) as db:
        number: int = db.execute("select count(*) from items").fetchone()[0]
    return number


def works(home: Path, namespace: str) -> None:
    """All of `home` is usable: users, secrets, messages. The driver knows one namespace, so it is given that name."""
    alone = home.with_name(f"{home.name}-{namespace}-{len(list(home.parent.iterdir()))}")
    shutil.copytree(home / namespace, alone / "default")
    done: list[str] = []
    with post(done).run_embedded(alone) as app:
        app.user_pool("users").sign_in("ada", "correct horse battery")
        assert app.secret("key").read() == "s3cret"
        app.settle()
    assert done == ["waits"]


# Making one


def test_a_backup_says_what_it_holds_and_is_its_owners(file: Path, home: Path) -> None:
    assert file.stat().st_mode & 0o777 == 0o600
    with zipfile.ZipFile(file) as archive:
        assert sorted(archive.namelist()) == [MANIFEST, KEY, STATE]
        manifest = msgspec.json.decode(archive.read(MANIFEST))
        assert archive.read(KEY) == (home / "default" / KEY).read_bytes()
        assert manifest["files"][STATE]["size"] == archive.getinfo(STATE).file_size
    assert manifest["format"] == 1
    assert manifest["state"] == SCHEMA_VERSION
    assert (manifest["namespace"], manifest["time"]) == ("default", "2026-11-20T12:00:00.000000Z")
    assert [child.name for child in file.parent.iterdir() if child.name.startswith(".")] == []


def test_an_existing_file_is_not_overwritten_unless_told_to(file: Path, home: Path) -> None:
    before = file.read_bytes()
    with pytest.raises(HomeError, match=r"b.zip is there already\n  fix: "):
        backup(home, "default", file)
    assert file.read_bytes() == before
    backup(home, "default", file, force=True)
    assert file.read_bytes() != before
    assert file.stat().st_mode & 0o777 == 0o600


def test_without_state_there_is_nothing_to_back_up(tmp_path: Path) -> None:
    with pytest.raises(HomeError, match="there is no state in"):
        backup(tmp_path, "default", tmp_path / "b.zip")
    assert list(tmp_path.iterdir()) == []


def test_a_place_that_is_none_is_told(home: Path, tmp_path: Path) -> None:
    with pytest.raises(HomeError, match=rf"cannot be written: {os.strerror(errno.ENOENT)}"):
        backup(home, "default", tmp_path / "nowhere" / "b.zip")


@pytest.mark.parametrize("where", ["middle", "header"])
def test_damaged_state_is_refused(home: Path, tmp_path: Path, where: str) -> None:
    state = home / "default" / STATE
    with closing(sqlite3.connect(state)) as db:
        [page] = db.execute("select rootpage from sqlite_schema where name = 'user_pool_users'").fetchone()
    with state.open("r+b") as damaged:
        damaged.seek((page - 1) * 4096 if where == "middle" else 0)
        damaged.write(b"\xa5" * 4096)
    with pytest.raises(HomeError, match=r"cannot be (backed up|used as state): (?s:.*)\n  fix: .*restore"):
        backup(home, "default", tmp_path / "b.zip")
    assert [child.name for child in tmp_path.iterdir()] == ["home"]


def test_a_copy_has_whole_transactions_while_another_writes(tmp_path: Path) -> None:
    store = Namespace(tmp_path / "home").store
    store.execute("create table items (n integer primary key, body)")
    store.flush()
    stop, written = threading.Event(), threading.Semaphore(0)

    def write() -> None:
        n = 0
        while not stop.is_set():
            with store.atomic() as db:  # ten belong together
                db.executemany("insert into items values (?, randomblob(500))", [(n + one,) for one in range(10)])
            store.flush()
            n += 10
            written.release()

    writer = threading.Thread(target=write)
    writer.start()
    try:
        assert all(written.acquire(timeout=PATIENCE) for _ in range(20))
        for number in range(3):
            known = count(store.path)
            backup(tmp_path / "home", "default", tmp_path / f"{number}.zip")
            restore(tmp_path / "other", f"n{number}", tmp_path / f"{number}.zip")
            copied = count(tmp_path / "other" / f"n{number}" / STATE)
            assert copied % 10 == 0
            assert known <= copied <= count(store.path)
            assert written.acquire(timeout=PATIENCE)
    finally:
        stop.set()
        writer.join()
        store.close()


def test_what_is_not_committed_is_not_in_it(home: Path, tmp_path: Path) -> None:
    store = Namespace(home).store
    store.execute("create table items (n integer primary key)")
    store.flush()
    store.execute("insert into items values (1)")
    backup(home, "default", tmp_path / "b.zip")
    store.close()
    restore(home, "copy", tmp_path / "b.zip")
    assert count(home / "copy" / STATE) == 0


# Restoring


@pytest.mark.parametrize("namespace", ["default", "another.one"])
def test_everything_works_after_a_restore(file: Path, tmp_path: Path, namespace: str) -> None:
    manifest, aside = restore(tmp_path / "new", namespace, file)
    assert (manifest.namespace, aside) == ("default", None)
    folder = tmp_path / "new" / namespace
    assert {child.name: child.stat().st_mode & 0o777 for child in folder.iterdir() if child.name != "lock"} == {
        STATE: 0o600,
        KEY: 0o600,
    }
    assert folder.stat().st_mode & 0o777 == 0o700
    works(tmp_path / "new", namespace)


def test_state_that_is_there_stays_unless_it_is_to_move_aside(file: Path, home: Path) -> None:
    (home / "default" / "telemetry").mkdir()
    before = (home / "default" / STATE).read_bytes()
    with pytest.raises(HomeError, match=r"holds state already\n  fix: "):
        restore(home, "default", file)
    assert (home / "default" / STATE).read_bytes() == before
    for expected in ("default.before-restore-20261120T120000Z", "default.before-restore-20261120T120000Z-2"):
        _, aside = restore(home, "default", file, force=True, clock=NOON)
        assert aside == home / expected
    first = home / "default.before-restore-20261120T120000Z"
    assert (first / STATE).read_bytes() == before
    assert (first / "telemetry").is_dir()
    assert not (home / "default" / "telemetry").exists()
    works(home, "default")
    works(home, first.name)


def test_a_namespace_that_a_server_holds_is_refused(file: Path, home: Path) -> None:
    with (
        Lock.acquire(home / "default" / "lock", "http://127.0.0.1:8400"),
        pytest.raises(HomeError, match=r"is held by process .*, http://127\.0\.0\.1:8400"),
    ):
        restore(home, "default", file, force=True)
    works(home, "default")


def test_a_namespace_that_a_command_has_open_is_refused(file: Path, home: Path) -> None:
    opened = Namespace(home)
    with pytest.raises(HomeError, match=r"another process has .* open\n  fix: wait"):
        restore(home, "default", file, force=True, wait=0.05)
    opened.close()
    restore(home, "default", file, force=True, wait=0.05)
    works(home, "default")


def test_damaged_state_gives_way(file: Path, home: Path) -> None:
    (home / "default" / STATE).write_bytes(b"no database" * 1000)
    _, aside = restore(home, "default", file, force=True)
    assert aside is not None
    assert (aside / STATE).read_bytes().startswith(b"no database")
    works(home, "default")


def test_a_folder_of_somebody_elses_is_left_alone(file: Path, tmp_path: Path) -> None:
    (tmp_path / "photos" / "2024").mkdir(parents=True)
    (tmp_path / "photos" / "2024" / "tower.jpg").touch()
    with pytest.raises(HomeError, match="none of them is state of Windlass"):
        restore(tmp_path / "photos", "2024", file, force=True)
    assert (tmp_path / "photos" / "2024" / "tower.jpg").is_file()


def test_nothing_begins_where_a_restore_was_cut_off(file: Path, tmp_path: Path) -> None:
    home = tmp_path / "new"
    restoring(home, "default").mkdir(parents=True)
    with pytest.raises(HomeError, match=r"a restore of .* was cut off\n  fix: run `windlass restore` again"):
        Namespace(home)
    restore(home, "default", file)
    assert not restoring(home, "default").exists()
    works(home, "default")


KILLED = """
import os, sys
from pathlib import Path
from windlass.engines.embedded.backup import restore

class Clock:  # asked for the time of the old state's new name, just before the exchange
    def now(self):
        os.kill(os.getpid(), 9)

restore(Path(sys.argv[1]), "default", Path(sys.argv[2]), force=True, clock=Clock())
"""


def test_a_restore_that_is_killed_leaves_the_old_state(file: Path, home: Path) -> None:
    killed = subprocess.run(
        [sys.executable, "-c", KILLED, str(home), str(file)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        check=False,
    )
    assert killed.returncode == -9
    assert restoring(home, "default").is_dir()
    works(home, "default")
    restore(home, "default", file, force=True)
    assert not restoring(home, "default").exists()
    works(home, "default")


# Files that are no backup, or that somebody has changed


def rewritten(file: Path, change: Callable[[dict[str, bytes], dict[str, Any]], object], **options: Any) -> None:
    """Writes the archive anew after `change` has had its members and its manifest."""
    with zipfile.ZipFile(file) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    manifest = msgspec.json.decode(members.pop(MANIFEST))
    change(members, manifest)
    with zipfile.ZipFile(file, "w", **options) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
        archive.writestr(MANIFEST, msgspec.json.encode(manifest))


def _path_that_leads_out(members: dict[str, bytes], manifest: dict[str, Any]) -> None:
    members["../../evil"] = b"x"


def _other_name(members: dict[str, bytes], manifest: dict[str, Any]) -> None:
    members["../state.sqlite"] = members.pop(STATE)


def _no_key(members: dict[str, bytes], manifest: dict[str, Any]) -> None:
    del members[KEY]


def _changed_key(members: dict[str, bytes], manifest: dict[str, Any]) -> None:
    members[KEY] = bytes(32)


def _long_key(members: dict[str, bytes], manifest: dict[str, Any]) -> None:
    members[KEY] = bytes(33)
    manifest["files"][KEY]["size"] = 33


def _changed_state(members: dict[str, bytes], manifest: dict[str, Any]) -> None:
    members[STATE] = members[STATE][:-1] + b"\xa5"


def _longer_state(members: dict[str, bytes], manifest: dict[str, Any]) -> None:
    members[STATE] += b"\0"


def _shorter_state(members: dict[str, bytes], manifest: dict[str, Any]) -> None:
    members[STATE] = members[STATE][:-1]


def _enormous_state(members: dict[str, bytes], manifest: dict[str, Any]) -> None:
    manifest["files"][STATE]["size"] = 10**15


def _no_size(members: dict[str, bytes], manifest: dict[str, Any]) -> None:
    manifest["files"][STATE]["size"] = "many"


def _newer_form(members: dict[str, bytes], manifest: dict[str, Any]) -> None:
    manifest |= {"format": 99, "unknown": True}


def _newer_state(members: dict[str, bytes], manifest: dict[str, Any]) -> None:
    manifest["state"] = SCHEMA_VERSION + 1


def _long_manifest(members: dict[str, bytes], manifest: dict[str, Any]) -> None:
    manifest["namespace"] = "x" * 100_000


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (_path_that_leads_out, "is no backup of Windlass: it holds 4 files"),
        (_other_name, "is no backup of Windlass"),
        (_no_key, "is no backup of Windlass: it holds 2 files"),
        (_changed_key, "master.key is not what the manifest says"),
        (_long_key, "does not name a state and a key"),
        (_changed_state, "state.sqlite is not what the manifest says"),
        (_longer_state, "state.sqlite is not what the manifest says"),
        (_shorter_state, "state.sqlite is not what the manifest says"),
        (_enormous_state, "its state cannot have"),
        (_no_size, "its manifest cannot be read"),
        (_newer_form, r"made by a newer Windlass \(format 99"),
        (_newer_state, "holds state of a newer Windlass"),
        (_long_manifest, "its manifest is too long"),
    ],
)
def test_a_file_that_was_changed_is_refused(
    file: Path, home: Path, change: Callable[[dict[str, bytes], dict[str, Any]], object], told: str
) -> None:
    rewritten(file, change)
    before = sorted(home.rglob("*"))
    with pytest.raises(HomeError, match=rf"{told}(?s:.*)\n  fix: "):
        restore(home, "default", file, force=True)
    assert [path for path in sorted(home.rglob("*")) if path.name != "lock"] == before
    works(home, "default")


def test_a_compression_that_no_backup_has_is_refused(file: Path, tmp_path: Path) -> None:
    rewritten(file, lambda members, manifest: None, compression=zipfile.ZIP_LZMA)
    with pytest.raises(HomeError, match="compressed in a way that no backup is"):
        restore(tmp_path / "new", "default", file)


def test_the_same_name_twice_is_refused(file: Path, tmp_path: Path) -> None:
    with pytest.warns(UserWarning, match="Duplicate name"), zipfile.ZipFile(file, "a") as archive:
        archive.writestr(KEY, bytes(32))
    with pytest.raises(HomeError, match="it holds 4 files"):
        restore(tmp_path / "new", "default", file)


def test_a_state_with_a_trigger_is_refused(home: Path, tmp_path: Path) -> None:
    with closing(sqlite3.connect(home / "default" / STATE)) as db:
        db.execute(
            "create trigger evil after insert on user_pool_users begin update user_pool_users set enabled = 1; end"
        )
    backup(home, "default", tmp_path / "b.zip")
    with pytest.raises(HomeError, match="its state has a trigger 'evil', which Windlass never makes"):
        restore(tmp_path / "new", "default", tmp_path / "b.zip")
    assert not (tmp_path / "new" / "default" / STATE).exists()


@pytest.mark.parametrize("content", [b"", b"no zip at all", b"PK\x05\x06" + bytes(18), b"PK\x03\x04" + b"\xff" * 500])
def test_what_is_no_zip_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "b.zip").write_bytes(content)
    with pytest.raises(HomeError, match=r"(is damaged, or no backup|is no backup)(?s:.*)\n  fix: "):
        restore(tmp_path / "new", "default", tmp_path / "b.zip")


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(HomeError, match=rf"b.zip cannot be read: {os.strerror(errno.ENOENT)}"):
        restore(tmp_path / "new", "default", tmp_path / "b.zip")


def test_a_torn_file_is_refused_wherever_it_ends(file: Path, tmp_path: Path) -> None:
    whole = file.read_bytes()
    for share in range(1, 20):
        file.write_bytes(whole[: len(whole) * share // 20])
        with pytest.raises(HomeError, match="fix: "):
            restore(tmp_path / "new", "default", file)


def test_a_flipped_bit_is_noticed_wherever_it_is(file: Path, tmp_path: Path) -> None:
    whole = file.read_bytes()
    told: set[str] = set()
    for share in range(40):
        place = len(whole) * share // 40
        file.write_bytes(whole[:place] + bytes([whole[place] ^ 0x10]) + whole[place + 1 :])
        try:
            restore(tmp_path / "new", f"n{share}", file)
        except HomeError as error:
            told.add(str(error).partition("\n")[2])
        else:  # a bit that means nothing, such as a date in the zip
            restored = tmp_path / "new" / f"n{share}"
            with zipfile.ZipFile(file) as archive:
                assert (restored / STATE).read_bytes() == archive.read(STATE)
    assert told


def test_a_store_that_is_open_is_no_obstacle_to_a_backup(home: Path, tmp_path: Path) -> None:
    store = Store(home / "default" / STATE)
    backup(home, "default", tmp_path / "b.zip")
    store.execute("create table items (n)")
    store.close()
    restore(home, "copy", tmp_path / "b.zip")
    works(home, "copy")
