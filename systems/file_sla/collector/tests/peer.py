"""A peer for the client: an HTTP server on a free port that keeps the API's contract, or breaks it."""

from __future__ import annotations

import json
import ssl
import tempfile
import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

USERNAME = "collector@example.com"
PASSWORD = "correct horse"

_FOLDER = tempfile.TemporaryDirectory(prefix="collector-tls-")


@cache
def certificate() -> Path:
    """A file with a new key and its self-signed certificate for 127.0.0.1, removed when the tests end."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    today = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(today - timedelta(days=1))
        .not_valid_after(today + timedelta(days=2))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = Path(_FOLDER.name) / "loopback.pem"
    secret = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path.write_bytes(made.public_bytes(serialization.Encoding.PEM) + secret)
    return path


# What a peer does instead of what the contract says, once.
Fault = Callable[["Handler"], None]


@dataclass
class Received:
    """One request, as it came in."""

    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def key(self) -> str:
        return self.headers["idempotency-key"]

    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class State:
    """What the handlers of one peer share."""

    received: list[Received] = field(default_factory=list)
    faults: dict[str, deque[Fault | None]] = field(default_factory=dict)
    stored: dict[str, bytes] = field(default_factory=dict)
    tokens: set[str] = field(default_factory=set)
    expires_in: object = 3600
    lock: threading.Lock = field(default_factory=threading.Lock)
    reached: threading.Event = field(default_factory=threading.Event)
    closing: threading.Event = field(default_factory=threading.Event)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    state: State

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        headers = {name.lower(): value for name, value in self.headers.items()}
        route = "/" + self.path.rpartition("/")[2]
        with self.state.lock:
            self.state.received.append(Received(self.path, headers, body))
            faults = self.state.faults.get(route)
            fault = faults.popleft() if faults else None
        if fault is not None:
            fault(self)
        elif route == "/auth":
            self.sign_in(json.loads(body))
        elif route == "/file_sla_error":
            self.store(body, headers)
        else:
            self.answer(404, {"title": "Not Found"})

    def sign_in(self, asked: dict[str, str]) -> None:
        if set(asked) != {"username", "password"}:
            self.answer(400, {"title": "Bad Request", "detail": "username and password are needed"})
        elif asked != {"username": USERNAME, "password": PASSWORD}:
            self.answer(401, {"title": "Unauthorized", "detail": f"wrong: {asked['password']}"})
        else:
            with self.state.lock:
                token = f"token-{len(self.state.tokens) + 1}"
                self.state.tokens.add(token)
            fields = {"access_token": token, "id_token": "i", "refresh_token": "r", "token_type": "Bearer"}
            self.answer(200, fields | {"expires_in": self.state.expires_in})

    def store(self, body: bytes, headers: dict[str, str]) -> None:
        if headers.get("authorization", "").removeprefix("Bearer ") not in self.state.tokens:
            self.answer(401, {"title": "Unauthorized"})
        elif len(body) > 256 * 1024:
            self.answer(413, {"title": "Content Too Large"})
        elif headers["content-type"] != "application/json":
            self.answer(415, {"title": "Unsupported Media Type"})
        else:
            with self.state.lock:
                same = self.state.stored.setdefault(headers["idempotency-key"], body) == body
            if same:
                self.answer(200, {"stored": ["id"] * len(json.loads(body)["sla_error"])})
            else:
                self.answer(422, {"title": "the key was used for another body"})

    def answer(self, status: int, fields: object, **headers: str) -> None:
        content = json.dumps(fields).encode()
        kind = "application/json" if status < 400 else "application/problem+json"
        self.raw(status, content, {"Content-Type": kind} | {k.replace("_", "-"): v for k, v in headers.items()})

    def raw(self, status: int, content: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:
        """Be quiet."""


class Peer:
    """The server. `url` is its base URL."""

    def __init__(self, *, tls: bool = False) -> None:
        self.state = State()
        handler = type("BoundHandler", (Handler,), {"state": self.state})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._server.daemon_threads = False
        if tls:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate())
            self._server.socket = context.wrap_socket(
                self._server.socket, server_side=True, do_handshake_on_connect=False
            )
        self._server.handle_error = lambda request, client_address: None  # type: ignore[method-assign]
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.005})
        self.port: int = self._server.server_address[1]
        self.url = f"{'https' if tls else 'http'}://127.0.0.1:{self.port}/file_sla"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.state.closing.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def fault(self, route: str, *faults: Fault | None) -> None:
        """What goes wrong on `route` from now on, in order; None is a request that goes well."""
        with self.state.lock:
            self.state.faults.setdefault(route, deque()).extend(faults)

    def forget_tokens(self) -> None:
        """Every token that was given out is worthless from now on."""
        with self.state.lock:
            self.state.tokens = {f"spent-{n}" for n in range(len(self.state.tokens))}

    def on(self, route: str) -> list[Received]:
        """What came in on one route."""
        with self.state.lock:
            return [each for each in self.state.received if each.path.endswith(route)]

    @property
    def signed_in(self) -> int:
        return len(self.on("/auth"))

    @property
    def posts(self) -> list[Received]:
        return self.on("/file_sla_error")


def status(code: int, title: str = "no", **headers: str) -> Fault:
    """Answer with `code` and a problem document."""
    return lambda handler: handler.answer(code, {"title": title}, **headers)


def text(code: int, content: bytes) -> Fault:
    """Answer with a body that is not what the contract says."""
    return lambda handler: handler.raw(code, content, {"Content-Type": "text/html"})


def hang_up(handler: Handler) -> None:
    """Close the connection without a word."""
    handler.close_connection = True


def close_mid_body(handler: Handler) -> None:
    """Promise more bytes than are sent."""
    handler.wfile.write(b'HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n{"stored":')
    handler.close_connection = True


def not_http(handler: Handler) -> None:
    """Answer in another protocol."""
    handler.wfile.write(b"220 mail.example.com ESMTP\r\n")
    handler.close_connection = True


def drip(prefix: bytes, unit: bytes) -> Fault:
    """Send `prefix`, then `unit` again and again, for as long as someone listens."""

    def dripping(handler: Handler) -> None:
        handler.close_connection = True
        with suppress(OSError):
            handler.wfile.write(prefix)
            while not handler.state.closing.wait(0.02):
                handler.wfile.write(unit)

    return dripping


def late(seconds: float, code: int) -> Fault:
    """Answer with `code`, after some time."""

    def waiting(handler: Handler) -> None:
        handler.state.closing.wait(seconds)
        handler.answer(code, {})

    return waiting


def hold(handler: Handler) -> None:
    """Say that the request is here, and answer nothing."""
    handler.state.reached.set()
    handler.state.closing.wait()
    handler.close_connection = True
