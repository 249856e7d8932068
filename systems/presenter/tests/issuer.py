"""Whoever signs tokens: by the shared key, or by RSA keys whose public halves a server on this machine gives out."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Mapping
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa
from jwt.algorithms import RSAAlgorithm

from windlass.testing import Driver

__all__ = ["BOTH", "KeyServer", "bearer", "claims", "jwk", "part", "private_key", "rs256", "secret", "token"]

BOTH = ("data.read", "data.write")


def private_key(name: str, bits: int = 2048) -> rsa.RSAPrivateKey:
    """An RSA key, made once for each name."""
    return _made(name, bits)


@cache
def _made(name: str, bits: int) -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=bits)


def jwk(name: str, bits: int = 2048, **more: Any) -> dict[str, Any]:
    """The public half of `private_key(name)` as a JSON Web Key, with `name` as its id."""
    public: dict[str, Any] = RSAAlgorithm.to_jwk(private_key(name, bits).public_key(), as_dict=True)
    return {"kty": "RSA", "n": public["n"], "e": public["e"], "kid": name, "use": "sig", "alg": "RS256"} | more


def secret(app: Driver, name: str) -> str:
    """The value of one of the driver's secrets."""
    with app.bound():
        value: str = app.secret(name).read()
    return value


def claims(app: Driver, **more: Any) -> dict[str, Any]:
    """The claims of a good token of ada's. One that is given as None is left out."""
    now = int(app.clock.now())
    made = {"sub": "ada", "Role": list(BOTH), "iat": now, "exp": now + 3600} | more
    return {name: value for name, value in made.items() if value is not None}


def token(app: Driver, **more: Any) -> str:
    """A token that is signed with the shared key."""
    return jwt.encode(claims(app, **more), secret(app, "jwt_key"), algorithm="HS256")


def rs256(app: Driver, key: str, *, headers: Mapping[str, Any] | None = None, **more: Any) -> str:
    """A token that is signed with `private_key(key)`; its header names that key unless `headers` says otherwise."""
    head = {"kid": key} if headers is None else dict(headers)
    return jwt.encode(claims(app, **more), private_key(key), algorithm="RS256", headers=head)


def bearer(text: str) -> dict[str, str]:
    """The header that carries a token."""
    return {"authorization": f"Bearer {text}"}


def part(content: Any) -> str:
    """A part of a token, made by hand."""
    raw = content if isinstance(content, bytes) else json.dumps(content).encode()
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


class KeyServer:
    """Gives out a key set over HTTP on a free port. `answer` is what it says, `status` with which status; `fetched`
    counts how often it was asked. Each request waits until `open` is set; with `drop_every`, in seconds, its answer
    comes byte by byte."""

    def __init__(self, *keys: dict[str, Any]) -> None:
        self.status, self.headers = 200, {"Content-Type": "application/jwk-set+json"}
        self.fetched = 0
        self.drop_every: float | None = None
        self.asked, self.open, self.stopped = threading.Event(), threading.Event(), threading.Event()
        self.open.set()
        self.give(*keys)
        owner = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                owner.fetched += 1
                owner.asked.set()
                owner.open.wait(30)
                try:
                    self.send_response(owner.status)
                    for name, value in owner.headers.items():
                        self.send_header(name, value)
                    self.send_header("Content-Length", str(len(owner.answer)))
                    self.end_headers()
                    if owner.drop_every is None:
                        self.wfile.write(owner.answer)
                        return
                    for byte in owner.answer:
                        self.wfile.write(bytes([byte]))
                        owner.stopped.wait(owner.drop_every)
                except (BrokenPipeError, ConnectionResetError):
                    self.close_connection = True  # whoever asked has heard enough

            def log_message(self, format: str, *arguments: Any) -> None:
                """Nothing: a test's output is its own."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_port}/keys"

    def give(self, *keys: dict[str, Any]) -> None:
        """Makes these its keys."""
        self.answer = json.dumps({"keys": list(keys)}).encode()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.stop()

    def stop(self) -> None:
        """Answers nobody any more."""
        self.open.set()
        self.stopped.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
