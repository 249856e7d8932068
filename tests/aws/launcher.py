"""The program of a server's process: `launcher.py moto|ministack FD`.

It serves on a listening socket that it inherits, so that there is no race for a free port, until its standard input
ends, so that it never outlives the tests, however they end.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
import threading
from pathlib import Path

__all__ = ["main"]


def main(kind: str, fd: int) -> None:
    """Serves. The process and what it started, as MiniStack does for Lambda functions, must be a group of its own."""
    threading.Thread(target=_end_with_input, daemon=True).start()
    if kind == "moto":
        _moto(fd)
    else:
        _ministack(fd)


def _end_with_input() -> None:
    while os.read(0, 4096):
        pass
    # libfaketime's memory outlives a process that is killed: it names a semaphore and a piece of shared memory.
    semaphore, _, memory = os.environ.get("FAKETIME_SHARED", "").partition(" ")
    if memory:
        Path(f"/dev/shm/sem.{semaphore.removeprefix('/')}").unlink(missing_ok=True)
        Path(f"/dev/shm/{memory.removeprefix('/')}").unlink(missing_ok=True)
    os.killpg(0, signal.SIGKILL)


def _moto(fd: int) -> None:
    from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
    from werkzeug.serving import make_server

    logging.getLogger("werkzeug").setLevel(logging.ERROR)  # not a line for each request
    application = DomainDispatcherApplication(create_backend_app)
    make_server("127.0.0.1", 0, application, threaded=True, request_handler=MotoRequestHandler, fd=fd).serve_forever()


def _ministack(fd: int) -> None:
    from hypercorn.asyncio import serve
    from hypercorn.config import Config
    from ministack.app import app

    config = Config()
    config.bind = [f"fd://{fd}"]
    config.keep_alive_timeout = 75  # as MiniStack's own start has it
    config.loglevel = "WARNING"
    asyncio.run(serve(app, config))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
