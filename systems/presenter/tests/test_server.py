"""presenter over real HTTP, with the pump's own threads, and across kill -9."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

import httpx
import pytest

from tests.up import Up

SYSTEM = Path(__file__).parents[1]


def windlass(home: Path, *arguments: str) -> str:
    """What a command prints."""
    command = [sys.executable, "-m", "windlass", *arguments, "--home", str(home)]
    return subprocess.run(command, capture_output=True, text=True, check=True, env=os.environ).stdout.strip()


def token(home: Path, sub: str, *roles: str) -> dict[str, str]:
    """The header for a user."""
    options = [option for role in roles or ("data.read", "data.write") for option in ("--role", role)]
    return {"authorization": f"Bearer {windlass(home, 'token', str(SYSTEM), '--sub', sub, *options)}"}


def everything(http: httpx.Client, headers: dict[str, str]) -> list[dict[str, Any]]:
    """All items of a user, page by page."""
    found: list[dict[str, Any]] = []
    address: str | None = "/presenter/data?limit=50"
    while address is not None:
        answer = http.get(address, headers=headers)
        assert answer.status_code == 200, answer.text
        found += answer.json()
        following = answer.links.get("next", {}).get("url")
        address = None if following is None else urljoin(str(answer.url), following)
    return found


def wait_for(http: httpx.Client, headers: dict[str, str], count: int) -> list[dict[str, Any]]:
    """All items of a user, as soon as there are `count`."""
    deadline = time.monotonic() + 30
    while len(found := everything(http, headers)) < count:
        assert time.monotonic() < deadline, f"{len(found)} of {count} after 30 seconds"
        threading.Event().wait(0.05)
    return found


def test_many_post_at_once_and_each_reads_their_own(tmp_path: Path) -> None:
    home = tmp_path / "home"
    users = {f"user{number}": token(home, f"user{number}") for number in range(4)}  # before the first start
    with Up(SYSTEM, home=home, options=("--no-reload",)) as up:

        def post(number: int) -> int:
            name = f"user{number % 4}"
            content = {"informationOne": f"{name} {number}", "informationTwo": "x"}
            answer = up.http.post("/presenter/data", json=content, headers=users[name])
            assert answer.content == b""
            return answer.status_code

        with ThreadPoolExecutor(8) as pool:
            assert set(pool.map(post, range(200))) == {201}
        for number, (name, headers) in enumerate(users.items()):
            found = wait_for(up.http, headers, 50)
            assert {item["InformationOne"] for item in found} == {f"{name} {n}" for n in range(number, 200, 4)}
            assert len(found) == 50
            assert [item["Date"] for item in found] == sorted((item["Date"] for item in found), reverse=True)
        assert up.http.get("/presenter/data", headers=token(home, "user0", "data.write")).status_code == 403
        assert up.http.get("/presenter/data").status_code == 401
        secret = users["user0"]["authorization"].split(".")[2]
        assert secret not in up.log()


@pytest.mark.parametrize("round", range(2))
def test_what_was_answered_is_there_once_after_kill_9(tmp_path: Path, round: int) -> None:
    home = tmp_path / "home"
    headers = token(home, "ada")
    answered: list[str] = []
    enough = threading.Event()

    def post(url: str, writer: int) -> None:
        with httpx.Client(base_url=url, timeout=10) as http:
            for number in range(10_000):
                text = f"{writer}/{number}"
                try:
                    answer = http.post(
                        "/presenter/data", json={"informationOne": text, "informationTwo": "x"}, headers=headers
                    )
                except httpx.HTTPError:
                    return  # killed
                if answer.status_code == 429:
                    enough.wait(0.05)
                    continue
                assert answer.status_code == 201, answer.text
                answered.append(text)
                if len(answered) >= 60 + 40 * round:
                    enough.set()

    up = Up(SYSTEM, home=home, options=("--no-reload",))
    with ThreadPoolExecutor(3) as pool:
        writers = [pool.submit(post, up.url, writer) for writer in range(3)]
        assert enough.wait(30)
        up.kill()
        for writer in writers:
            writer.result()
    with Up(SYSTEM, home=home, options=("--no-reload",)) as up:
        found = [item["InformationOne"] for item in wait_for(up.http, headers, len(answered))]
    assert set(answered) <= set(found)
    assert len(set(found)) == len(found), "none is there twice"
