"""POST with an fsync before each answer, at 32 connections: `windlass up --durability full`, which commits once for all
that arrived together, against the floor with `synchronous = full`, one INSERT and one fsync for each."""

from __future__ import annotations

import tempfile
from contextlib import ExitStack
from pathlib import Path

from bench.effort import Effort
from bench.requests import POST_SCRIPT
from bench.result import Result
from bench.service import BASE, free_port, running
from bench.wrk import ratio, rounds

__all__ = ["measure"]


def measure(effort: Effort) -> list[Result]:
    """Measures the two in turn."""
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        home = Path(folder)
        ports = {name: free_port() for name in ("windlass", "floor")}
        commands: dict[str, list[str | Path]] = {
            "windlass": [
                *("-m", "windlass", "up", BASE / "apps" / "items", "--no-reload", "--durability", "full"),
                *("--home", home / "windlass", "--port", str(ports["windlass"])),
            ],
            "floor": [BASE / "apps" / "floor_items.py", home / "floor.sqlite", str(ports["floor"]), "full"],
        }
        for name, command in commands.items():
            stack.enter_context(running(command, f"http://127.0.0.1:{ports[name]}/"))
        script = home / "post.lua"
        script.write_text(POST_SCRIPT)
        urls = {
            "windlass": f"http://127.0.0.1:{ports['windlass']}/items/items",
            "floor": f"http://127.0.0.1:{ports['floor']}/items",
        }
        rates = rounds("POST with fsync", urls, script, effort)
    return [Result("POST with fsync, Windlass / floor", ratio(rates, "windlass", "floor"), "x")]
