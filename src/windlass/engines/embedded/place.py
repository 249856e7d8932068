"""A process's place among those that serve a namespace together, as its supervisor tells it."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from contextlib import suppress

import msgspec

from windlass.engines.embedded.engine import Role

__all__ = ["Place"]

_VARIABLE = "WINDLASS_PLACE"


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """`name` is unique (`gateway-1`, `consumers`) and stays the same when the process is started anew; `first` is set
    in the process that prepares the state; `base` is where all answer.

    The numbers are open files that the process inherits: a gateway's listening socket (-1 for the consumers), the
    namespace's lock, the pipe in which it says that it is ready, the end of a pipe that closes when the supervisor
    ends, and the two ends of the pipe by which gateways wake the consumers.
    """

    name: str
    role: Role
    first: bool
    base: str
    socket: int
    lock: int
    ready: int
    lifeline: int
    wake_in: int
    wake_out: int

    @staticmethod
    def taken() -> Place | None:
        """This process's place, None where it has no supervisor; asked once, since what it starts has none."""
        text = os.environ.pop(_VARIABLE, None)
        if text is None:
            return None
        place = msgspec.json.decode(text, type=Place)
        for file in place.files:  # what a handler starts must hold neither the lock nor a socket
            os.set_inheritable(file, False)
        return place

    @property
    def files(self) -> tuple[int, ...]:
        """The open files to pass on."""
        held = (self.lock, self.ready, self.lifeline, self.wake_in, self.wake_out)
        return held if self.socket < 0 else (self.socket, *held)

    def environment(self) -> dict[str, str]:
        """The environment of the process that takes this place."""
        return {**os.environ, _VARIABLE: msgspec.json.encode(self).decode()}

    def say_ready(self, document: bytes) -> None:
        """Tells the supervisor that this process is ready, with what it is to show; once."""
        with suppress(BrokenPipeError):  # it has just ended: so will this process
            os.write(self.ready, document + b"\n")
        os.close(self.ready)

    def arrived(self) -> None:
        """Wakes the consumers. A pipe that is full has woken them already; one that is closed has nobody to wake."""
        with suppress(BlockingIOError, BrokenPipeError):
            os.write(self.wake_out, b"\0")

    def listen(self, wake: Callable[[], None]) -> None:
        """Calls `wake` whenever a gateway has something for the consumers."""
        os.set_blocking(self.wake_in, True)
        _Reader(self.wake_in, wake, lambda: None).start()

    def outlive(self, ended: Callable[[], object]) -> None:
        """Calls `ended` when the supervisor has ended."""
        _Reader(self.lifeline, lambda: None, ended).start()


class _Reader(threading.Thread):
    def __init__(self, file: int, came: Callable[[], None], closed: Callable[[], object]) -> None:
        super().__init__(name="windlass-place", daemon=True)
        self._file, self._came, self._closed = file, came, closed

    def run(self) -> None:
        while os.read(self._file, 65_536):
            self._came()
        self._closed()
