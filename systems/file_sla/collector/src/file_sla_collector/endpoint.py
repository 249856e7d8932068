"""The API's address, and one exchange of a request and an answer with it.

Every exchange has its own connection, a limit on its whole duration and a limit on the size of the answer,
and follows no redirect: credentials go to the host that the user named and to no other.
"""

from __future__ import annotations

import ipaddress
import re
import socket
import ssl
import threading
import urllib.request
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from http.client import HTTPException
from typing import Self
from urllib.parse import SplitResult, urlsplit

from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import HTTPError

from file_sla_collector import __version__
from file_sla_collector.config import ConfigError

MAX_ANSWER_BYTES = 1024 * 1024
USER_AGENT = f"file-sla-collector/{__version__}"

_CHUNK = 64 * 1024
_BEHIND_LIMIT = 5.0


class ExchangeError(Exception):
    """No answer: network, name service, TLS or time limit. `lasting` when trying again cannot help."""

    def __init__(self, message: str, *, lasting: bool = False) -> None:
        super().__init__(message)
        self.lasting = lasting


@dataclass(frozen=True, slots=True)
class Answer:
    """What the server answered: status, headers by lower-case name, body."""

    status: int
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A checked base URL. `path` has no slash at its end."""

    scheme: str
    host: str
    port: int
    path: str

    @classmethod
    def parse(cls, url: str, *, allow_http: bool = False) -> Endpoint:
        """Check a base URL such as `https://api.example.com/file_sla`.

        Raises ConfigError for one that would send the password in the clear (http to a host that is not this
        machine, unless `allow_http`), that holds credentials, a query or a fragment, or that is no URL.
        """
        try:
            parts = urlsplit(url.strip())
            port = parts.port
        except ValueError as error:
            raise ConfigError(f"the URL cannot be read: {error}") from error
        host = parts.hostname
        if parts.username is not None or parts.password is not None:
            # The URL itself is not repeated: it holds a password.
            raise ConfigError("the URL must not hold a username or a password; see --help for where they go")
        if parts.scheme not in ("https", "http") or not host:
            raise ConfigError(f"the URL {url!r} must read https://HOST[:PORT][/PATH]")
        if parts.query or parts.fragment:
            raise ConfigError(f"the URL {url!r} must not have a query or a fragment")
        if not re.fullmatch(r"[!-~]*", parts.path) or re.search(r"[\x00-\x20\x7f]", host):
            raise ConfigError(f"the URL {url!r} must be percent-encoded")
        if parts.scheme == "http" and not allow_http and not is_loopback(host):
            raise ConfigError(
                f"the URL {url!r} is neither https nor on this machine: the password would travel "
                "in the clear; use https, or --allow-http on a network that you trust"
            )
        return cls(parts.scheme, host, port or _default_port(parts), parts.path.rstrip("/"))

    @property
    def authority(self) -> str:
        """Host and port as they stand in a URL."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == {"http": 80, "https": 443}[self.scheme] else f"{host}:{self.port}"


def _default_port(parts: SplitResult) -> int:
    return 443 if parts.scheme == "https" else 80


def is_loopback(host: str) -> bool:
    """Whether `host` is this machine by its very name: localhost, 127.0.0.0/8 or ::1."""
    if host.rstrip(".").lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def find_proxy(endpoint: Endpoint) -> str | None:
    """The proxy that the environment names for `endpoint`: HTTPS_PROXY, HTTP_PROXY, NO_PROXY.

    There is none for loopback.
    """
    if is_loopback(endpoint.host) or urllib.request.proxy_bypass(endpoint.host):
        return None
    return urllib.request.getproxies().get(endpoint.scheme)


class Line:
    """A way to exchange requests with an `endpoint`, directly or through `proxy` (an `http://HOST:PORT`).

    `limit` is the seconds that one exchange may take from first to last byte, `connect_limit` those to
    connect. `tls` replaces the verification by the machine's own certificates, with another list of them for
    example; it is for https only. Raises ConfigError for a proxy that cannot be used.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        *,
        limit: float = 15.0,
        connect_limit: float = 5.0,
        tls: ssl.SSLContext | None = None,
        proxy: str | None = None,
    ) -> None:
        self._endpoint = endpoint
        self._limit = limit
        self._timeout = min(connect_limit, limit)
        self._tls = (tls or ssl.create_default_context()) if endpoint.scheme == "https" else None
        self._proxy = _parse_proxy(proxy) if proxy else None

    def post(self, path: str, body: bytes, headers: Mapping[str, str]) -> Answer:
        """Send `body`, which is JSON, to `path` below the base URL. Raises ExchangeError."""
        all_headers = {
            "Host": self._endpoint.authority,
            "User-Agent": USER_AGENT,
            "Content-Type": "application/json",
            "Accept": "application/json, application/problem+json",
            "Accept-Encoding": "identity",
            "Connection": "close",
            **headers,
        }
        target = self._endpoint.path + path
        if self._proxy and self._endpoint.scheme == "http":
            target = f"http://{self._endpoint.authority}{target}"
        connection = self._connection()
        with _Limit(self._limit, connection) as limit:
            try:
                answer = _exchange(connection, limit, target, body, all_headers)
            except (HTTPError, HTTPException, OSError, ValueError) as error:
                limit.check(error)
                raise ExchangeError(_describe(error), lasting=_is_certificate(error)) from error
            # Without a Content-Length, a connection that the limit cut looks like the end of the answer.
            limit.check()
            return answer

    def _connection(self) -> HTTPConnection:
        host, port = self._proxy or (self._endpoint.host, self._endpoint.port)
        if self._tls is None:
            return HTTPConnection(host, port, timeout=self._timeout)
        connection = HTTPSConnection(host, port, timeout=self._timeout, ssl_context=self._tls)
        if self._proxy:
            connection.set_tunnel(self._endpoint.host, self._endpoint.port, scheme="http")
        return connection


def _parse_proxy(proxy: str) -> tuple[str, int]:
    try:
        parts = urlsplit(proxy if "://" in proxy else f"http://{proxy}")
        host, port = parts.hostname, parts.port or 80
    except ValueError:
        host, port, parts = None, 0, urlsplit("")
    if not host or parts.scheme != "http" or parts.username is not None:
        raise ConfigError("the proxy in the environment must read http://HOST:PORT, without a username")
    return host, port


def _exchange(
    connection: HTTPConnection, limit: _Limit, target: str, body: bytes, headers: Mapping[str, str]
) -> Answer:
    connection.connect()
    limit.hold(connection.sock)
    # Later than the limit itself, so that it is always the limit that ends a silence, and says so.
    connection.timeout = limit.seconds + _BEHIND_LIMIT
    connection.request("POST", target, body=body, headers=headers, preload_content=False)
    response = connection.getresponse()
    try:
        content = bytearray()
        while chunk := response.read(_CHUNK, decode_content=False):
            content += chunk
            if len(content) > MAX_ANSWER_BYTES:
                raise ExchangeError(f"the answer is longer than {MAX_ANSWER_BYTES} bytes")
        found = {name.lower(): value for name, value in response.headers.items()}
        return Answer(response.status, found, bytes(content))
    finally:
        response.close()


class _Limit:
    """Cuts a connection after `seconds`, and closes it in the end.

    A socket's own timeout starts again with every byte, so a server that sends a byte a second would hold the
    collector for ever.
    """

    def __init__(self, seconds: float, connection: HTTPConnection) -> None:
        self.seconds = seconds
        self._connection = connection
        self._held: socket.socket | None = None
        self._done = threading.Event()
        self._late = threading.Event()
        self._watcher = threading.Thread(target=self._watch, name="exchange-limit", daemon=True)

    def __enter__(self) -> Self:
        self._watcher.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._watcher.join()
        self._connection.close()

    def hold(self, sock: socket.socket | None) -> None:
        """Remember the connected socket: the connection forgets it as soon as the answer has begun."""
        self._held = sock

    def check(self, cause: Exception | None = None) -> None:
        """Raise ExchangeError when the time is over."""
        if self._late.is_set():
            raise ExchangeError(f"no whole answer within {self.seconds:g} s") from cause

    def _watch(self) -> None:
        if self._done.wait(self.seconds):
            return
        self._late.set()
        # Again and again: at the first look the name may still be looked up, and there is no socket yet.
        while not self._done.wait(0.02):
            sock = self._held or self._connection.sock
            if sock is not None:
                with suppress(OSError, ValueError):
                    # Past any TLS layer, whose own shutdown is not safe while the other thread reads.
                    socket.socket.shutdown(sock, socket.SHUT_RDWR)


def _is_certificate(error: BaseException | None) -> bool:
    while error is not None:
        if isinstance(error, ssl.SSLCertVerificationError):
            return True
        error = error.__cause__ or error.__context__
    return False


def _describe(error: Exception) -> str:
    text = str(error).strip()
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
