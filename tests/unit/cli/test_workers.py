"""`windlass up --workers`: processes that serve one state together."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.up import Up

PATIENCE = 60.0
SYSTEM = """
import os
import threading
from dataclasses import dataclass
from windlass import System, Throttle

crowd = System("crowd")


@dataclass
class Note:
    id: str
    text: str = ""


notes = crowd.table("notes", Note, key="id")
jobs = crowd.queue("jobs", Note)
api = crowd.api("api", throttle_per_caller=Throttle(1000, 1000))


@api.get("/pid")
def pid() -> int:
    return os.getpid()


@api.get("/slow")
def slow() -> int:
    threading.Event().wait(1.5)
    return os.getpid()


@api.get("/few", throttle=Throttle(0.001, 5))
def few() -> None: ...


@api.post("/notes", status=201, uses=[jobs.send])
def post(body: Note) -> None:
    jobs.send(body)


@api.get("/notes/{id}", uses=[notes.get])
def read(id: str) -> Note:
    note = notes.get(id)
    return note or Note(id, "not yet")


@jobs.consumer(uses=[notes.put])
def keep(note: Note) -> None:
    notes.put(Note(note.id, f"{note.text} {os.getpid()}"))
"""


@pytest.fixture(scope="module")
def code(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("crowd")
    (folder / "system.py").write_text(SYSTEM)
    return folder


@pytest.fixture(scope="module")
def up(code: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    home = tmp_path_factory.mktemp("home") / "home"
    with Up(code, home=home, options=("--workers", "2", "--no-reload")) as running:
        yield running


def get(up: Up, path: str) -> httpx.Response:
    """On a connection of its own, which any of the processes may take."""
    return httpx.get(f"{up.url}/crowd{path}", timeout=PATIENCE)


def until(what: Any, *, seconds: float = PATIENCE) -> Any:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if found := what():
            return found
        threading.Event().wait(0.02)
    raise AssertionError("it did not come to be")


def gateways(up: Up) -> set[int]:
    """The processes that answer: enough connections find them all."""
    return until(lambda: found if len(found := {get(up, "/pid").json() for _ in range(40)}) == 2 else None)  # type: ignore[no-any-return]


def test_both_gateways_answer_and_the_consumers_are_another_process(up: Up) -> None:
    assert set(up.ready["processes"]) == {"consumers", "gateway-1", "gateway-2"}
    assert len({up.ready["pid"], consumers(up), *gateways(up)}) == 4


def test_a_throttle_counts_over_all_processes(up: Up) -> None:
    statuses = [get(up, "/few").status_code for _ in range(30)]
    assert statuses.count(200) == 5
    assert statuses.count(429) == 25


@pytest.mark.parametrize("who", ["gateway", "consumers"])
def test_a_process_that_dies_is_started_again_while_the_port_serves_on(up: Up, who: str) -> None:
    before = gateways(up)
    victim = min(before) if who == "gateway" else consumers(up)
    os.kill(victim, signal.SIGKILL)
    for number in range(10):
        try:
            status = httpx.post(f"{up.url}/crowd/notes", json={"id": f"{who}{number}"}, timeout=PATIENCE).status_code
            assert status == 201
        except httpx.TransportError:
            # The connection that the victim had taken already, in the moment of its death.
            assert who == "gateway"
    if who == "gateway":
        assert until(lambda: len(gateways(up) - before) == 1)
    else:
        assert until(lambda: get(up, "/notes/consumers9").json()["text"] != "not yet")
        assert consumers(up) != victim
    assert re.search(rf"{who}\S* \(process {victim}\) ended by signal 9; starting it again", up.log())


def consumers(up: Up) -> int:
    """The process that handles messages now."""
    name = os.urandom(4).hex()
    up.http.post("/crowd/notes", json={"id": name, "text": "by"})
    text = until(lambda: t if (t := get(up, f"/notes/{name}").json()["text"]) != "not yet" else None)
    return int(text.split()[1])


def test_children_end_with_their_supervisor(code: Path, tmp_path: Path) -> None:
    up = Up(code, home=tmp_path / "home", options=("--workers", "2", "--no-reload"))
    children = list(up.ready["processes"].values())
    os.kill(up.process.pid, signal.SIGKILL)
    up.process.wait()
    until(lambda: not any(alive(child) for child in children))
    with Up(code, home=tmp_path / "home", options=("--no-reload",)) as after:
        assert after.http.get("/crowd/pid").status_code == 200
    up.stop()


def alive(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_new_code_is_taken_by_all_and_nobody_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "crew"
    folder.mkdir()
    (folder / "system.py").write_text(SYSTEM)
    with Up(folder, home=tmp_path / "home", options=("--workers", "2")) as up:
        before = gateways(up)
        seen: set[int] = set()
        pool = ThreadPoolExecutor(8)
        slow = [pool.submit(get, up, "/slow") for _ in range(8)]
        until(lambda: all(run.running() for run in slow))
        (folder / "system.py").write_text(SYSTEM.replace("os.getpid()\n\n\n@api.get", "-os.getpid()\n\n\n@api.get"))

        def all_new() -> bool:
            try:
                answer = get(up, "/pid")
            except httpx.RemoteProtocolError:
                return False  # accepted in the last moment, and closed before its request was read; none is refused
            assert answer.status_code == 200
            seen.add(answer.json())
            return len([process for process in seen if process < 0]) == 2

        assert until(all_new)
        assert {-process for process in seen if process < 0}.isdisjoint(before)
        answers = [run.result() for run in slow]
        assert [answer.status_code for answer in answers] == [200] * 8, "what was being answered was answered"
        assert {answer.json() for answer in answers} <= before
        pool.shutdown()


def test_what_new_code_declares_is_prepared_and_indexes_hold_everything(tmp_path: Path) -> None:
    folder = tmp_path / "crew"
    folder.mkdir()
    (folder / "system.py").write_text(SYSTEM)
    with Up(folder, home=tmp_path / "home", options=("--workers", "2")) as up:
        up.http.post("/crowd/notes", json={"id": "a", "text": "old"})
        until(lambda: get(up, "/notes/a").json()["text"] != "not yet")
        added = SYSTEM.replace('key="id")\njobs', 'key="id", indexes={"by_text": Index("text")})\njobs')
        added = added.replace("import System, Throttle", "import Index, System, Throttle") + (
            'key = crowd.secret("key", generate=32)\n\n\n'
            '@api.get("/texts", uses=[key.read, notes.index("by_text").query])\n'
            "def texts(text: str) -> list[Note]:\n    assert key.read()\n"
            '    return notes.index("by_text").query(text).items\n'
        )
        text = get(up, "/notes/a").json()["text"]
        (folder / "system.py").write_text(added)

        def found() -> bool:
            try:
                answer = httpx.get(f"{up.url}/crowd/texts", params={"text": text}, timeout=PATIENCE)
            except httpx.RemoteProtocolError:
                return False
            return answer.status_code == 200 and answer.json() == [{"id": "a", "text": text}]

        assert until(found)


def test_a_gateway_that_dies_again_and_again_takes_nobody_with_it(code: Path, tmp_path: Path) -> None:
    with Up(code, home=tmp_path / "home", options=("--workers", "2", "--no-reload")) as up:
        for _ in range(3):
            before = gateways(up)
            os.kill(min(before), signal.SIGKILL)
            until(lambda known=before: gateways(up) - known)
        handling = consumers(up)
        os.kill(handling, signal.SIGKILL)
        assert consumers(up) != handling


def test_what_systems_print_holds_nobody_up(tmp_path: Path) -> None:
    folder = tmp_path / "crew"
    folder.mkdir()
    loud = SYSTEM.replace("    return os.getpid()\n", "    print('x' * 20_000)\n    return os.getpid()\n", 1)
    (folder / "system.py").write_text("print('hello')\n" + loud)
    command = [sys.executable, "-m", "windlass", "up", str(folder), "--home", str(tmp_path / "home"), "--port", "0"]
    with (tmp_path / "out").open("wb") as out:
        process = subprocess.Popen([*command, "--workers", "2", "--json", "--no-reload"], stdout=out, stderr=out)
    try:
        ready = until(lambda: re.search(r'"url":"([^"]+)"', (tmp_path / "out").read_text()))
        statuses = [httpx.get(f"{ready[1]}/crowd/pid", timeout=PATIENCE).status_code for _ in range(30)]
        assert statuses == [200] * 30
    finally:
        process.terminate()
        assert process.wait(PATIENCE) == 0


def test_ctrl_c_stops_all(code: Path, tmp_path: Path) -> None:
    up = Up(code, home=tmp_path / "home", options=("--workers", "3", "--no-reload"))
    children = list(up.ready["processes"].values())
    os.killpg(up.process.pid, signal.SIGINT)  # as a terminal does: the whole group gets it
    assert up.process.wait(PATIENCE) == 0
    assert not any(alive(child) for child in children)
    up.stop()


def test_what_cannot_start_says_why_and_leaves_nothing_behind(code: Path, tmp_path: Path) -> None:
    refused = pytest.raises(RuntimeError, match=r"held by process \d+, http://127.0.0.1:\d+")
    with Up(code, home=tmp_path / "home", options=("--no-reload",)), refused:
        Up(code, home=tmp_path / "home", options=("--workers", "2", "--no-reload"))
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "system.py").write_text("import nothing_of_that_name\n")
    with pytest.raises(RuntimeError, match="nothing_of_that_name"):
        Up(tmp_path / "other", home=tmp_path / "new", options=("--workers", "2", "--no-reload"))
