"""From the command to the first answer that all is ready, and the memory that is held then."""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from bench.effort import Effort
from bench.result import Result
from bench.service import BASE, free_port, resident_mb, wait_until_answers

__all__ = ["measure"]


def measure(effort: Effort) -> list[Result]:
    """Starts `file_sla` some times on an empty home and as often on one with state."""
    system = BASE.parent / "systems" / "file_sla"
    with tempfile.TemporaryDirectory() as folder:
        first = [_start(system, Path(folder) / f"new{number}") for number in range(effort.rounds)]
        again = [_start(system, Path(folder) / "new0") for _ in range(effort.rounds)]
    for what, runs in (("first start", first), ("start", again)):
        print(f"{what}: " + "  ".join(f"{seconds:.2f} s {megabytes:.0f} MB" for seconds, megabytes in runs), flush=True)
    return [
        Result("file_sla ready, first start", statistics.median(seconds for seconds, _ in first), "s", at_most=1.0),
        Result("file_sla ready, later starts", statistics.median(seconds for seconds, _ in again), "s", at_most=1.0),
        Result("resident memory when ready", max(mb for _, mb in first + again), "MB", at_most=100.0),
    ]


def _start(system: Path, home: Path) -> tuple[float, float]:
    port = free_port()
    started = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-m", "windlass", "up", str(system), "--home", str(home), "--port", str(port)],
        stdout=subprocess.DEVNULL,
    )
    try:
        wait_until_answers(f"http://127.0.0.1:{port}/_windlass/health", process)
        return time.perf_counter() - started, resident_mb(process.pid)
    finally:
        process.terminate()
        process.wait(15)
