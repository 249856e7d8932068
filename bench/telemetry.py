"""What telemetry costs: requests a second with it (the default), with none of it kept on disk (`--telemetry-mb 0`), and
with spans dropped as they end."""

from __future__ import annotations

import tempfile
from contextlib import ExitStack
from pathlib import Path

from bench.effort import Effort
from bench.presenter import UNTHROTTLED, post_script, shared_key
from bench.requests import ITEM, POST_SCRIPT
from bench.result import Result
from bench.service import BASE, free_port, post_json, running
from bench.wrk import Load, p99, ratio, rounds

__all__ = ["measure"]

_KINDS: dict[str, tuple[list[str | Path], list[str]]] = {
    "on": (["-m", "windlass"], []),
    "not kept": (["-m", "windlass"], ["--telemetry-mb", "0"]),
    "off": ([BASE / "apps" / "without_spans.py"], ["--telemetry-mb", "0"]),
}


def measure(effort: Effort) -> list[Result]:
    """Measures the kinds in turn, each a server of its own with both apps."""
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        home = Path(folder)
        posts, items, scripts = {}, {}, {}
        for number, (name, (command, options)) in enumerate(_KINDS.items()):
            state, port = home / str(number), free_port()
            script = scripts[name] = home / f"{number}.lua"
            script.write_text(post_script(shared_key(state)))
            up = [*command, "up", UNTHROTTLED, BASE / "apps" / "items", "--no-reload", "--home", state, *options]
            stack.enter_context(running([*up, "--port", str(port)], f"http://127.0.0.1:{port}/"))
            posts[name] = f"http://127.0.0.1:{port}/presenter/data"
            items[name] = f"http://127.0.0.1:{port}/items/items"
        item_script = home / "item.lua"
        item_script.write_text(POST_SCRIPT)
        measured = {
            "POST /presenter/data": rounds("POST /presenter/data", posts, scripts, effort),
            "POST /items/items": rounds("POST /items/items", items, item_script, effort),
            "GET /items/items/{id}": rounds(
                "GET /items/items/{id}",
                {name: f"{url}/{post_json(url, ITEM)['id']}" for name, url in items.items()},
                None,
                effort,
            ),
        }
    return [result for what, loads in measured.items() for result in _results(what, loads)]


def _results(what: str, loads: dict[str, list[Load]]) -> list[Result]:
    return [
        Result(f"{what}, telemetry on / off", ratio(loads, "on", "off"), "x", at_least=0.85),
        Result(f"{what}, telemetry on / not kept", ratio(loads, "on", "not kept"), "x"),
        Result(f"p99 of {what}, telemetry on", p99(loads["on"]), "ms"),
        Result(f"p99 of {what}, telemetry off", p99(loads["off"]), "ms"),
    ]
