"""Starts and stops a measured program."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

__all__ = ["BASE", "free_port", "post_json", "resident_mb", "running", "wait_until_answers"]

BASE = Path(__file__).parent
_START_SECONDS = 20.0
_LAST_BYTES = 4000


def free_port() -> int:
    """A port that is free now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def wait_until_answers(url: str, process: subprocess.Popen[bytes]) -> None:
    """Waits until `url` answers anything; gives up when the process ends or after 20 seconds."""
    end = time.monotonic() + _START_SECONDS
    while time.monotonic() < end and process.poll() is None:
        try:
            with urllib.request.urlopen(url, timeout=1):
                return
        except urllib.error.HTTPError:
            return
        except OSError:
            time.sleep(0.005)
    raise RuntimeError(f"{process.args!r} does not answer at {url}")


@contextmanager
def running(arguments: Sequence[str | Path], url: str) -> Iterator[subprocess.Popen[bytes]]:
    """Runs Python with `arguments` until the block ends; inside, `url` answers. What it logs is shown when the block
    fails."""
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen([sys.executable, *map(str, arguments)], stdout=subprocess.DEVNULL, stderr=log)
        try:
            wait_until_answers(url, process)
            yield process
        except BaseException:
            log.seek(0)
            print(log.read()[-_LAST_BYTES:].decode(errors="replace"), file=sys.stderr)
            raise
        finally:
            process.terminate()
            process.wait(15)


def resident_mb(pid: int) -> float:
    """The resident memory of a process in MB (10^6 bytes), from /proc."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024 / 1e6
    raise RuntimeError(f"process {pid} has no VmRSS")


def post_json(url: str, content: object) -> dict[str, str]:
    """Posts JSON and returns the JSON answer."""
    request = urllib.request.Request(url, json.dumps(content).encode(), {"content-type": "application/json"})
    with urllib.request.urlopen(request, timeout=5) as response:
        answer: dict[str, str] = json.load(response)
        return answer
