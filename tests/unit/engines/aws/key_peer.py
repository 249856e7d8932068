"""A server of keys to test against: it answers what it is told to, and counts how often it was asked."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa

__all__ = ["KeyPeer", "jwk", "new_key"]


def new_key() -> rsa.RSAPrivateKey:
    """A key as Cognito has them."""
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def jwk(key: rsa.RSAPrivateKey, kid: str, **more: Any) -> dict[str, Any]:
    """The public half, as Cognito publishes it."""
    published = jwt.algorithms.RSAAlgorithm.to_jwk(key.public_key(), as_dict=True)
    kept = {name: published[name] for name in ("kty", "n", "e")}
    return {**kept, "kid": kid, "alg": "RS256", "use": "sig", **more}


class KeyPeer:
    """Answers every GET with `status` and `body`; `asked` is how often."""

    def __init__(self, *keys: dict[str, Any]) -> None:
        self.status, self.asked = 200, 0
        self.body = b""
        self.publish(*keys)
        peer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                peer.asked += 1
                self.send_response(peer.status)
                self.send_header("content-type", "application/json")
                self.send_header("content-length", str(len(peer.body)))
                self.end_headers()
                self.wfile.write(peer.body)

            def log_message(self, format: str, *args: Any) -> None:
                """Says nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}/pool/.well-known/jwks.json"

    def publish(self, *keys: dict[str, Any]) -> None:
        """Changes the keys."""
        self.body = json.dumps({"keys": list(keys)}).encode()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
