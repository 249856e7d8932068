"""What stands in for AWS in these tests: moto's server, and a peer before it that says now and then something else."""

from __future__ import annotations

import http.client
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, cast

from moto.server import ThreadedMotoServer

from windlass.engines.aws.clients import Clients

__all__ = ["ACCOUNT", "REGION", "AwsPeer", "clients_of", "moto_server"]

REGION, ACCOUNT = "eu-west-1", "123456789012"

Answer = Callable[[dict[str, Any]], tuple[int, dict[str, Any]] | None]


@contextmanager
def moto_server() -> Iterator[str]:
    """moto's server on a free port; its address."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        yield f"http://127.0.0.1:{server.get_host_and_port()[1]}"
    finally:
        server.stop()


def clients_of(endpoint: str) -> Clients:
    """Clients of a stand-in: to make one takes a while, so that tests share them."""
    return Clients(REGION, endpoint=endpoint, access_key="testing", secret_key="testing")


@dataclass
class AwsPeer:
    """Passes requests in AWS's JSON protocols on to `behind`, and notes them: the operation, or the path where the
    protocol has that, and what was asked. `answers` may hold for an operation a function from what is asked to a status
    and an answer; None for the usual."""

    behind: str
    answers: dict[str, Answer] = field(default_factory=dict)
    asked: list[tuple[str, dict[str, Any]]] = field(default_factory=list)

    def begin(self) -> AwsPeer:
        """For the next test: nothing was asked, and all is passed on."""
        self.answers.clear()
        self.asked.clear()
        return self

    @contextmanager
    def listening(self) -> Iterator[str]:
        """The address, while it listens."""
        server = _Server(("127.0.0.1", 0), _Conversation)
        server.peer = self
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            server.server_close()
            thread.join()


class _Server(ThreadingHTTPServer):
    peer: AwsPeer


class _Conversation(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        peer = cast(_Server, self.server).peer
        operation = self.headers.get("X-Amz-Target", "").rpartition(".")[2] or self.path
        body = self.rfile.read(int(self.headers["Content-Length"]))
        asked = json.loads(body) if "json" in self.headers.get("Content-Type", "application/json") else {}
        peer.asked.append((operation, asked))
        said = peer.answers[operation](asked) if operation in peer.answers else None
        if said is None:
            status, headers, answer = self._passed_on(peer.behind, body)
        else:
            status, answer = said[0], json.dumps(said[1]).encode()
            headers = {"Content-Type": "application/json"}
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(answer)), "Connection": "close"}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(answer)

    def _passed_on(self, behind: str, body: bytes) -> tuple[int, dict[str, str], bytes]:
        connection = http.client.HTTPConnection(behind.removeprefix("http://"))
        try:
            connection.request("POST", self.path, body, dict(self.headers.items()))
            response = connection.getresponse()
            return response.status, dict(response.getheaders()), response.read()
        finally:
            connection.close()

    def log_message(self, format: str, *args: object) -> None:
        """Nothing: the test looks at what was asked."""
