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
    in the process that prepares the state. The numbers are open files that the process inherits: the listening socket,
    the namespace's lock, the end of a pipe that closes when the supervisor ends, and the two ends of the pipe by which
    gateways wake the consumers."""

    name: str
    role: Role
    first: bool
    socket: int
    lock: int
    lifeline: int
    wake_in: int
    wake_out: int

    @staticmethod
    def taken() -> Place | None:
        """This process's place, None where it has no supervisor; asked once, since what it starts has none."""
        text = os.environ.pop(_VARIABLE, None)
        return None if text is None else msgspec.json.decode(text, type=Place)

    @property
    def files(self) -> tuple[int, ...]:
        """The open files to pass on."""
        return (self.socket, self.lock, self.lifeline, self.wake_in, self.wake_out)

    def environment(self) -> dict[str, str]:
        """The environment of the process that takes this place."""
        return {**os.environ, _VARIABLE: msgspec.json.encode(self).decode()}

    def arrived(self) -> None:
        """Wakes the consumers. A pipe that is full has woken them already; one that is closed has nobody to wake."""
        with suppress(BlockingIOError, BrokenPipeError):
            os.write(self.wake_out, b"\0")

    def listen(self, wake: Callable[[], None]) -> None:
        """Calls `wake` whenever a gateway has something for the consumers."""
        os.set_blocking(self.wake_in, True)
        _Reader(self.wake_in, wake, lambda: None).start()

    def outlive(self, ended: Callable[[], None]) -> None:
        """Calls `ended` when the supervisor has ended."""
        _Reader(self.lifeline, lambda: None, ended).start()


class _Reader(threading.Thread):
    def __init__(self, file: int, came: Callable[[], None], closed: Callable[[], None]) -> None:
        super().__init__(name="windlass-place", daemon=True)
        self._file, self._came, self._closed = file, came, closed

    def run(self) -> None:
        while os.read(self._file, 65_536):
            self._came()
        self._closed()
