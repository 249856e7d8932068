"""`windlass up --workers 2` against one process, on the same requests. wrk takes a part of one core for itself, which
is printed, so two cores are too few for twice the rate."""

from __future__ import annotations

import tempfile
from contextlib import ExitStack
from pathlib import Path

from bench.effort import Effort
from bench.presenter import UNTHROTTLED, post_script, shared_key
from bench.requests import ITEM, POST_SCRIPT
from bench.result import Result
from bench.service import BASE, free_port, post_json, running
from bench.wrk import p99, ratio, rounds

__all__ = ["measure"]


def measure(effort: Effort) -> list[Result]:
    """Measures the two in turn."""
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        home = Path(folder)
        posts, items, scripts = {}, {}, {}
        for name, workers in (("one", 1), ("two", 2)):
            state, port = home / name, free_port()
            script = scripts[name] = home / f"{name}.lua"
            script.write_text(post_script(shared_key(state)))
            command: list[str | Path] = ["-m", "windlass", "up", UNTHROTTLED, BASE / "apps" / "items", "--no-reload"]
            command += ["--home", state]
            stack.enter_context(
                running([*command, "--port", str(port), "--workers", str(workers)], f"http://127.0.0.1:{port}/")
            )
            posts[name] = f"http://127.0.0.1:{port}/presenter/data"
            items[name] = f"http://127.0.0.1:{port}/items/items"
        item_script = home / "item.lua"
        item_script.write_text(POST_SCRIPT)
        data = rounds("POST /presenter/data", posts, scripts, effort)
        put = rounds("POST /items/items", items, item_script, effort)
        keys = {name: f"{url}/{post_json(url, ITEM)['id']}" for name, url in items.items()}
        get = rounds("GET /items/items/{id}", keys, None, effort)
    return [
        Result("POST /presenter/data, two workers / one", ratio(data, "two", "one"), "x", at_least=1.5),
        Result("POST /items/items, two workers / one", ratio(put, "two", "one"), "x"),
        Result("GET /items/items/{id}, two workers / one", ratio(get, "two", "one"), "x"),
        Result("p99 of POST /presenter/data, two workers", p99(data["two"]), "ms"),
        Result("p99 of POST /presenter/data, one", p99(data["one"]), "ms"),
    ]
