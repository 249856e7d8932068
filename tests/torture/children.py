"""Kills single processes of a server that has several, which must serve on."""

from __future__ import annotations

import json
import os
import random
import signal
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

from tests.up import Up

__all__ = ["kill_children", "outlive_the_supervisor"]

# One that has lived so long is started again at once when it dies, an earlier one after a pause.
_SETTLED_SECONDS = 10.5
_START_SECONDS = 2.0
_READY_SECONDS = 60.0
_END_SECONDS = 30.0
_PLACES = {"consumers", "gateway-1", "gateway-2"}


class _Prober(threading.Thread):
    """Asks on a new connection each time, and again at once when a connection broke, as it does that a killed process
    had taken; `longest` is the longest that an answer took, all tries together, in seconds."""

    def __init__(self, url: str) -> None:
        super().__init__(name="torture-prober", daemon=True)
        self._url = f"{url}/_windlass/health"
        self.over = threading.Event()
        self.longest, self.asked, self.broken = 0.0, 0, 0

    def run(self) -> None:
        while not self.over.wait(0.005):
            began = time.monotonic()
            while not self._answered() and not self.over.is_set():
                self.broken += 1
            self.asked += 1
            self.longest = max(self.longest, time.monotonic() - began)

    def _answered(self) -> bool:
        try:
            with urllib.request.urlopen(self._url, timeout=_READY_SECONDS) as answer:
                return bool(answer.status == 200)
        except urllib.error.HTTPError as error:
            error.close()
            return False
        except OSError:
            return False


def kill_children(up: Up, kills: int, chance: random.Random, say: Callable[[str], None]) -> float:
    """Kills one process after the other while callers post; returns the longest that a request on new connections
    waited for its answer. A gateway is killed while another one serves."""
    prober = _Prober(up.url)
    prober.start()
    seen: dict[int, float] = {}
    killed: set[str] = set()
    try:
        for number in range(1, kills + 1):
            there = _await_all(up, seen)
            # Each once as it is, then those that need no pause before they are started again.
            fresh = [name for name in there if name not in killed]
            while not fresh:
                threading.Event().wait(0.1)
                fresh = [name for name, pid in there.items() if _age(seen, pid) > _SETTLED_SECONDS]
            name = chance.choice(sorted(fresh))
            threading.Event().wait(chance.uniform(0.0, 0.3))
            os.kill(there[name], signal.SIGKILL)
            killed.add(name)
            while _runs(there[name]):
                threading.Event().wait(0.01)
            say(f"kill {number} of a single process: {name}, after {_age(seen, there[name]):.1f} s")
        _await_all(up, seen)
    finally:
        prober.over.set()
        prober.join()
    say(f"{prober.asked} new connections were answered within {prober.longest:.2f} s; {prober.broken} broke")
    return prober.longest


def outlive_the_supervisor(up: Up, say: Callable[[str], None]) -> None:
    """Kills the process that watches over the others; they must end by themselves, and free the state."""
    children = _children(up.process.pid)
    os.kill(up.process.pid, signal.SIGKILL)
    up.process.wait()
    began = time.monotonic()
    while left := [name for name, pid in children.items() if _runs(pid)]:
        if time.monotonic() - began > _END_SECONDS:
            raise RuntimeError(f"{', '.join(left)} did not end within {_END_SECONDS:.0f} seconds of the supervisor")
        threading.Event().wait(0.02)
    say(f"the supervisor was killed; the others ended within {time.monotonic() - began:.2f} s")


def _await_all(up: Up, seen: dict[int, float]) -> dict[str, int]:
    """The processes by place, when all are there and have had the time to start; `seen` remembers since when."""
    end = time.monotonic() + _READY_SECONDS
    while time.monotonic() < end:
        if up.process.poll() is not None:
            raise RuntimeError(f"the server ended with {up.process.returncode}:\n{up.log()[-2000:]}")
        there = _children(up.process.pid)
        for pid in there.values():
            seen.setdefault(pid, time.monotonic())
        if there.keys() == _PLACES and all(_age(seen, pid) > _START_SECONDS for pid in there.values()):
            return there
        threading.Event().wait(0.05)
    raise RuntimeError(f"not all processes were started again; there are {', '.join(there) or 'none'}")


def _age(seen: dict[int, float], pid: int) -> float:
    return time.monotonic() - seen[pid]


def _children(supervisor: int) -> dict[str, int]:
    """The processes that a supervisor has started, by place. Those that are just being started are left out."""
    found = {}
    for listing in Path(f"/proc/{supervisor}/task").glob("*/children"):
        for pid in map(int, _read(listing).split()):
            for setting in _read(Path(f"/proc/{pid}/environ")).split("\0"):
                name, _, value = setting.partition("=")
                if name == "WINDLASS_PLACE":
                    found[json.loads(value)["name"]] = pid
    return found


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except (FileNotFoundError, ProcessLookupError):  # it has just ended
        return ""


def _runs(pid: int) -> bool:
    # What has ended and is not waited for yet, a zombie, has no environment.
    return bool(_read(Path(f"/proc/{pid}/environ")))
