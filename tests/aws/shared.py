"""One server of each kind for a whole process of tests: they take a second to start."""

from __future__ import annotations

import atexit
from functools import cache

from tests.aws.servers import Kind, Server

__all__ = ["shared"]


@cache
def shared(kind: Kind) -> Server:
    """The process's server of that kind, started when it is first asked for and ended with the process."""
    server = Server(kind)
    atexit.register(server.stop)
    return server
