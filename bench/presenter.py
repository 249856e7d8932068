"""`POST /presenter/data` at 32 connections: verify a token, check the body, queue it, and persist what is queued.

Against the same with FastAPI, PyJWT and sqlite3. That a queue could grow instead of being worked off is measured too:
after each load it must drain to empty before the other service has its turn, and everything that was answered must have
been persisted; the rate of persisting counts that time.
"""

from __future__ import annotations

import secrets
import sqlite3
import statistics
import tempfile
import time
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path

import jwt

from bench.effort import Effort
from bench.result import Result
from bench.service import BASE, free_port, running
from bench.wrk import CONNECTIONS, Load, p99, ratio, rounds
from windlass.cli.state import open_state
from windlass.graph.load import load
from windlass.model.secret import Secret

__all__ = ["UNTHROTTLED", "measure", "post_script", "shared_key"]

UNTHROTTLED = BASE / "apps" / "presenter_unthrottled.py"
_USERS = 64
_DRAIN_SECONDS = 60.0


def shared_key(home: Path) -> str:
    """The key that presenter in `home` verifies HS256 tokens with; it is made where there is none."""
    system = load(UNTHROTTLED)
    key = system.resources["jwt_key"]
    assert isinstance(key, Secret)
    with open_state(system, home, "default", make=True) as state:
        state.secret(key).ensure_generated()
        return state.secret(key).read()


def post_script(key: str) -> str:
    """A script for wrk that posts as one user after the other. The requests are put together beforehand."""
    claims = {"Role": ["data.write", "data.read"], "iat": int(time.time()), "exp": int(time.time()) + 7200}
    tokens = [jwt.encode(claims | {"sub": f"user-{number}"}, key, algorithm="HS256") for number in range(_USERS)]
    listed = ", ".join(f'"{token}"' for token in tokens)
    body = f'{{"informationOne": "{"a" * 60}", "informationTwo": "{"b" * 60}"}}'
    return f"""local tokens = {{ {listed} }}
local made, turn = {{}}, 0
function init(args)
  for number, token in ipairs(tokens) do
    local headers = {{ ["Content-Type"] = "application/json", ["Authorization"] = "Bearer " .. token }}
    made[number] = wrk.format("POST", nil, headers, '{body}')
  end
end
function request()
  turn = turn % #made + 1
  return made[turn]
end
"""


@dataclass(frozen=True, slots=True)
class _Tables:
    """Where a service keeps what waits and what was persisted."""

    database: Path
    queue: str
    information: str

    def waiting(self) -> int:
        """How many messages wait or are being handled."""
        return self._count(self.queue)

    def persisted(self) -> int:
        """How many items are there."""
        return self._count(self.information)

    def _count(self, table: str) -> int:
        with closing(sqlite3.connect(f"{self.database.as_uri()}?mode=ro", uri=True, timeout=10)) as db:
            number: int = db.execute(f'select count(*) from "{table}"').fetchone()[0]
            return number


@dataclass
class _Drained:
    """What became of the queue after each load of one service."""

    tables: _Tables
    answered: int = 0
    loads: int = 0

    def __post_init__(self) -> None:
        self.backlogs: list[int] = []
        self.rates: list[float] = []

    def settle(self, load: Load) -> None:
        """Waits until the queue is empty, and checks that all that was answered is there."""
        backlog, began = self.tables.waiting(), time.monotonic()
        while self.tables.waiting():
            if time.monotonic() - began > _DRAIN_SECONDS:
                raise RuntimeError(
                    f"{self.tables.database}: the queue is not empty {_DRAIN_SECONDS:.0f} s after the load"
                )
            time.sleep(0.005)
        took = time.monotonic() - began
        self.answered += load.answered
        self.loads += 1
        # wrk leaves while some of its requests are on their way: they may be there, too.
        more = self.tables.persisted() - self.answered
        if not 0 <= more <= CONNECTIONS * self.loads:
            raise RuntimeError(f"{self.tables.database}: {more} more were persisted than answered")
        self.backlogs.append(backlog)
        self.rates.append(load.answered / (load.answered / load.rate + took))


def measure(effort: Effort) -> list[Result]:
    """Measures the two in turn."""
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        home = Path(folder)
        keys = {"windlass": shared_key(home / "windlass"), "fastapi": secrets.token_urlsafe(48)}
        ports = {name: free_port() for name in keys}
        commands: dict[str, list[str | Path]] = {
            "windlass": [
                *("-m", "windlass", "up", UNTHROTTLED, "--no-reload"),
                *("--home", home / "windlass", "--port", str(ports["windlass"])),
            ],
            "fastapi": [
                *(BASE / "apps" / "fastapi_presenter.py", home / "fastapi.sqlite", str(ports["fastapi"])),
                keys["fastapi"],
            ],
        }
        scripts = {}
        for name, command in commands.items():
            stack.enter_context(running(command, f"http://127.0.0.1:{ports[name]}/"))
            scripts[name] = home / f"{name}.lua"
            scripts[name].write_text(post_script(keys[name]))
        urls = {
            "windlass": f"http://127.0.0.1:{ports['windlass']}/presenter/data",
            "fastapi": f"http://127.0.0.1:{ports['fastapi']}/data",
        }
        state = home / "windlass" / "default" / "state.sqlite"
        drained = {
            "windlass": _Drained(_Tables(state, "q.presenter.data", "t.presenter.information")),
            "fastapi": _Drained(_Tables(home / "fastapi.sqlite", "queue", "information")),
        }
        loads = rounds("POST /data", urls, scripts, effort, lambda name, load: drained[name].settle(load))
    own, peer = drained["windlass"], drained["fastapi"]
    for name, one in drained.items():
        print(f"{name}: {one.answered} answered, all persisted; waiting at the end of each load: {one.backlogs}")
    persisted = statistics.median(a / b for a, b in zip(own.rates[1:], peer.rates[1:], strict=True))
    return [
        Result("POST /presenter/data, Windlass / FastAPI", ratio(loads, "windlass", "fastapi"), "x", at_least=2.5),
        Result("posted and persisted, Windlass / FastAPI", persisted, "x"),
        Result("p99 of POST /presenter/data, Windlass", p99(loads["windlass"]), "ms"),
        Result("p99 of POST /presenter/data, FastAPI", p99(loads["fastapi"]), "ms"),
        Result("messages waiting when the load ends, Windlass", statistics.median(own.backlogs[1:]), ""),
        Result("messages waiting when the load ends, FastAPI", statistics.median(peer.backlogs[1:]), ""),
    ]
