"""POST JSON -> validate -> durable put -> JSON, and GET by key, at 32 connections.

Against the same service written with FastAPI, Pydantic and sqlite3, on threads and on the event loop, and against the
bare floor of granian, msgspec and one INSERT.
"""

from __future__ import annotations

import re
import shutil
import statistics
import subprocess
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

from bench.result import Result
from bench.service import BASE, free_port, post_json, running

__all__ = ["POST_SCRIPT", "measure", "ratio", "rounds"]

_ROUNDS = 5
_SECONDS = 3
_CONNECTIONS = 32
_ITEM = {"folder": "/in/a", "sla": 20, "files": ["one.csv", "two.csv"]}
POST_SCRIPT = """wrk.method = "POST"
wrk.body = '{"folder":"/in/a","sla":20,"files":["one.csv","two.csv"]}'
wrk.headers["Content-Type"] = "application/json"
"""


def _rate(url: str, script: Path | None) -> float:
    """Requests a second, as wrk counts them; raises when any was refused."""
    command = ["wrk", "-t1", f"-c{_CONNECTIONS}", f"-d{_SECONDS}s", *(["-s", str(script)] if script else []), url]
    output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    if "Non-2xx" in output or "Socket errors" in output:
        raise RuntimeError(f"{url} refused requests:\n{output}")
    found = re.search(r"Requests/sec:\s+([\d.]+)", output)
    if found is None:
        raise RuntimeError(f"wrk printed no rate:\n{output}")
    return float(found.group(1))


def measure() -> list[Result]:
    """Measures the services in turn, five rounds."""
    if shutil.which("wrk") is None:
        sys.exit("the load comes from wrk; install it (Debian: apt install wrk)")
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        home = Path(folder)
        ports = {name: free_port() for name in ("windlass", "fastapi", "fastapi on loop", "floor")}
        urls = {name: f"http://127.0.0.1:{port}/items" for name, port in ports.items()}
        urls["windlass"] += "/items"
        commands: dict[str, list[str | Path]] = {
            "windlass": [
                *("-m", "windlass", "up", BASE / "apps" / "items", "--no-reload"),
                *("--home", home / "windlass", "--port", str(ports["windlass"])),
            ],
            "fastapi": [BASE / "apps" / "fastapi_items.py", home / "a.sqlite", str(ports["fastapi"]), "threads"],
            "fastapi on loop": [
                *(BASE / "apps" / "fastapi_items.py", home / "b.sqlite", str(ports["fastapi on loop"]), "loop")
            ],
            "floor": [BASE / "apps" / "floor_items.py", home / "floor.sqlite", str(ports["floor"])],
        }
        for name, command in commands.items():
            stack.enter_context(running(command, f"http://127.0.0.1:{ports[name]}/"))
        script = home / "post.lua"
        script.write_text(POST_SCRIPT)
        posts = rounds("POST", urls, script)
        keys = {name: f"{url}/{post_json(url, _ITEM)['id']}" for name, url in urls.items()}
        gets = rounds("GET", keys, None)
    return [
        Result("POST, Windlass / FastAPI", ratio(posts, "fastapi"), "x", at_least=3.0),
        Result("POST, Windlass / FastAPI on the event loop", ratio(posts, "fastapi on loop"), "x"),
        Result("POST, Windlass / floor", ratio(posts, "floor"), "x", at_least=0.6),
        Result("GET by key, Windlass / FastAPI", ratio(gets, "fastapi"), "x", at_least=3.0),
        Result("GET by key, Windlass / FastAPI on the event loop", ratio(gets, "fastapi on loop"), "x"),
    ]


def rounds(what: str, urls: dict[str, str], script: Path | None) -> dict[str, list[float]]:
    """Requests a second of each service in each of five rounds, after one that does not count."""
    for url in urls.values():
        _rate(url, script)  # a round that does not count: caches and pools fill
    rates: dict[str, list[float]] = {name: [] for name in urls}
    for number in range(_ROUNDS):
        for name, url in urls.items():
            rates[name].append(_rate(url, script))
        row = "  ".join(f"{name} {rates[name][-1]:7.0f}/s" for name in urls)
        print(f"{what} round {number + 1}: {row}", flush=True)
    return rates


def ratio(rates: dict[str, list[float]], peer: str) -> float:
    """The median over the rounds of Windlass's rate over the peer's in the same round."""
    return statistics.median(own / other for own, other in zip(rates["windlass"], rates[peer], strict=True))
