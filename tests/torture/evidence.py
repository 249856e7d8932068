"""Reads what is there after the last start: over HTTP, as callers do, and from the dead-letter queues."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

import httpx
import msgspec

from tests.torture.account import Stored
from tests.torture.writers import bearer
from windlass.ports.queue import QueueOperator

__all__ = ["collect", "drain"]

_DRAIN_SECONDS = 120.0
_MOST = 1_000_000


def drain(queues: Mapping[str, QueueOperator]) -> float:
    """Waits until no queue holds anything but dead letters; returns how many seconds that took."""
    began = time.monotonic()
    pause = threading.Event()
    while True:
        stats = {name: queue.stats() for name, queue in queues.items()}
        left = {name: s for name, s in stats.items() if s.waiting or s.in_flight or s.delayed}
        if not left:
            return time.monotonic() - began
        if time.monotonic() - began > _DRAIN_SECONDS:
            raise RuntimeError(f"after {_DRAIN_SECONDS:.0f} seconds the queues are not empty: {left}")
        pause.wait(0.1)


def collect(
    http: httpx.Client,
    viewers: Sequence[dict[str, str]],
    users: Sequence[str],
    key: str,
    dead: Mapping[str, QueueOperator],
) -> Stored:
    """Reads everything. `viewers` are headers of users of file_sla, `users` those of presenter and `key` its key, and
    `dead` the queues by name."""
    stored = Stored()
    _read_breaches(http, viewers, stored)
    for user in users:
        _read_information(http, bearer(key, user, "data.read"), stored)
    totals = _get(http, "/ledger/totals").json()
    stored.totals = {total["what"]: total["number"] for total in totals}
    for what in {*stored.totals, "accepted", "recorded", "out of order", "fired"}:
        if not what.endswith(" again"):
            stored.done[what] = [item["id"] for item in _pages(http, f"/ledger/done/{what}")]
    stored.fired = [id.partition(" ")[0] for id in stored.done["fired"]]
    stored.steps = {item["group"]: item["last"] for item in _get(http, "/ledger/progress").json()}
    for name, field, found in (
        ("data", "InformationOne", stored.dead_information),
        ("entries", "id", stored.dead_entries),
        ("steps", "group", stored.dead_entries),
    ):
        for message in dead[name].peek(_MOST, dead=True):
            found[msgspec.json.decode(message.body)[field]] = message.reason or ""
    return stored


def _read_breaches(http: httpx.Client, viewers: Sequence[dict[str, str]], stored: Stored) -> None:
    today = datetime.now(UTC).date()
    days = {"from": str(today - timedelta(days=1)), "to": str(today + timedelta(days=1))}
    page: dict[str, Any] = {"next": None}
    turn = 0
    while turn == 0 or page["next"] is not None:
        query = {**days, "limit": "100", **({"after": page["next"]} if turn else {})}
        page = _get(http, "/file_sla/file_sla_errors", query, viewers[turn % len(viewers)]).json()
        turn += 1
        for item in page["items"]:
            stored.breaches.setdefault(item["Folder"], []).append(item["ErrorId"])
    stored.breaches_counted = _get(http, "/file_sla/summary", days, viewers[0]).json()["total"]["breaches"]


def _read_information(http: httpx.Client, headers: dict[str, str], stored: Stored) -> None:
    path = "/presenter/data?limit=100"
    while path:
        answer = _get(http, path, headers=headers)
        stored.information.update(item["InformationOne"] for item in answer.json())
        link = answer.links.get("next")
        path = "" if link is None else "?".join(urlsplit(link["url"])[2:4])


def _pages(http: httpx.Client, path: str) -> Iterator[dict[str, Any]]:
    after = None
    while True:
        page = _get(http, path, {} if after is None else {"after": after}).json()
        yield from page["items"]
        after = page["next"]
        if after is None:
            return


def _get(
    http: httpx.Client, path: str, query: Mapping[str, str] | None = None, headers: dict[str, str] | None = None
) -> httpx.Response:
    while True:
        answer = http.get(path, params=query, headers=headers)
        if answer.status_code not in (429, 503):
            answer.raise_for_status()
            return answer
        threading.Event().wait(0.05)
