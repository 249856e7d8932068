"""`windlass up` as a process: several systems, reload, what it refuses, and how it ends."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from tests.up import Up
from windlass.engines.embedded.server import listen
from windlass.errors import HomeError

HELLO = """
from windlass import System

app = System("{name}")
users = app.user_pool("users", sign_in="username", first_user="admin")
api = app.api("api")


@api.get("/hello")
def hello() -> dict[str, str]:
    return {{"hello": "{text}"}}
"""


def write(folder: Path, name: str, text: str = "one") -> Path:
    system = folder / name
    system.mkdir(parents=True, exist_ok=True)
    (system / "system.py").write_text(HELLO.format(name=name, text=text))
    return system


def eventually(holds: Callable[[], bool], seconds: float = 20) -> None:
    end = time.monotonic() + seconds
    pause = threading.Event()
    while not holds():
        assert time.monotonic() < end, "it did not happen"
        pause.wait(0.02)


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "windlass", *arguments], capture_output=True, text=True, timeout=60, check=False
    )


def test_all_systems_below_a_folder_run_each_under_its_own_prefix(tmp_path: Path) -> None:
    write(tmp_path / "several", "left", "from left")
    write(tmp_path / "several", "right", "from right")
    with Up(tmp_path / "several", home=tmp_path / "home", options=("--no-reload",)) as up:
        assert up.http.get("/left/hello").json() == {"hello": "from left"}
        assert up.http.get("/right/hello").json() == {"hello": "from right"}
        assert set(up.http.get("/").json()["systems"]) == {"left", "right"}
        assert set(up.credentials) == {"left", "right"}
        assert up.credentials["left"][1] != up.credentials["right"][1]
        assert up.stop() == 0


def test_a_change_of_the_code_is_served_and_a_broken_one_is_not(tmp_path: Path) -> None:
    system = write(tmp_path, "reloaded", "before")
    with Up(system, home=tmp_path / "home") as up:
        pid = up.process.pid
        assert up.http.get("/reloaded/hello").json() == {"hello": "before"}
        refused: list[str] = []
        stop = threading.Event()

        def watch() -> None:
            while not stop.is_set():
                try:
                    with httpx.Client(base_url=up.url, timeout=20) as http:
                        if http.get("/reloaded/hello").status_code != 200:
                            refused.append("status")
                except httpx.ConnectError as error:
                    refused.append(repr(error))
                except httpx.TransportError:
                    continue  # a connection that was taken in the last moment may be closed unanswered

        watching = threading.Thread(target=watch)
        watching.start()

        def answered() -> object:
            try:
                return httpx.get(f"{up.url}/reloaded/hello", timeout=20).json()
            except httpx.RemoteProtocolError:
                return None

        # The watch starts with the server, a moment before or after its first answer: the write may come too early.
        # It is not repeated at once, since a second reload would meet the broken code below.
        written = [0.0]

        def seen() -> bool:
            if time.monotonic() - written[0] > 5:
                write(tmp_path, "reloaded", "after")
                written[0] = time.monotonic()
            return answered() == {"hello": "after"}

        eventually(seen)
        stop.set()
        watching.join()
        assert refused == [], "no connection is refused while the code is exchanged"
        assert up.process.pid == pid

        def complained() -> bool:
            (system / "system.py").write_text("def broken(:\n")
            return "SyntaxError" in up.log()

        eventually(complained)
        assert answered() == {"hello": "after"}
        assert "SyntaxError" in up.log()


def test_a_logged_traceback_begins_with_the_handlers_own_code(tmp_path: Path) -> None:
    system = write(tmp_path, "faulty")
    code = (system / "system.py").read_text().replace("    return", "    raise ValueError('no')\n    return")
    (system / "system.py").write_text(code)
    with Up(system, home=tmp_path / "home", options=("--no-reload",)) as up:
        assert up.http.get("/faulty/hello").status_code == 500
        eventually(lambda: "ValueError: no" in up.log())
        [line] = [json.loads(line) for line in up.log().splitlines() if "ValueError: no" in line]
    _, head, first, *_ = line["message"].splitlines()
    assert head == "Traceback (most recent call last):"
    assert f'File "{system}/system.py"' in first


def test_ctrl_c_lets_a_running_request_end(tmp_path: Path) -> None:
    system = write(tmp_path, "slow")
    text = (system / "system.py").read_text().replace("    return", "    threading.Event().wait(1)\n    return")
    (system / "system.py").write_text("import threading\n" + text)
    up = Up(system, home=tmp_path / "home", options=("--no-reload",))
    answers: list[httpx.Response] = []
    asking = threading.Thread(target=lambda: answers.append(httpx.get(f"{up.url}/slow/hello", timeout=20)))
    asking.start()
    eventually(lambda: asking.is_alive())
    threading.Event().wait(0.3)
    up.process.send_signal(signal.SIGINT)
    asking.join()
    assert [answer.status_code for answer in answers] == [200]
    assert up.stop() == 0


def test_a_port_in_use_is_refused_with_what_to_do(tmp_path: Path) -> None:
    system = write(tmp_path, "hello")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        done = run("up", str(system), "--home", str(tmp_path / "home"), "--port", port)
    assert done.returncode == 1
    assert f"cannot listen on 127.0.0.1:{port}" in done.stderr
    assert "--port" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("host", ["192.0.2.1", "no such name"])
def test_an_address_of_another_machine_is_refused_with_what_to_do(host: str) -> None:
    with pytest.raises(HomeError, match=f"cannot listen on {host}:0: (?s:.*)with --host"):
        listen(host, 0)


def test_a_certificate_that_cannot_be_used_is_told_before_anything_is_made(tmp_path: Path) -> None:
    system = write(tmp_path, "hello")
    pem = tmp_path / "none.pem"
    pem.write_text("no certificate")
    done = run("up", str(system), "--home", str(tmp_path / "home"), "--tls-cert", str(pem), "--tls-key", str(pem))
    assert done.returncode == 1
    assert f"cannot serve HTTPS with {pem} and {pem}: they are not PEM" in done.stderr
    assert not (tmp_path / "home").exists()


KEPT = """
from dataclasses import dataclass

from windlass import System


@dataclass
class Note:
    id: str
    day: str


app = System("kept")
notes = app.table("notes", Note, key="{key}")
api = app.api("api")


@api.get("/key")
def key() -> str:
    return "{key}"
"""


def test_code_that_does_not_fit_what_is_stored_waits_for_the_next_change(tmp_path: Path) -> None:
    system = tmp_path / "kept"
    system.mkdir()

    def change(key: str) -> None:
        (system / "system.py").write_text(KEPT.format(key=key))

    change("id")
    with Up(system, home=tmp_path / "home") as up:
        pid = up.process.pid

        def complained() -> bool:
            change("day")
            return "is stored with the key" in up.log()

        eventually(complained)

        def asked() -> bool:
            change("id")
            try:
                return bool(httpx.get(f"{up.url}/kept/key", timeout=1).json() == "id")
            except httpx.TimeoutException:
                return False

        eventually(asked)
        assert up.process.pid == pid
        assert up.process.poll() is None


def test_a_second_server_on_the_same_state_is_refused_by_name(tmp_path: Path) -> None:
    system = write(tmp_path, "hello")
    with Up(system, home=tmp_path / "home", options=("--no-reload",)) as up:
        done = run("up", str(system), "--home", str(tmp_path / "home"), "--port", "0")
        assert done.returncode == 1
        assert str(up.process.pid) in done.stderr
        assert up.url in done.stderr
        other = ("--no-reload", "--namespace", "pr-123")
        with Up(system, home=tmp_path / "home", options=other) as second:
            assert second.credentials["hello"] != up.credentials["hello"]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("import nowhere_to_be_found\n", "nowhere_to_be_found"),
        ("x = 1\n", "System"),
        ('from windlass import System\na = System("a")\nq = a.queue("q", dict)\n', "dataclass"),
    ],
)
def test_a_system_that_cannot_run_is_told_without_a_traceback(tmp_path: Path, text: str, told: str) -> None:
    system = tmp_path / "bad"
    system.mkdir()
    (system / "system.py").write_text(text)
    done = run("up", str(system), "--home", str(tmp_path / "home"), "--port", "0")
    assert done.returncode == 1
    assert told in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "home").exists(), "nothing is made for a system that cannot run"


def test_credentials_are_for_the_owners_eyes(tmp_path: Path) -> None:
    system = write(tmp_path, "hello")
    with Up(system, home=tmp_path / "home", options=("--no-reload",)) as up:
        password = up.credentials["hello"][1]
        assert password not in up.log()
    state = tmp_path / "home" / "default"
    assert (state / "master.key").stat().st_mode & 0o077 == 0
    assert state.stat().st_mode & 0o077 == 0
    assert not any(password.encode() in file.read_bytes() for file in state.iterdir())


def test_a_signal_during_a_reload_ends_the_server(tmp_path: Path) -> None:
    system = write(tmp_path, "slow")
    text = (system / "system.py").read_text().replace("    return", "    threading.Event().wait(2)\n    return")
    (system / "system.py").write_text("import threading\n" + text)
    up = Up(system, home=tmp_path / "home")
    asking = threading.Thread(target=lambda: httpx.get(f"{up.url}/slow/hello", timeout=20))
    asking.start()
    written = [0.0]

    def reloading() -> bool:
        if time.monotonic() - written[0] > 5:
            (system / "system.py").write_text("import threading\n" + text + "\n")
            written[0] = time.monotonic()
        return "starting again" in up.log()

    eventually(reloading)
    up.process.terminate()  # the slow request still runs, so the old image drains
    asking.join()
    assert up.process.wait(20) == 0
    assert up.log().count("starting again") == 1
    up.stop()
