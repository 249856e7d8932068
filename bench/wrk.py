"""Load from wrk (https://github.com/wg/wrk), and services that take turns under it."""

from __future__ import annotations

import re
import resource
import shutil
import statistics
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.effort import Effort

__all__ = ["CONNECTIONS", "Load", "p99", "ratio", "rounds", "wrk"]

CONNECTIONS = 32
_UNITS = {"us": 0.001, "ms": 1.0, "s": 1000.0, "m": 60_000.0}


@dataclass(frozen=True, slots=True)
class Load:
    """What wrk saw: `rate` in answers a second, `answered` in all, the 99th percentile in milliseconds; and how much
    of a core wrk itself took."""

    rate: float
    answered: int
    p99: float
    cores: float


def wrk(url: str, script: Path | None, seconds: int, connections: int = CONNECTIONS) -> Load:
    """Loads `url` from one thread; raises when any request was refused."""
    if shutil.which("wrk") is None:
        sys.exit("the load comes from wrk; install it (Debian: apt install wrk)")
    command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--latency", *(["-s", str(script)] if script else [])]
    before = _processor_seconds()
    ran = subprocess.run([*command, url], capture_output=True, text=True)
    output = ran.stdout
    cores = (_processor_seconds() - before) / seconds
    if ran.returncode:
        raise RuntimeError(f"wrk could not load {url}:\n{ran.stderr}")
    if "Non-2xx" in output or "Socket errors" in output:
        raise RuntimeError(f"{url} refused requests:\n{output}")
    answered = re.search(r"(\d+) requests in", output)
    rate = re.search(r"Requests/sec:\s+([\d.]+)", output)
    late = re.search(r"99%\s+([\d.]+)(us|ms|s|m)\b", output)
    if answered is None or rate is None or late is None:
        raise RuntimeError(f"wrk said something else:\n{output}")
    return Load(float(rate[1]), int(answered[1]), float(late[1]) * _UNITS[late[2]], cores)


def _processor_seconds() -> float:
    """What the programs that have ended took of the processor. A service that runs does not count yet."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def rounds(
    what: str,
    urls: Mapping[str, str],
    scripts: Path | Mapping[str, Path] | None,
    effort: Effort,
    settle: Callable[[str, Load], None] = lambda name, load: None,
) -> dict[str, list[Load]]:
    """What wrk saw of each service in each round, after one that does not count, in which caches and pools fill.
    `scripts` is wrk's script for all, or one for each; `settle` is called after each load, also the first of each."""

    def loaded(name: str) -> Load:
        script = scripts[name] if isinstance(scripts, Mapping) else scripts
        load = wrk(urls[name], script, effort.seconds)
        settle(name, load)
        return load

    for name in urls:
        loaded(name)
    loads: dict[str, list[Load]] = {name: [] for name in urls}
    for number in range(effort.rounds):
        for name in urls:
            loads[name].append(loaded(name))
        told = (f"{name} {loads[name][-1].rate:7.0f}/s (p99 {loads[name][-1].p99:.1f} ms)" for name in urls)
        cores = statistics.mean(loads[name][-1].cores for name in urls)
        print(f"{what} round {number + 1}: {'  '.join(told)}  wrk {cores:.2f} cores", flush=True)
    return loads


def ratio(loads: Mapping[str, Sequence[Load]], own: str, peer: str) -> float:
    """The median over the rounds of `own`'s rate over that of `peer` in the same round."""
    return statistics.median(one.rate / other.rate for one, other in zip(loads[own], loads[peer], strict=True))


def p99(loads: Sequence[Load]) -> float:
    """The median over the rounds of the 99th percentile, in milliseconds."""
    return statistics.median(load.p99 for load in loads)
