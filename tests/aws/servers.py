"""The stand-ins for AWS, moto and MiniStack, as processes whose clock the tests move.

A server runs under libfaketime (https://github.com/wolfcw/libfaketime), which tells it the time that is written in a
file: its clock stands still until `Server.set_clock` moves it. A queue's delays, visibility timeouts and
deduplication go by that clock alone, and tokens are dated by it; sleeping, event loops and timeouts of the server
itself go by the machine's.

What waits for the clock to go on does not end by itself: the long poll of an empty queue (receive with
`WaitTimeSeconds=0`), and MiniStack's run of a Lambda function, which waits so for its log. Those need a server whose
clock `flows`.

What setting the clock does not bring about: MiniStack looks for expired items of tables (TTL) once in a minute of the
machine's, moto never does; and both serve Cognito's `GetUser` with an access token that has expired.
"""

from __future__ import annotations

import importlib.util
import itertools
import os
import socket
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Literal, Self

import httpx

from windlass.ports.clock import ManualClock

__all__ = ["ACCOUNT", "KINDS", "Kind", "Server", "missing", "moment"]

Kind = Literal["moto", "ministack"]
KINDS: tuple[Kind, ...] = ("moto", "ministack")

ACCOUNT = "123456789012"
"""The account of a server for calls that are not signed, as Cognito's `InitiateAuth` and `SignUp`; as an access key it
puts the signed calls into the same account."""

_HERE = Path(__file__).parent
_START_SECONDS = 60.0
_END_SECONDS = 10.0
_READY = {"moto": "/moto-api/data.json", "ministack": "/_ministack/ready"}
_RESET = {"moto": "/moto-api/reset", "ministack": "/_ministack/reset"}
_NANO = 10**9


def missing() -> str | None:
    """Why no server can be started on this machine, as the reason to skip a test; None where one can."""
    if not sys.platform.startswith("linux"):
        return "moves the clock of a server with libfaketime, as it works on Linux"
    if _library() is None:
        return "needs libfaketime, to move the clock of a server (Debian: apt install faketime)"
    absent = [name for name in KINDS if importlib.util.find_spec(name) is None]
    if absent:
        return f"needs {' and '.join(absent)} (make install)"
    return None


class Server:
    """One running server, empty at first. `endpoint` is the URL for boto3's `endpoint_url`; any region and any
    secret key will do. `folder` holds its files while it runs.

    `clock` is the start of its clock in seconds since the epoch, as a ManualClock starts if not given; with `flows`
    the clock goes on from there, and from each moment that it is set to, as fast as the machine's. `environment` is
    for what this server is to be told besides. RuntimeError says with the server's own words why it did not start.
    """

    def __init__(
        self,
        kind: Kind,
        *,
        clock: float | None = None,
        flows: bool = False,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        if reason := missing():
            raise RuntimeError(f"{kind} cannot be started: it {reason}")
        self.kind, self._flows = kind, flows
        self._accounts = itertools.count(100_000_000_001)
        self._folder = tempfile.TemporaryDirectory(prefix=f"{kind}-")
        self.folder = Path(self._folder.name)
        self._now, self._log = self.folder / "now", self.folder / "log"
        self.set_clock(ManualClock().now() if clock is None else clock)
        with socket.create_server(("127.0.0.1", 0), backlog=128) as listener, self._log.open("wb") as log:
            port: int = listener.getsockname()[1]
            self.endpoint = f"http://127.0.0.1:{port}"
            self.process = subprocess.Popen(
                [sys.executable, "-P", str(_HERE / "launcher.py"), kind, str(listener.fileno())],
                pass_fds=(listener.fileno(),),
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=self._environment(port) | dict(environment or {}),
                cwd=self.folder,
                start_new_session=True,
            )
        self._http = httpx.Client(base_url=self.endpoint, timeout=_START_SECONDS, trust_env=False)
        try:
            self._await_ready()
        except BaseException:
            self.stop()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.stop()

    def set_clock(self, now: float) -> None:
        """Sets the clock, forward or back, to `now` in seconds since the epoch, fractions too. What is asked
        after this is answered by the new time, which is never earlier than `now`, and later by less than a
        microsecond."""
        written = self._now.with_suffix(".new")
        written.write_text(f"{now - time.time():+.9f}" if self._flows else moment(now))
        written.replace(self._now)

    def new_account(self) -> str:
        """An access key under which nothing exists yet. MiniStack takes one of 12 digits for the number of an
        account of its own, so what other accounts hold stays; but calls that are not signed are ACCOUNT's, so a user
        pool can only be signed in to there. moto knows one account, which is emptied."""
        if self.kind == "moto":
            self.reset()
            return ACCOUNT
        return str(next(self._accounts))

    def reset(self) -> None:
        """Deletes all that was made, in all accounts. The clock stays."""
        self._http.post(_RESET[self.kind]).raise_for_status()

    def log(self) -> str:
        """What the server wrote so far."""
        return self._log.read_text(errors="replace")

    def stop(self) -> None:
        """Ends the server; what it held is gone."""
        self._http.close()
        assert self.process.stdin is not None
        self.process.stdin.close()
        try:
            self.process.wait(_END_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self._folder.cleanup()

    def _environment(self, port: int) -> dict[str, str]:
        """All that the process inherits: none of the machine's settings for AWS or Python."""
        library = _library()
        assert library is not None
        home = str(self.folder)
        return {
            "PATH": os.environ.get("PATH", os.defpath),
            "HOME": home,
            "TMPDIR": home,
            "TZ": "UTC",
            "PYTHONPATH": str(_HERE / "preload"),
            "LD_PRELOAD": str(library),
            "FAKETIME_TIMESTAMP_FILE": str(self._now),
            "FAKETIME_FMT": "%s",
            "FAKETIME_NO_CACHE": "1",
            # An event loop counts on this clock to go on.
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            # So do the interpreter's threads, which take turns by it: without this, a wait for a turn is at once over,
            # and moto needs several times as long for a request.
            "FAKETIME_FORCE_MONOTONIC_FIX": "0",
            # The dates of files stay true, or Python would compile every module anew.
            "NO_FAKE_STAT": "1",
            "GATEWAY_PORT": str(port),
            "BIND_HOST": "127.0.0.1",
            "IOT_MTLS_ENABLED": "0",
            "SFTP_ENABLED": "0",
            "LOG_LEVEL": "WARNING",
            "STATE_DIR": f"{home}/state",
            "S3_DATA_DIR": f"{home}/s3",
            "MINISTACK_ACCOUNT_ID": ACCOUNT,
            "MOTO_ACCOUNT_ID": ACCOUNT,
            "MOTO_PORT": str(port),
        }

    def _await_ready(self) -> None:
        # The socket listens already, so the first request waits until the server takes it, and breaks if it ends.
        for _ in range(1000):
            try:
                if self._http.get(_READY[self.kind]).status_code == 200:
                    return
            except httpx.TransportError as error:
                raise RuntimeError(f"{self.kind} did not start ({error}):\n{self.log()}") from error
        raise RuntimeError(f"{self.kind} did not get ready:\n{self.log()}")


def moment(now: float) -> str:
    """`now` as libfaketime reads it, such that `time.time` in a server is not before it: Python makes a float of
    nanoseconds first, which most fractions of a second come out of too small."""
    nanoseconds = int(Decimal(now) * _NANO)
    while nanoseconds / _NANO < now:
        nanoseconds += 1
    # The fraction is read as a float, and then cut off: hence one more digit.
    return f"{nanoseconds // _NANO}.{nanoseconds % _NANO:09d}5"


def _library() -> Path | None:
    """libfaketime for programs with threads, where Debian, Fedora and its own `make install` put it."""
    folders = (f"/usr/lib/{sysconfig.get_config_var('MULTIARCH')}", "/usr/lib64", "/usr/lib", "/usr/local/lib")
    libraries = (Path(folder, "faketime", "libfaketimeMT.so.1") for folder in folders)
    return next((library for library in libraries if library.exists()), None)
