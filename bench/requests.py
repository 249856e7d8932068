"""POST JSON -> validate -> durable put -> JSON, and GET by key, at 32 connections.

Against the same service written with FastAPI, Pydantic and sqlite3, on threads and on the event loop, and against the
bare floor of granian, msgspec and one INSERT.
"""

from __future__ import annotations

import tempfile
from contextlib import ExitStack
from pathlib import Path

from bench.effort import Effort
from bench.result import Result
from bench.service import BASE, free_port, post_json, running
from bench.wrk import ratio, rounds

__all__ = ["ITEM", "POST_SCRIPT", "measure"]

ITEM = {"folder": "/in/a", "sla": 20, "files": ["one.csv", "two.csv"]}
POST_SCRIPT = """wrk.method = "POST"
wrk.body = '{"folder":"/in/a","sla":20,"files":["one.csv","two.csv"]}'
wrk.headers["Content-Type"] = "application/json"
"""


def measure(effort: Effort) -> list[Result]:
    """Measures the services in turn."""
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
        posts = rounds("POST", urls, script, effort)
        keys = {name: f"{url}/{post_json(url, ITEM)['id']}" for name, url in urls.items()}
        gets = rounds("GET", keys, None, effort)
    return [
        Result("POST, Windlass / FastAPI", ratio(posts, "windlass", "fastapi"), "x", at_least=3.0),
        Result("POST, Windlass / FastAPI on the event loop", ratio(posts, "windlass", "fastapi on loop"), "x"),
        Result("POST, Windlass / floor", ratio(posts, "windlass", "floor"), "x", at_least=0.6),
        Result("GET by key, Windlass / FastAPI", ratio(gets, "windlass", "fastapi"), "x", at_least=3.0),
        Result("GET by key, Windlass / FastAPI on the event loop", ratio(gets, "windlass", "fastapi on loop"), "x"),
    ]
