"""kill -9 under load: what was answered is there, and what is sent again is stored once."""

from __future__ import annotations

import random
import threading
import uuid
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.up import Up

SYSTEM = Path(__file__).parents[1]
WRITERS = 6
ROUNDS = 4


def report(folder: str) -> dict[str, Any]:
    file = {"filename": "a.csv", "creationDate": "2024-06-12T10:00:00Z"}
    return {"sla_error": [{"folder": folder, "sla": 20, "files": [file]}]}


class Writer:
    """Posts until it is told to stop. `answered` maps a key to the ids that came back, `open` holds the keys whose
    answer never came."""

    def __init__(self) -> None:
        self.answered: dict[str, list[str]] = {}
        self.open: set[str] = set()

    def run(self, url: str, token: str, stop: threading.Event, enough: threading.Event) -> None:
        with httpx.Client(base_url=url, timeout=10) as http:
            keys = [*self.open]
            while not stop.is_set():
                key = keys.pop() if keys else str(uuid.uuid4())
                self.open.add(key)
                headers = {"authorization": f"Bearer {token}", "idempotency-key": key}
                try:
                    answer = http.post("/file_sla/file_sla_error", json=report(f"/in/{key}"), headers=headers)
                except httpx.TransportError:
                    return
                assert answer.status_code in (200, 409, 429), answer.text
                if answer.status_code == 429:
                    keys.append(key)
                    stop.wait(0.05)
                elif answer.status_code == 200:
                    self.answered[key] = answer.json()["stored"]
                    self.open.discard(key)
                    if len(self.answered) > 20:
                        enough.set()


def stored(up: Up, token: str) -> dict[str, list[str]]:
    """Every stored breach of these days: folder -> ids."""
    found: dict[str, list[str]] = {}
    query = {**these_days(), "limit": "100"}
    while True:
        answer = up.http.get("/file_sla/file_sla_errors", params=query, headers={"authorization": f"Bearer {token}"})
        if answer.status_code == 429:
            threading.Event().wait(0.05)
            continue
        page = answer.json()
        for item in page["items"]:
            found.setdefault(item["Folder"], []).append(item["ErrorId"])
        if page["next"] is None:
            return found
        query["after"] = page["next"]


def these_days() -> dict[str, str]:
    today = datetime.now(UTC).date()
    return {"from": str(today - timedelta(days=1)), "to": str(today + timedelta(days=1))}


@pytest.mark.parametrize("durability", ["process", "full"])
def test_nothing_that_was_answered_is_lost_and_nothing_is_stored_twice(tmp_path: Path, durability: str) -> None:
    chance = random.Random(20240612)
    writers = [Writer() for _ in range(WRITERS)]
    options = ("--no-reload", "--durability", durability)
    credentials = ("", "")
    for number in range(ROUNDS):
        up = Up(SYSTEM, home=tmp_path / "home", options=options)
        assert bool(up.credentials) == (number == 0), "credentials are made, and shown, at the first start only"
        credentials = up.credentials.get("file_sla", credentials)
        token = up.sign_in("file_sla", *credentials)
        stop, enough = threading.Event(), threading.Event()
        with ThreadPoolExecutor(WRITERS) as pool:
            runs = [pool.submit(writer.run, up.url, token, stop, enough) for writer in writers]
            enough.wait(20)
            threading.Event().wait(chance.random() * 0.2)
            up.kill()
            stop.set()
            for run in runs:
                run.result()
    with Up(SYSTEM, home=tmp_path / "home", options=options) as up:
        headers = {"authorization": f"Bearer {up.sign_in('file_sla', *credentials)}"}
        answered = {key: ids for writer in writers for key, ids in writer.answered.items()}
        for key in (key for writer in writers for key in writer.open):  # what was cut off is sent again
            again = {**headers, "idempotency-key": key}
            answer = up.http.post("/file_sla/file_sla_error", json=report(f"/in/{key}"), headers=again)
            assert answer.status_code == 200, answer.text
            answered[key] = answer.json()["stored"]
        assert len(answered) > ROUNDS * 20
        assert stored(up, headers["authorization"].removeprefix("Bearer ")) == {
            f"/in/{key}": ids for key, ids in answered.items()
        }
        summary = up.http.get("/file_sla/summary", params=these_days(), headers=headers).json()
        assert summary["total"] == {"breaches": len(answered), "files": len(answered)}
