"""Several processes that serve a namespace together: gateways and consumers, started, watched, and started again.

Each gateway has a listening socket, all on one port, which the supervisor keeps open: while a gateway is gone, the
others take what comes to them, and what came to it waits in its socket's line for its successor. Only where that one
dies again and again is the socket closed meanwhile, so that the others get everything. Each process reports that it is
ready with one line of JSON in a pipe.
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
    """The process in one place, and its successors. `ready` is set while it is, `gone` while there is none, and `dead`
    when none is to come."""

    def __init__(
        self,
        command: Sequence[str],
        place: Place,
        listening: socket.socket | None,
        reopen: Callable[[], socket.socket] | None,
    ) -> None:
        super().__init__(name=f"windlass-{place.name}", daemon=True)
        self._command, self.place, self._listening, self._reopen = command, place, listening, reopen
        self.ready, self.gone, self.dead = threading.Event(), threading.Event(), threading.Event()
        self.gone.set()
        self.said: dict[str, Any] = {}
        self.process: subprocess.Popen[bytes] | None = None
        self._stopping, self._go = threading.Event(), threading.Event()
        self._go.set()
        self._first = place.first
        self._lock = threading.Lock()

    def run(self) -> None:
        try:
            self._watch()
        except Exception:
            logger.exception("%s is watched no longer", self.place.name)
        finally:
            self.gone.set()
            self.dead.set()

    def _watch(self) -> None:
        deaths = 0
        while True:
            self._go.wait()
            if deaths > 1:
                self._rest(min(_LONGEST_PAUSE, 2.0 ** (deaths - 2)))
            if self._stopping.is_set():
                return
            began = time.monotonic()
            try:
                process = self._begin()
            except (OSError, HomeError) as error:
                logger.error("%s cannot be started now: %s", self.place.name, error)
                deaths = max(deaths, 1) + 1
                continue
            if process is None:
                continue
            code = process.wait()
            was_ready = self.ready.is_set()
            self.ready.clear()
            self.gone.set()
            if self._stopping.is_set():
                return
            if not self._go.is_set():
                deaths = 0
                continue
            if not was_ready and not self.said:
                return  # it cannot be started, and has said why
            deaths = deaths + 1 if time.monotonic() - began <= _SOON else 1
            told = f"by signal {-code}" if code < 0 else f"with code {code}"
            logger.error("%s (process %d) ended %s; starting it again", self.place.name, process.pid, told)

    def _rest(self, seconds: float) -> None:
        """Waits before another try; where the socket is the process's own, what comes goes to the others meanwhile."""
        if self._reopen is not None and self._listening is not None:
            self._listening.close()
        self._stopping.wait(seconds)

    def _begin(self) -> subprocess.Popen[bytes] | None:
        if self._listening is not None and self._listening.fileno() < 0 and self._reopen is not None:
            self._listening = self._reopen()
        number = -1 if self._listening is None else self._listening.fileno()
        ready, say = os.pipe()
        place = msgspec.structs.replace(self.place, first=self._first, socket=number, ready=say)
        try:
            with self._lock:
                if self._stopping.is_set() or not self._go.is_set():
                    return None
                self.gone.clear()
                self.process = subprocess.Popen(self._command, env=place.environment(), pass_fds=place.files)
            os.close(say)
            say = -1
            with os.fdopen(os.dup(ready), "rb") as said:
                line = said.readline()  # the end of the process ends it, too
        except OSError:
            self.gone.set()
            raise
        finally:
            os.close(ready)
            if say >= 0:
                os.close(say)
        if line:
            self.said = msgspec.json.decode(line)
            self._first = False
            self.ready.set()
        return self.process

    def signal(self, number: int) -> None:
        """Sends a signal to the process that is there now, if one is."""
        process = self.process
        if process is not None and process.poll() is None:
            process.send_signal(number)

    def hold(self) -> None:
        """Has the process end when its requests are done, and none take its place before `go_on`."""
        with self._lock:
            self._go.clear()
        self.signal(signal.SIGTERM)

    def go_on(self, *, first: bool) -> None:
        """Lets a process take the place again; with `first`, it prepares the state."""
        self._first = first
        self._go.set()

    def stop(self) -> None:
        """Has the process end when its requests are done, and none take its place."""
        with self._lock:
            self._stopping.set()
            self._go.set()
        self.signal(signal.SIGTERM)


class Supervisor:
    """`command` starts a process that looks for its `Place`; `base` is where all answer. For each of the sockets
    `listening` there is a gateway. `reopen` makes another socket on the same port, where each gateway has one of its
    own."""

    def __init__(
        self,
        command: Sequence[str],
        base: str,
        listening: Sequence[socket.socket],
        lock: Lock,
        reopen: Callable[[], socket.socket] | None = None,
    ) -> None:
        self._alive, self._wake, self._told = os.pipe(), os.pipe(), os.pipe()
        os.set_blocking(self._wake[1], False)
        self.asked = False
        common = {
            "lock": lock.fileno(),
            "ready": -1,
            "lifeline": self._alive[0],
            "wake_in": self._wake[0],
            "wake_out": self._wake[1],
        }

        def watched(name: str, role: Role, own: socket.socket | None) -> _Watched:
            place = Place(name=name, role=role, first=True, base=base, socket=-1, **common)
            return _Watched(command, place, own, reopen)

        self._consumers = watched("consumers", "consumers", None)
        self._gateways = [watched(f"gateway-{number}", "gateway", own) for number, own in enumerate(listening, 1)]
        self._all = [self._consumers, *self._gateways]

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
                if one.dead.is_set() or self.asked:
                    self.stop(5.0)
                    raise HomeError(f"{one.place.name} could not be started; what it said is above")

    def _mourn(self, watched: _Watched) -> None:
        watched.dead.wait()
        self.end()

    @property
    def processes(self) -> dict[str, int]:
        """The ids of the processes that run now, by place."""
        return {watched.place.name: watched.process.pid for watched in self._all if watched.process is not None}

    def wait(self) -> None:
        """Returns when `end` was called, or a process ended that could not be started again."""
        while not self.asked:
            os.read(self._told[0], 1)

    def end(self) -> None:
        """Makes `wait` return. A signal handler may call it: it takes no lock."""
        self.asked = True
        os.write(self._told[1], b"\0")

    def replace_all(self) -> None:
        """Exchanges all processes: when all that run are done, others begin, so that never two versions of the code
        write to the state. What connects meanwhile waits in the sockets' lines."""
        for group in (self._gateways, [self._consumers]):
            for watched in group:
                watched.hold()
            for watched in group:
                while not watched.gone.wait(0.05):
                    if self.asked:
                        return
        self._consumers.go_on(first=True)
        if self._became_ready([self._consumers]):
            for watched in self._gateways:
                watched.go_on(first=True)
            self._became_ready(self._gateways)

    def _became_ready(self, watched: Sequence[_Watched]) -> bool:
        for one in watched:
            while not one.ready.wait(0.05):
                if self.asked or one.dead.is_set():
                    return False
        return True

    @property
    def said(self) -> dict[str, Any]:
        """What the consumers said when they had prepared the state last."""
        return self._consumers.said

    def stop(self, patience: float) -> bool:
        """Stops the gateways, then the consumers; after `patience` seconds each, by force. Whether force was not
        needed."""
        self.asked = True
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
