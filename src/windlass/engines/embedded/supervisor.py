"""Several processes that serve a namespace together: gateways and consumers, started, watched, and started again.

Each gateway has a listening socket, all on one port, which the supervisor keeps open: while a gateway is gone, the
others take what comes to them, and what came to it waits in its socket's line for its successor. Only where that one
dies again and again is the socket closed meanwhile, so that the others get everything. Each process reports that it is
ready with one line of JSON on its standard output.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from windlass.dispatch.context import logger
from windlass.engines.embedded.engine import Role
from windlass.engines.embedded.lock import Lock
from windlass.engines.embedded.place import Place
from windlass.errors import HomeError

__all__ = ["Supervisor"]

_SOON = 10.0
_LONGEST_PAUSE = 30.0


class _Watched(threading.Thread):
    """The process in one place, and its successors. `dead` is set when it is not to be started again."""

    def __init__(
        self, command: Sequence[str], place: Place, listening: socket.socket, reopen: Callable[[], socket.socket] | None
    ) -> None:
        super().__init__(name=f"windlass-{place.name}", daemon=True)
        self._command, self.place, self._listening, self._reopen = command, place, listening, reopen
        self.ready, self.dead = threading.Event(), threading.Event()
        self.said: dict[str, Any] = {}
        self.process: subprocess.Popen[bytes] | None = None
        self._stopping = threading.Event()
        self._again = False
        self._poke = threading.Event()
        self._lock = threading.Lock()

    def run(self) -> None:
        pause, deaths = 0.0, 0
        while not self._stopping.is_set():
            if pause and self._reopen is not None:
                self._listening.close()
            self._poke.wait(pause)
            self._poke.clear()
            began = time.monotonic()
            process = self._begin()
            if process is None:
                break
            code = process.wait()
            if process.stdout is not None:
                process.stdout.close()
            never = not self.ready.is_set()
            with self._lock:
                again, self._again = self._again, False
            self.ready.clear()
            if self._stopping.is_set():
                break
            if again:
                pause = 0.0
                continue
            if never and not self.said:
                break  # it cannot be started, and has said why
            soon = time.monotonic() - began <= _SOON
            deaths = deaths + 1 if soon else 0
            pause = min(_LONGEST_PAUSE, 2.0 ** (deaths - 2)) if deaths > 1 else 0.0
            told = f"by signal {-code}" if code < 0 else f"with code {code}"
            logger.error("%s (process %d) ended %s; starting it again", self.place.name, process.pid, told)
        self.dead.set()

    def _begin(self) -> subprocess.Popen[bytes] | None:
        with self._lock:
            if self._stopping.is_set():
                return None
            if self._listening.fileno() < 0 and self._reopen is not None:
                self._listening = self._reopen()
            first = self.place.first and not self.said
            place = msgspec.structs.replace(self.place, first=first, socket=self._listening.fileno())
            self.process = subprocess.Popen(
                self._command, stdout=subprocess.PIPE, env=place.environment(), pass_fds=place.files
            )
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if line:
            self.said = msgspec.json.decode(line)
            self.ready.set()
        return self.process

    def signal(self, number: int) -> None:
        """Sends a signal to the process that is there now, if one is."""
        with self._lock:
            self._signal(number)

    def _signal(self, number: int) -> bool:
        running = self.process is not None and self.process.poll() is None
        if running and self.process is not None:
            self.process.send_signal(number)
        return running

    def replace(self) -> None:
        """Has the process end when its requests are done, and another take its place."""
        with self._lock:
            self._again = self._signal(signal.SIGTERM)
        self._poke.set()

    def stop(self) -> None:
        """Has the process end when its requests are done, and none take its place."""
        with self._lock:
            self._stopping.set()
            self._signal(signal.SIGTERM)
        self._poke.set()


class Supervisor:
    """`command` starts a process that looks for its `Place`; for each of the sockets `listening` there is a gateway.
    `reopen` makes another socket on the same port, where each gateway has one of its own."""

    def __init__(
        self,
        command: Sequence[str],
        listening: Sequence[socket.socket],
        lock: Lock,
        reopen: Callable[[], socket.socket] | None = None,
    ) -> None:
        self._alive, self._wake = os.pipe(), os.pipe()
        os.set_blocking(self._wake[1], False)
        common = {
            "lock": lock.fileno(),
            "lifeline": self._alive[0],
            "wake_in": self._wake[0],
            "wake_out": self._wake[1],
        }

        def watched(name: str, role: Role, own: socket.socket) -> _Watched:
            place = Place(name=name, role=role, first=True, socket=own.fileno(), **common)
            return _Watched(command, place, own, reopen if role == "gateway" else None)

        # The consumers take no connections; by this one they know the port.
        self._consumers = watched("consumers", "consumers", listening[0])
        self._gateways = [watched(f"gateway-{number}", "gateway", own) for number, own in enumerate(listening, 1)]
        self._all = [self._consumers, *self._gateways]
        self._over = threading.Event()

    def start(self) -> dict[str, Any]:
        """Starts all; returns what the consumers said when they had prepared the state, as soon as every process is
        ready. Raises HomeError when one cannot be started; then all are stopped."""
        self._consumers.start()
        self._await([self._consumers])
        for gateway in self._gateways:
            gateway.start()
        self._await(self._gateways)
        for watched in self._all:
            threading.Thread(target=self._mourn, args=(watched,), daemon=True).start()
        return self._consumers.said

    def _await(self, watched: Sequence[_Watched]) -> None:
        for one in watched:
            while not one.ready.wait(0.02):
                if one.dead.is_set() or self._over.is_set():
                    self.stop(5.0)
                    raise HomeError(f"{one.place.name} could not be started; what it said is above")

    def _mourn(self, watched: _Watched) -> None:
        watched.dead.wait()
        self._over.set()

    @property
    def processes(self) -> dict[str, int]:
        """The ids of the processes that run now, by place."""
        return {watched.place.name: watched.process.pid for watched in self._all if watched.process is not None}

    def wait(self) -> None:
        """Returns when `end` was called, or a process ended that could not be started again."""
        self._over.wait()

    def end(self) -> None:
        """Makes `wait` return."""
        self._over.set()

    def replace_all(self, done: Callable[[], None] | None = None) -> None:
        """Exchanges all processes, one after the other, while the others serve on."""
        for watched in self._all:
            if self._over.is_set():
                return
            before = watched.process
            watched.replace()
            while (watched.process is before or not watched.ready.wait(0.05)) and not watched.dead.wait(0.01):
                if self._over.is_set():
                    return
        if done is not None:
            done()

    def stop(self, patience: float) -> bool:
        """Stops the gateways, then the consumers; after `patience` seconds each, by force. Whether force was not
        needed."""
        self._over.set()
        willing = True
        for group in (self._gateways, [self._consumers]):
            for watched in group:
                watched.stop()
            end = time.monotonic() + patience
            for watched in group:
                if watched.ident is None:
                    continue
                if not watched.dead.wait(max(0.0, end - time.monotonic())):
                    willing = False
                    watched.signal(signal.SIGKILL)
                    watched.dead.wait(5)
        return willing

    def kill(self) -> None:
        """Ends all processes at once, as kill -9 does."""
        for watched in self._all:
            watched.signal(signal.SIGKILL)
