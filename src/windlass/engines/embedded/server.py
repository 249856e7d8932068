"""Runs the gateway on a listening socket until it is told to stop."""

from __future__ import annotations

import asyncio
import errno
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from granian.constants import HTTPModes, Interfaces
from granian.http import HTTP1Settings
from granian.net import SocketHolder  # type: ignore[attr-defined]
from granian.server.embed import Server

from windlass.engines.embedded.gateway import Gateway
from windlass.errors import HomeError

__all__ = ["listen", "listen_together", "serve"]

_BACKLOG = 4096
_HEADER_MILLISECONDS = 10_000
_HEADER_BYTES = 64 * 1024
_LAST_BODIES_SECONDS = 2.0
_MOST_FILES = 65_536


def listen(host: str, port: int, *, beside: bool = False) -> socket.socket:
    """A socket that listens on `port`, 0 for any that is free. With `beside`, others that were opened so listen on the
    same port, and the system deals connections out to them. Raises HomeError when that cannot be."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.socket(family)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if beside:
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        listening.bind((host, port))
        listening.listen(_BACKLOG)
    except OSError as error:
        listening.close()
        match error.errno:
            case errno.EADDRINUSE:
                fix = "stop the program that uses it, or give another with --port (0: any that is free)"
            case errno.EACCES:
                fix = "give a port above 1023 with --port; those below are for root"
            case _:
                fix = "give an address of this machine with --host: 127.0.0.1, or 0.0.0.0 for all that it has"
        raise HomeError(f"cannot listen on {host}:{port}: {error.strerror}\n  fix: {fix}") from error
    return listening


class _Server(Server):
    """granian's embedded server on a socket that is open already, so that it outlives the process image at a
    reload: connections wait in its line instead of being refused."""

    def __init__(self, listening: socket.socket, gateway: Gateway, **options: Any) -> None:
        host, port = listening.getsockname()[:2]
        super().__init__(gateway, address=host, port=port, **options)
        self._listening = listening

    def _init_shared_socket(self) -> None:
        fileno = os.dup(self._listening.fileno())
        vars(self).update(_sfd=fileno, _shd=SocketHolder(fileno, False, _BACKLOG))  # type: ignore[call-arg]


def serve(
    gateway: Gateway,
    listening: socket.socket,
    *,
    ready: Callable[[], None],
    started: Callable[[Callable[[], None]], None],
    ended: Callable[[], None],
    tls: tuple[Path, Path] | None = None,
    interrupts: bool = True,
) -> bool:
    """Serves until SIGINT or SIGTERM, or until it is stopped; returns whether a signal asked for the end, also while
    it was stopping already. A second SIGINT ends the process at once.

    `started` is called first, with a function that stops the server from any thread; `ready` once requests are
    answered; `ended` when the last was. `tls` holds the paths of certificate and key (PEM). Without `interrupts`,
    SIGINT is left to somebody else.
    """
    _allow_many_connections()
    runner: Callable[..., Any] = asyncio.run
    if find_spec("uvloop"):  # there is none for Windows
        import uvloop

        runner = uvloop.run
    asked = threading.Event()
    runner(_serve(gateway, listening, ready, started, ended, tls, asked, interrupts))
    if asked.is_set():
        signal.signal(signal.SIGTERM, signal.SIG_IGN)  # it was heeded: what is left is to exit
    return asked.is_set()


def _allow_many_connections() -> None:
    """Raises the number of open files, which the system sets low for programs that use select(), as far as may be."""
    if sys.platform != "win32":
        import resource

        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        most = min(_MOST_FILES, hard) if hard != resource.RLIM_INFINITY else _MOST_FILES
        if soft < most:
            resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))


def listen_together(host: str, port: int, count: int) -> list[socket.socket]:
    """A listening socket for each of `count` processes, on one port. Raises HomeError as `listen`, also when another
    program listens there that would share the port."""
    first = listen(host, port)
    if sys.platform != "linux":  # elsewhere the system does not deal connections out: all take from one line
        return [first, *(first.dup() for _ in range(count - 1))]
    port = first.getsockname()[1]
    first.close()  # nobody else listens; it cannot be shared
    return [listen(host, port, beside=True) for _ in range(count)]


async def _serve(
    gateway: Gateway,
    listening: socket.socket,
    ready: Callable[[], None],
    started: Callable[[Callable[[], None]], None],
    ended: Callable[[], None],
    tls: tuple[Path, Path] | None,
    asked: threading.Event,
    interrupts: bool,
) -> None:
    server = _Server(
        listening,
        gateway,
        interface=Interfaces.RSGI,
        http=HTTPModes.http1,
        websockets=False,
        backlog=_BACKLOG,
        backpressure=16384,
        http1_settings=HTTP1Settings(header_read_timeout=_HEADER_MILLISECONDS, max_buffer_size=_HEADER_BYTES),
        log_enabled=False,
        ssl_cert=tls[0] if tls else None,
        ssl_key=tls[1] if tls else None,
    )
    loop = asyncio.get_running_loop()
    stopping = asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, _asked_to_end, stopping, asked)
    if interrupts:
        loop.add_signal_handler(signal.SIGINT, _interrupted, stopping, asked)
    started(lambda: _set_soon(loop, stopping))
    serving = asyncio.ensure_future(server.serve())
    finished = asyncio.ensure_future(stopping.wait())
    await asyncio.sleep(0)  # runs the server's start, which raises at once or not at all
    if not serving.done():
        gateway.ready = True
        ready()
    try:
        await asyncio.wait({serving, finished}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        gateway.ready = False
        finished.cancel()
        loop.call_later(_LAST_BODIES_SECONDS, gateway.give_up_reading)
        if not serving.done():
            server.stop()  # type: ignore[no-untyped-call]
        try:
            await serving
        finally:
            # On a thread, so that a second Ctrl-C is still heard.
            await loop.run_in_executor(None, ended)


def _asked_to_end(stopping: asyncio.Event, asked: threading.Event) -> None:
    asked.set()
    stopping.set()


def _interrupted(stopping: asyncio.Event, asked: threading.Event) -> None:
    if asked.is_set():
        os._exit(128 + signal.SIGINT)  # safe at any moment, as kill -9 is
    _asked_to_end(stopping, asked)


def _set_soon(loop: asyncio.AbstractEventLoop, event: asyncio.Event) -> None:
    loop.call_soon_threadsafe(event.set)
