"""What a server with both systems holds and takes while nothing happens."""

from __future__ import annotations

import os
import tempfile
import time
from pathlib import Path

from bench.effort import Effort
from bench.result import Result
from bench.service import BASE, free_port, resident_mb, running

__all__ = ["measure"]

_SYSTEMS = [BASE.parent / "systems" / name for name in ("file_sla", "presenter")]
_SETTLE_SECONDS = 3.0
_IDLE_SECONDS = 10.0


def measure(effort: Effort) -> list[Result]:
    """Looks at one process, and at those of `--workers 2`. How long is fixed: `effort` makes no difference."""
    memory, share, _ = _idle("1")
    memory_of_all, share_of_all, processes = _idle("2")
    return [
        Result("resident memory, both systems", memory, "MB", at_most=110.0),
        Result("idle, of one core", share * 100, "%", at_most=1.0),
        Result(f"resident memory, --workers 2, {processes} processes together", memory_of_all, "MB"),
        Result("idle, of one core, --workers 2", share_of_all * 100, "%"),
    ]


def _idle(workers: str) -> tuple[float, float, int]:
    """Resident memory in MB, the share of a core that is taken over ten seconds, and how many processes there are."""
    with tempfile.TemporaryDirectory() as folder:
        port = free_port()
        command: list[str | Path] = ["-m", "windlass", "up", *_SYSTEMS, "--home", Path(folder), "--port", str(port)]
        with running([*command, "--workers", workers], f"http://127.0.0.1:{port}/_windlass/health") as process:
            time.sleep(_SETTLE_SECONDS)
            family = _family(process.pid)
            before, began = sum(map(_processor_seconds, family)), time.monotonic()
            time.sleep(_IDLE_SECONDS)
            share = (sum(map(_processor_seconds, family)) - before) / (time.monotonic() - began)
            memory = sum(map(resident_mb, family))
    print(f"--workers {workers}: {len(family)} process(es), {memory:.0f} MB, {share * 100:.2f} % of a core", flush=True)
    return memory, share, len(family)


def _family(pid: int) -> list[int]:
    """A process and those that it has started."""
    listings = Path(f"/proc/{pid}/task").glob("*/children")
    return [pid, *(int(child) for listing in listings for child in listing.read_text().split())]


def _processor_seconds(pid: int) -> float:
    """What a process has taken of the processor (proc(5): utime and stime, the 14th and 15th field)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
