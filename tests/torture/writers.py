"""Callers that post as long as they may, and remember what they were answered."""

from __future__ import annotations

import random
import ssl
import threading
import uuid
from typing import Any, Protocol

import httpx
import jwt

from tests.torture.account import Posted

__all__ = ["Breaches", "Entries", "Information", "Steps", "Target", "Work", "Writer", "bearer"]

_PAUSE = 0.02
_TLS = ssl.create_default_context()  # made once: httpx makes one for each client, used or not, and that takes long


class Target:
    """Where the server answers now. `new` is False when only what had no answer is to be sent again."""

    def __init__(self) -> None:
        self.url: str | None = None
        self.new = True
        self.over = threading.Event()


def bearer(key: str, subject: str, *roles: str) -> dict[str, str]:
    """The header with a token for presenter, signed with its shared key, that never expires in a run."""
    token = jwt.encode({"sub": subject, "Role": list(roles), "exp": 4_000_000_000}, key, algorithm="HS256")
    return {"authorization": f"Bearer {token}"}


class Work(Protocol):
    """What one caller posts, one after the other."""

    posted: Posted

    def fresh(self) -> object:
        """The next thing to post."""
        ...

    def send(self, http: httpx.Client, thing: Any) -> httpx.Response:
        """Posts it."""
        ...

    def answered(self, thing: Any, answer: httpx.Response) -> None:
        """It was taken."""
        ...

    def cut_off(self, thing: Any) -> bool:
        """There was no answer; whether it can be sent again."""
        ...


class Writer(threading.Thread):
    """One caller. It ends when the target is over, or when it may post nothing new and everything was answered."""

    def __init__(self, target: Target, work: Work) -> None:
        super().__init__(name="torture-writer", daemon=True)
        self._target, self.work = target, work
        self._again: list[object] = []
        self.fault: BaseException | None = None

    def run(self) -> None:
        try:
            self._run()
        except BaseException as error:
            self.fault = error
            raise

    def _run(self) -> None:
        while not self._target.over.is_set() and (self._target.new or self._again):
            url = self._target.url
            if url is None:
                self._target.over.wait(_PAUSE)
                continue
            with httpx.Client(base_url=url, timeout=15, verify=_TLS) as http:
                while self._target.url == url and self._post(http):
                    continue

    def _post(self, http: httpx.Client) -> bool:
        """Posts one thing; whether to go on with this connection."""
        if not self._again and not self._target.new:
            return False
        thing = self._again.pop() if self._again else self.work.fresh()
        try:
            answer = self.work.send(http, thing)
        except httpx.TransportError:
            # Something may have been done with it: the same thing comes again, where that is safe.
            if self.work.cut_off(thing):
                self._again.append(thing)
                self.work.posted.repeated += 1
            self._target.over.wait(_PAUSE)
            return False
        if answer.is_success:
            self.work.answered(thing, answer)
        elif answer.status_code in (409, 429, 503):  # still running, too many, not now: nothing was taken
            self._again.append(thing)
            self._target.over.wait(_PAUSE)
        else:
            self.work.posted.surprises.append(f"{answer.request.url.path}: {answer.status_code} {answer.text[:200]}")
        return True


class Breaches:
    """Posts breaches to file_sla, each under its idempotency key. Signs in when it has to."""

    def __init__(self, username: str, password: str) -> None:
        self.posted = Posted()
        self._credentials = {"username": username, "password": password}
        self._headers: dict[str, str] = {}

    def fresh(self) -> str:
        return str(uuid.uuid4())

    def send(self, http: httpx.Client, thing: str) -> httpx.Response:
        if not self._headers:
            signed_in = http.post("/file_sla/auth", json=self._credentials)
            if not signed_in.is_success:
                return signed_in
            self._headers = {"authorization": f"Bearer {signed_in.json()['access_token']}"}
        file = {"filename": "a.csv", "creationDate": "2024-06-12T10:00:00Z"}
        report = {"sla_error": [{"folder": f"/in/{thing}", "sla": 20, "files": [file]}]}
        headers = self._headers | {"idempotency-key": thing}
        answer = http.post("/file_sla/file_sla_error", json=report, headers=headers)
        if answer.status_code == 401:  # the token has come to its end
            self._headers = {}
            return self.send(http, thing)
        return answer

    def answered(self, thing: str, answer: httpx.Response) -> None:
        self.posted.breaches[thing] = answer.json()["stored"]

    def cut_off(self, thing: str) -> bool:
        return True


class Information:
    """Posts to presenter, as one user after the other, since each may post a hundred times a second only."""

    def __init__(self, key: str, users: list[str]) -> None:
        self.posted = Posted()
        self._headers = [bearer(key, user, "data.write") for user in users]

    def fresh(self) -> str:
        return str(uuid.uuid4())

    def send(self, http: httpx.Client, thing: str) -> httpx.Response:
        headers = self._headers[int(thing[:4], 16) % len(self._headers)]
        return http.post(
            "/presenter/data", json={"informationOne": thing, "informationTwo": "x" * 100}, headers=headers
        )

    def answered(self, thing: str, answer: httpx.Response) -> None:
        self.posted.information.append(thing)

    def cut_off(self, thing: str) -> bool:
        self.posted.unanswered.append(thing)
        return False


class Entries:
    """Posts entries to ledger, some flaky and some poisoned, each under its idempotency key."""

    def __init__(self, chance: random.Random) -> None:
        self.posted = Posted()
        self._chance = chance

    def fresh(self) -> tuple[str, str]:
        [kind] = self._chance.choices(["good", "flaky", "poison"], [90, 7, 3])
        return str(uuid.uuid4()), kind

    def send(self, http: httpx.Client, thing: tuple[str, str]) -> httpx.Response:
        id, kind = thing
        return http.post("/ledger/entries", json={"id": id, "kind": kind}, headers={"idempotency-key": id})

    def answered(self, thing: tuple[str, str], answer: httpx.Response) -> None:
        self.posted.entries[thing[0]] = thing[1]

    def cut_off(self, thing: tuple[str, str]) -> bool:
        return True


class Steps:
    """Posts the steps of one group to ledger, in their order."""

    def __init__(self, group: str) -> None:
        self.posted = Posted()
        self._group = group

    def fresh(self) -> int:
        return self.posted.steps.get(self._group, 0) + 1

    def send(self, http: httpx.Client, thing: int) -> httpx.Response:
        return http.post("/ledger/steps", json={"group": self._group, "number": thing})

    def answered(self, thing: int, answer: httpx.Response) -> None:
        self.posted.steps[self._group] = thing

    def cut_off(self, thing: int) -> bool:
        return True
