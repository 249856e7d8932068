"""`windlass up` in a process of its own, for tests over real HTTP."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any, Self

import httpx

__all__ = ["Up"]

_STOP_SECONDS = 20


class Up:
    """A running server. `url` is where it answers; `credentials` maps a system's name to the user name and
    password that were made at this start, if any were."""

    def __init__(self, *paths: Path, home: Path, options: tuple[str, ...] = ()) -> None:
        self.home = home
        self._log = (home.parent / f"{home.name}.log").open("ab")
        command = [sys.executable, "-m", "windlass", "up", *map(str, paths), "--home", str(home)]
        if "--port" not in options:
            command += ["--port", "0"]
        self.process = subprocess.Popen(
            [*command, "--json", *options], stdout=subprocess.PIPE, stderr=self._log, start_new_session=True
        )
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            self.process.wait(_STOP_SECONDS)
            self._close()
            raise RuntimeError(f"windlass up ended with {self.process.returncode}:\n{self.log()}")
        self.ready: dict[str, Any] = json.loads(line)
        self.url: str = self.ready["url"]
        self.credentials = {made["system"]: (made["username"], made["password"]) for made in self.ready["credentials"]}
        self.http = httpx.Client(base_url=self.url, timeout=20)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.stop()

    def log(self) -> str:
        """What was written to standard error so far."""
        return Path(self._log.name).read_text(errors="replace")

    def stop(self) -> int:
        """SIGTERM, and the exit code."""
        self.http.close()
        if self.process.poll() is None:
            self.process.terminate()
        code = self.process.wait(_STOP_SECONDS)
        self._close()
        return code

    def kill(self) -> None:
        """kill -9 of the process and all it started."""
        self.http.close()
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(_STOP_SECONDS)
        self._close()

    def _close(self) -> None:
        if self.process.stdout is not None:
            self.process.stdout.close()
        self._log.close()

    def sign_in(self, system: str, username: str, password: str) -> str:
        """An access token of `POST /{system}/auth`."""
        answer = self.http.post(f"/{system}/auth", json={"username": username, "password": password})
        assert answer.status_code == 200, answer.text
        token: str = answer.json()["access_token"]
        return token
