"""The lock of a namespace: one holder, who is named, and who is gone when its process is."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from windlass.engines.embedded import lock
from windlass.engines.embedded.lock import Lock
from windlass.errors import HomeError

URL = "http://127.0.0.1:8400"
SOURCE = Path(lock.__file__).resolve().parents[3]
HOLDING = """
import sys
from pathlib import Path
from windlass.engines.embedded.lock import Lock

held = Lock.acquire(Path(sys.argv[1]), sys.argv[2])
print("held", flush=True)
sys.stdin.read()
held.release()
print("released", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "lock"


@pytest.fixture
def other(path: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that holds the lock until its standard input ends."""
    command = [sys.executable, "-c", HOLDING, str(path), URL]
    environment = {**os.environ, "PYTHONPATH": str(SOURCE)}
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


def test_nobody_holds_what_is_not_there(path: Path) -> None:
    assert Lock.holder(path) is None
    assert not path.exists()


def test_the_holder_is_named_with_its_url_and_its_start(path: Path, other: subprocess.Popen[str]) -> None:
    said = Lock.holder(path)
    assert said is not None
    assert re.fullmatch(rf"process {other.pid}, {URL}, since \d{{4}}-\d\d-\d\d \d\d:\d\d:\d\dZ", said)


def test_who_comes_second_is_told_who_is_first(path: Path, other: subprocess.Popen[str]) -> None:
    with pytest.raises(HomeError) as refusal:
        Lock.acquire(path, "windlass reset")
    first, fix = str(refusal.value).split("\n")
    assert first.startswith(f"{path.parent} is held by process {other.pid}, {URL}, since ")
    assert fix == "  fix: stop that process, or use another namespace, with --namespace"


def test_asking_disturbs_no_holder(path: Path, other: subprocess.Popen[str]) -> None:
    said = Lock.holder(path)
    for _ in range(10):
        assert Lock.holder(path) == said
    with pytest.raises(HomeError):
        Lock.acquire(path, "a second one")
    assert Lock.holder(path) == said


def test_a_killed_holder_holds_nothing(path: Path, other: subprocess.Popen[str]) -> None:
    other.kill()
    other.wait()
    assert path.read_text().startswith("process ")  # what it wrote is still there, and means nothing
    assert Lock.holder(path) is None
    with Lock.acquire(path, "the next one"):
        assert f"process {os.getpid()}, the next one" in str(Lock.holder(path))


def test_it_is_free_after_release_while_the_process_lives(path: Path, other: subprocess.Popen[str]) -> None:
    assert other.stdin is not None
    assert other.stdout is not None
    other.stdin.close()
    assert other.stdout.readline() == "released\n"
    assert Lock.holder(path) is None
    Lock.acquire(path, "the next one").release()


def test_release_twice_does_nothing(path: Path) -> None:
    held = Lock.acquire(path, "one")
    held.release()
    with Lock.acquire(path, "two"):
        held.release()
        assert "two" in str(Lock.holder(path))
    assert Lock.holder(path) is None


def test_it_is_free_after_an_error(path: Path) -> None:
    with pytest.raises(KeyError), Lock.acquire(path, "one"):
        raise KeyError
    assert Lock.holder(path) is None


def test_a_file_that_was_removed_and_made_again_is_another_lock(path: Path) -> None:
    with Lock.acquire(path, "before the reset"):
        path.unlink()
        with Lock.acquire(path, "after the reset"):
            assert "after the reset" in str(Lock.holder(path))


def test_only_its_owner_may_read_it(path: Path) -> None:
    Lock.acquire(path, URL).release()
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_folder_that_is_not_there_cannot_be_locked(tmp_path: Path) -> None:
    with pytest.raises(HomeError, match=r"absent/lock cannot be locked: No such file or directory\n  fix: give a"):
        Lock.acquire(tmp_path / "absent" / "lock", URL)
