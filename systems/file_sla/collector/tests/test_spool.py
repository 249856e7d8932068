from __future__ import annotations

import itertools
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import file_sla_collector
from file_sla_collector.report import encode
from file_sla_collector.spool import (
    KEPT_ASIDE,
    Corrupt,
    Pending,
    Spool,
    SpoolError,
    SpoolFullError,
    SpoolInUseError,
    write_whole,
)
from hypothesis_settings import few_examples

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
PAYLOADS = st.lists(st.dictionaries(TEXT, st.one_of(TEXT, st.integers(), st.lists(TEXT))), max_size=6)


def open_spool(folder: Path, max_posts: int = 100, max_bytes: int = 1_000_000) -> Spool:
    return Spool(folder, max_posts=max_posts, max_bytes=max_bytes)


def waiting(spool: Spool) -> list[Pending]:
    posts = list(spool.pending())
    assert all(isinstance(post, Pending) for post in posts)
    return [post for post in posts if isinstance(post, Pending)]


@few_examples
@given(PAYLOADS)
def test_what_goes_in_comes_back_in_order_with_key_and_bytes(
    tmp_path_factory: pytest.TempPathFactory, payloads: list[dict[str, Any]]
) -> None:
    folder = tmp_path_factory.mktemp("spool")
    with open_spool(folder) as spool:
        added = [spool.add(payload) for payload in payloads]
    with open_spool(folder) as spool:
        assert waiting(spool) == added
        assert [post.body for post in added] == [encode(payload) for payload in payloads]
        assert len({post.key for post in added}) == len(added) == len(spool)


@few_examples
@given(st.lists(st.booleans(), max_size=12))
def test_order_is_kept_through_sending_and_reopening(
    tmp_path_factory: pytest.TempPathFactory, steps: list[bool]
) -> None:
    folder = tmp_path_factory.mktemp("spool")
    expected: list[int] = []
    for number, adds in enumerate(steps):
        with open_spool(folder) as spool:
            if adds:
                spool.add({"n": number})
                expected.append(number)
            elif expected:
                spool.sent(waiting(spool)[0])
                expected.pop(0)
            assert [json.loads(post.body)["n"] for post in waiting(spool)] == expected


def test_a_sent_post_is_forgotten(tmp_path: Path) -> None:
    with open_spool(tmp_path) as spool:
        spool.sent(spool.add({}))
        assert (waiting(spool), len(spool)) == ([], 0)
    assert list((tmp_path / "pending").iterdir()) == []


def test_a_rejected_post_is_kept_with_its_reason_and_blocks_nothing(tmp_path: Path) -> None:
    with open_spool(tmp_path) as spool:
        first, second = spool.add({"n": 1}), spool.add({"n": 2})
        file = spool.reject(first, status=422, reason="no such field: n", at="2026-03-01T12:00:00Z")
        assert waiting(spool) == [second]
    assert json.loads(file.read_bytes()) == {
        "key": first.key,
        "rejected": {"status": 422, "reason": "no such field: n", "at": "2026-03-01T12:00:00Z"},
        "body": {"n": 1},
    }


DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "cut off": lambda content: content[:-5],
    "body changed": lambda content: content.replace(b'"n":1', b'"n":7'),
    "body not text": lambda content: content.replace(b'"n":1', b'"n":"\\ud800"'),
    "key changed": lambda content: content.replace(b'"key":"', b'"key":"0'),
    "other version": lambda content: content.replace(b'"version":1', b'"version":2'),
    "no fields": lambda _: b'{"version":1}',
    "no object": lambda _: b"[]",
    "empty": lambda _: b"",
    "zeros": lambda _: b"\0" * 300,
    "deep": lambda _: b"[" * 100_000,
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES.keys())
def test_a_damaged_file_is_moved_aside_and_blocks_nothing(tmp_path: Path, damage: Callable[[bytes], bytes]) -> None:
    with open_spool(tmp_path) as spool:
        first, second = spool.add({"n": 1}), spool.add({"n": 2})
    file = tmp_path / "pending" / first.name
    file.write_bytes(damage(file.read_bytes()))
    with open_spool(tmp_path) as spool:
        corrupt, whole = spool.pending()
        assert isinstance(corrupt, Corrupt)
        assert corrupt.name == first.name
        assert whole == second
        assert len(spool) == 1
    assert (tmp_path / "corrupt" / first.name).exists()
    assert not file.exists()


def test_strangers_in_the_spool_are_moved_aside(tmp_path: Path) -> None:
    with open_spool(tmp_path):
        pass
    (tmp_path / "pending" / "notes.txt").write_text("hello")
    (tmp_path / "pending" / "000000000009-folder.json").mkdir()
    (tmp_path / "pending" / "000000000008-link.json").symlink_to(tmp_path / "none")
    with open_spool(tmp_path) as spool:
        reasons = {post.name: post.reason for post in spool.pending() if isinstance(post, Corrupt)}
        assert waiting(spool) == []
    assert reasons == {
        "notes.txt": "its name is not that of a spool file",
        "000000000009-folder.json": "it is not a regular file",
        "000000000008-link.json": "it is not a regular file",
    }


def test_a_file_cleared_by_hand_is_no_error(tmp_path: Path) -> None:
    with open_spool(tmp_path) as spool:
        first, second = spool.add({"n": 1}), spool.add({"n": 2})
        (tmp_path / "pending" / first.name).unlink()
        assert waiting(spool) == [second]
        spool.sent(first)
        assert len(spool) == 1


def test_a_write_that_was_cut_off_is_cleaned_up(tmp_path: Path) -> None:
    with open_spool(tmp_path) as spool:
        kept = spool.add({"n": 1})
    unfinished = tmp_path / "pending" / ".unfinished-000000000002-x.json"
    unfinished.write_bytes(b'{"version":1,')
    with open_spool(tmp_path) as spool:
        assert waiting(spool) == [kept]
    assert not unfinished.exists()


ADDING = """
import sys
from pathlib import Path
from file_sla_collector.spool import Spool

with Spool(Path(sys.argv[1]), max_posts=10**6, max_bytes=10**9) as spool:
    while True:
        print(spool.add({"text": "x" * 5000}).key, flush=True)
"""


@pytest.mark.parametrize("acknowledged", [1, 7, 40])
def test_kill_9_while_adding_loses_nothing_that_was_acknowledged(tmp_path: Path, acknowledged: int) -> None:
    source = Path(file_sla_collector.__file__).parents[1]
    with subprocess.Popen(
        [sys.executable, "-c", ADDING, str(tmp_path)], env={"PYTHONPATH": str(source)}, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        keys = [process.stdout.readline() for _ in range(acknowledged)]
        process.kill()
        keys += process.stdout.readlines()
    with open_spool(tmp_path) as spool:
        found = [post.key for post in waiting(spool)]
    printed = [key.decode().strip() for key in keys if key.endswith(b"\n")]
    # The last post may have been stored just before its key could be printed.
    assert found[: len(printed)] == printed
    assert len(found) - len(printed) in (0, 1)


def test_a_full_spool_refuses_what_is_new_and_keeps_what_is_old(tmp_path: Path) -> None:
    with open_spool(tmp_path, max_posts=2) as spool:
        kept = [spool.add({"n": 1}), spool.add({"n": 2})]
        with pytest.raises(SpoolFullError, match="2 posts wait"):
            spool.add({"n": 3})
        assert waiting(spool) == kept
        spool.sent(kept[0])
        spool.add({"n": 3})


def test_bytes_are_bounded_too_also_over_a_restart(tmp_path: Path) -> None:
    with open_spool(tmp_path, max_bytes=1000) as spool:
        spool.add({"n": "x" * 500})
    with open_spool(tmp_path, max_bytes=1000) as spool, pytest.raises(SpoolFullError, match="1000 bytes"):
        spool.add({"n": "x" * 500})


@pytest.mark.parametrize(("max_posts", "max_bytes"), [(0, 1), (1, 0)])
def test_a_spool_without_room_makes_no_sense(tmp_path: Path, max_posts: int, max_bytes: int) -> None:
    with pytest.raises(ValueError, match="room"):
        Spool(tmp_path, max_posts=max_posts, max_bytes=max_bytes)


def test_a_second_collector_is_refused_until_the_first_is_done(tmp_path: Path) -> None:
    with open_spool(tmp_path), pytest.raises(SpoolInUseError, match="another collector is using the spool"):
        open_spool(tmp_path)
    with open_spool(tmp_path):
        pass


def test_a_spool_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(SpoolError, match="cannot be used"):
        open_spool(tmp_path / "file")


def test_a_spool_that_cannot_be_written(tmp_path: Path) -> None:
    with open_spool(tmp_path) as spool:
        (tmp_path / "pending").rmdir()
        with pytest.raises(SpoolError, match="cannot be written"):
            spool.add({})
        assert len(spool) == 0


def test_a_key_that_could_leave_the_folder_is_refused(tmp_path: Path) -> None:
    with (
        Spool(tmp_path, max_posts=1, max_bytes=1000, new_key=lambda: "../x") as spool,
        pytest.raises(ValueError, match="no key"),
    ):
        spool.add({})


def test_what_was_set_aside_is_bounded_and_its_end_is_counted(tmp_path: Path) -> None:
    keys = (f"k{n}" for n in itertools.count())
    with Spool(tmp_path, max_posts=10, max_bytes=1_000_000, new_key=lambda: next(keys)) as spool:
        for n in range(KEPT_ASIDE):
            (tmp_path / "rejected" / f"{n}.json").touch()
        newest = spool.reject(spool.add({}), status=400, reason="no", at="now")
        assert spool.discarded == 1
        assert newest.exists()
        assert len(list((tmp_path / "rejected").iterdir())) == KEPT_ASIDE


def test_only_the_owner_can_read_the_spool(tmp_path: Path) -> None:
    with open_spool(tmp_path / "deep" / "spool") as spool:
        assert {p.stat().st_mode & 0o777 for p in (spool.folder, spool.folder / "pending")} == {0o700}


def test_a_write_that_fails_leaves_the_old_file(tmp_path: Path) -> None:
    (tmp_path / "file").mkdir()
    with pytest.raises(OSError, match="file"):
        write_whole(tmp_path / "file", b"new")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
