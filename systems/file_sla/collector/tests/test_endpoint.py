from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import pytest

from file_sla_collector.config import ConfigError
from file_sla_collector.endpoint import (
    MAX_ANSWER_BYTES,
    Answer,
    Endpoint,
    ExchangeError,
    Line,
    find_proxy,
    is_loopback,
)
from peer import Fault, Peer, certificate, close_mid_body, drip, hang_up, hold, late, not_http, status, text

SHORT = 0.15


def exchange(url: str, **line: object) -> Answer:
    return Line(Endpoint.parse(url), **line).post("/auth", b"{}", {})  # type: ignore[arg-type]


@contextmanager
def closed_port() -> Iterator[int]:
    """A port that nobody else gets, and on which nobody listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield taken.getsockname()[1]


@pytest.mark.parametrize(
    ("url", "scheme", "host", "port", "path", "authority"),
    [
        ("https://a.example.com/file_sla/", "https", "a.example.com", 443, "/file_sla", "a.example.com"),
        ("https://A.example.com:8443", "https", "a.example.com", 8443, "", "a.example.com:8443"),
        ("http://127.0.0.1:8400/file_sla", "http", "127.0.0.1", 8400, "/file_sla", "127.0.0.1:8400"),
        ("http://localhost/", "http", "localhost", 80, "", "localhost"),
        ("http://[::1]:81/x", "http", "::1", 81, "/x", "[::1]:81"),
    ],
)
def test_urls_that_are_taken(url: str, scheme: str, host: str, port: int, path: str, authority: str) -> None:
    endpoint = Endpoint.parse(url)
    assert endpoint == Endpoint(scheme, host, port, path)
    assert endpoint.authority == authority


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("http://api.example.com/", "in the clear"),
        ("http://127.0.0.1.example.com/", "in the clear"),
        ("http://10.0.0.1/", "in the clear"),
        ("ftp://api.example.com/", "must read https://"),
        ("api.example.com", "must read https://"),
        ("https://", "must read https://"),
        ("https://api.example.com/?a=b", "query"),
        ("https://api.example.com/#x", "fragment"),
        ("https://api.example.com:99999/", "cannot be read"),
        ("https://api.example.com/a b", "percent-encoded"),
        ("https://[::1/", "cannot be read"),
    ],
)
def test_urls_that_are_refused(url: str, says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        Endpoint.parse(url)


def test_a_url_with_a_password_is_refused_without_repeating_it() -> None:
    with pytest.raises(ConfigError) as caught:
        Endpoint.parse("https://someone:s3cret@api.example.com/")
    assert "s3cret" not in str(caught.value)


def test_http_to_another_machine_when_it_is_allowed() -> None:
    assert Endpoint.parse("http://api.example.com/", allow_http=True).port == 80


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("localhost", True),
        ("LOCALHOST.", True),
        ("127.9.9.9", True),
        ("::1", True),
        ("0.0.0.0", False),
        ("localhost.example.com", False),
        ("example.com", False),
    ],
)
def test_what_is_this_machine(host: str, expected: bool) -> None:
    assert is_loopback(host) is expected


def test_an_exchange_brings_status_headers_and_body(peer: Peer) -> None:
    peer.fault("/auth", status(429, "slow down", Retry_After="7"))
    answer = exchange(peer.url)
    assert (answer.status, answer.headers["retry-after"]) == (429, "7")
    assert answer.body == b'{"title": "slow down"}'
    (received,) = peer.on("/auth")
    assert received.path == "/file_sla/auth"
    assert received.headers["host"] == f"127.0.0.1:{peer.port}"
    assert received.headers["content-type"] == "application/json"
    assert received.headers["user-agent"].startswith("file-sla-collector/")


@pytest.mark.parametrize("fault", [hang_up, close_mid_body, not_http, drip(b"", b"\x00" * 70_000)])
def test_a_broken_answer_is_an_error(peer: Peer, fault: Fault) -> None:
    peer.fault("/auth", fault)
    with pytest.raises(ExchangeError) as caught:
        exchange(peer.url)
    assert not caught.value.lasting


def test_an_answer_without_end_is_cut_at_its_size(peer: Peer) -> None:
    peer.fault("/auth", drip(b"HTTP/1.1 200 OK\r\n\r\n", b"x" * (MAX_ANSWER_BYTES // 3)))
    with pytest.raises(ExchangeError, match="longer than"):
        exchange(peer.url)


@pytest.mark.parametrize(
    "fault",
    [
        hold,
        drip(b"", b"H"),
        drip(b"HTTP/1.1 200 OK\r\nX: ", b"x"),
        drip(b"HTTP/1.1 200 OK\r\n\r\n", b"x"),
        drip(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n", b"x"),
        drip(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n"),
        drip(b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 100 Continue\r\n\r\n"),
    ],
    ids=["silence", "status line", "header", "body", "body with length", "chunks", "100 Continue"],
)
def test_a_server_that_takes_for_ever_is_left_in_time(peer: Peer, fault: Fault) -> None:
    # Bytes arrive all the time, so that no timeout of the socket would ever fire.
    peer.fault("/auth", fault)
    with pytest.raises(ExchangeError, match=r"no whole answer within 0\.15 s"):
        exchange(peer.url, limit=SHORT)


def test_the_limit_on_connecting_is_not_one_on_answering(peer: Peer) -> None:
    peer.fault("/auth", late(0.1, 401))
    assert exchange(peer.url, connect_limit=0.05, limit=5).status == 401


def test_nobody_listens() -> None:
    with closed_port() as port, pytest.raises(ExchangeError, match="refused"):
        exchange(f"http://127.0.0.1:{port}/")


def test_a_certificate_that_nobody_vouches_for_is_refused_for_good() -> None:
    with Peer(tls=True) as peer:
        with pytest.raises(ExchangeError, match="certificate verify failed") as caught:
            exchange(peer.url)
        assert caught.value.lasting
        assert peer.state.received == []


def test_a_certificate_for_another_host_is_refused() -> None:
    trusted = ssl.create_default_context(cafile=certificate())
    with Peer(tls=True) as peer:
        with pytest.raises(ExchangeError, match="certificate verify failed"):
            exchange(f"https://localhost:{peer.port}/", tls=trusted)
        assert peer.state.received == []


def test_a_certificate_that_is_vouched_for_is_taken() -> None:
    trusted = ssl.create_default_context(cafile=certificate())
    with Peer(tls=True) as peer:
        assert exchange(peer.url, tls=trusted).status == 400


def test_over_tls_too_a_slow_server_is_left_in_time() -> None:
    trusted = ssl.create_default_context(cafile=certificate())
    with Peer(tls=True) as peer:
        peer.fault("/auth", drip(b"HTTP/1.1 200 OK\r\n\r\n", b"x"))
        with pytest.raises(ExchangeError, match="no whole answer"):
            exchange(peer.url, tls=trusted, limit=SHORT)


def test_a_handshake_that_takes_for_ever_is_left_in_time() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def shake() -> None:
            connection, _ = listening.accept()
            with connection, suppress(OSError):
                connection.settimeout(0.02)
                connection.sendall(b"\x16\x03\x03\x40\x00")
                # A byte of a record that never ends, until the other side has gone.
                while True:
                    connection.sendall(b"\x02")
                    with suppress(TimeoutError):
                        if connection.recv(65536) == b"":
                            break

        server = threading.Thread(target=shake)
        server.start()
        with pytest.raises(ExchangeError, match=r"timed out|no whole answer"):
            exchange(f"https://127.0.0.1:{listening.getsockname()[1]}/", limit=SHORT)
        server.join()


def test_tls_to_a_server_that_speaks_none(peer: Peer) -> None:
    with pytest.raises(ExchangeError):
        exchange(peer.url.replace("http:", "https:"), limit=SHORT)


def test_a_redirect_is_an_answer_and_is_not_followed(peer: Peer) -> None:
    with Peer() as elsewhere:
        peer.fault("/auth", status(307, "over there", Location=f"{elsewhere.url}/auth"))
        assert exchange(peer.url).status == 307
        assert elsewhere.state.received == []


def test_http_through_a_proxy_names_the_whole_url(peer: Peer) -> None:
    endpoint = Endpoint.parse("http://api.example.test/file_sla", allow_http=True)
    answer = Line(endpoint, proxy=f"http://127.0.0.1:{peer.port}").post("/auth", b"{}", {})
    assert answer.status == 400
    (received,) = peer.state.received
    assert received.path == "http://api.example.test/file_sla/auth"
    assert received.headers["host"] == "api.example.test"


def test_https_through_a_proxy_asks_for_a_tunnel_and_sends_nothing_without(peer: Peer) -> None:
    # The peer knows no CONNECT and answers 501; the request itself must not have been sent to it.
    line = Line(Endpoint.parse("https://api.example.test/"), proxy=f"127.0.0.1:{peer.port}")
    with pytest.raises(ExchangeError, match="Tunnel connection failed: 501"):
        line.post("/auth", b"{}", {})
    assert peer.state.received == []


@pytest.mark.parametrize("proxy", ["socks5://127.0.0.1:1", "http://u:p@127.0.0.1:1", "http://:80", "http://h:x"])
def test_proxies_that_cannot_be_used(proxy: str) -> None:
    with pytest.raises(ConfigError, match="the proxy in the environment"):
        Line(Endpoint.parse("https://api.example.test/"), proxy=proxy)


def test_the_proxy_comes_from_the_environment_but_not_for_this_machine(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("http_proxy", "no_proxy", "NO_PROXY", "https_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.example.test:3128")
    monkeypatch.setenv("NO_PROXY", ".internal.test")
    assert find_proxy(Endpoint.parse("https://api.example.test/")) == "http://proxy.example.test:3128"
    assert find_proxy(Endpoint.parse("https://api.internal.test/")) is None
    assert find_proxy(Endpoint.parse("https://127.0.0.1/")) is None
    assert find_proxy(Endpoint.parse("http://api.example.test/", allow_http=True)) is None


def test_text_that_is_no_json_is_passed_on(peer: Peer) -> None:
    peer.fault("/auth", text(200, b"<html>"))
    assert exchange(peer.url).body == b"<html>"
