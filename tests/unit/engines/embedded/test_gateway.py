"""The gateway over real HTTP: what hangs, what floods, what is malformed, and that it serves on all the same."""

from __future__ import annotations

import json
import socket
import sqlite3
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.up import Up

APP = Path(__file__).parent / "gateway_app"


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    with Up(APP, home=tmp_path_factory.mktemp("gateway") / "home", options=("--no-reload",)) as up:
        yield up


def connect(up: Up) -> socket.socket:
    host, port = up.url.removeprefix("http://").split(":")
    return socket.create_connection((host, int(port)), timeout=20)


def raw(up: Up, data: bytes) -> bytes:
    """Sends bytes as they are and returns the beginning of the answer."""
    with connect(up) as connection:
        connection.sendall(data)
        try:
            return connection.recv(65536)
        except ConnectionError:
            return b""


def serves(up: Up) -> bool:
    elsewhere, here = up.http.get("/app/gateway_app/fast"), up.http.get("/app/fast")
    return elsewhere.status_code == 404 and here.json() == {"fast": "yes"}


def test_ready_and_links(up: Up) -> None:
    assert up.http.get("/_windlass/health").json() == {"status": "ready"}
    assert up.http.get("/").json()["systems"]["app"]["url"] == f"{up.url}/app"
    assert up.http.get("/app/").json()["docs"] == f"{up.url}/app/_docs/"


def test_a_handler_that_hangs_is_given_up_and_its_late_calls_are_refused(up: Up) -> None:
    started = time.monotonic()
    answer = up.http.get("/app/hang", headers={"origin": "https://page.example"})
    assert 0.9 < time.monotonic() - started < 2.5
    assert answer.status_code == 504
    assert answer.headers["access-control-allow-origin"] == "https://page.example"
    assert answer.json()["trace_id"] == answer.headers["x-trace-id"]
    started = time.monotonic()
    while "late" not in up.log() and time.monotonic() - started < 10:
        assert up.http.get("/app/notes/late").status_code == 409
    assert up.http.get("/app/notes/late").status_code == 409


def test_slow_handlers_do_not_stop_the_others(up: Up) -> None:
    with ThreadPoolExecutor(12) as pool:
        slow = [pool.submit(up.http.get, "/app/slow") for _ in range(12)]
        started = time.monotonic()
        for _ in range(20):
            assert up.http.get("/app/fast").status_code == 200
        took = time.monotonic() - started
        assert not all(request.done() for request in slow)
        assert took < 0.9
        assert all(request.result().status_code == 200 for request in slow)


def test_what_a_slow_handler_wrote_is_seen_before_it_ends(up: Up) -> None:
    with ThreadPoolExecutor(1) as pool:
        writing = pool.submit(up.http.get, "/app/wrote-then-slow/early")
        while up.http.get("/app/notes/early").status_code != 200:
            assert not writing.done()
        assert not writing.done()
        assert writing.result().status_code == 200


def test_what_a_slow_handler_wrote_is_durable_before_it_ends(up: Up) -> None:
    with ThreadPoolExecutor(1) as pool:
        writing = pool.submit(up.http.get, "/app/slow-then-wrote/durable")
        with sqlite3.connect(up.home / "default" / "state.sqlite", isolation_level=None) as db:
            while not db.execute('select 1 from "t.app.notes" where p = ?', ("durable",)).fetchall():
                assert not writing.done()
            db.execute("begin immediate")  # what the command line does beside the server
            db.execute("rollback")
        db.close()
        assert not writing.done()


def test_what_no_handler_should_do_is_answered_and_the_server_serves_on(up: Up) -> None:
    assert up.http.get("/app/interrupt").status_code == 504
    assert up.http.get("/app/no-status").status_code == 500
    assert serves(up)


def test_a_client_that_leaves_is_no_error(up: Up) -> None:
    with connect(up) as connection:
        connection.sendall(b"PUT /app/notes/gone HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\n{")
    assert serves(up)
    assert "PUT /app/notes/gone" not in up.log()


def test_an_exception_is_a_500_with_a_trace_id_and_nothing_internal(up: Up) -> None:
    answer = up.http.get("/app/boom")
    assert answer.status_code == 500
    assert answer.headers["content-type"] == "application/problem+json"
    assert "4711" not in answer.text
    assert "Traceback" not in answer.text
    trace_id = answer.json()["trace_id"]
    lines = [json.loads(line) for line in up.log().splitlines() if line.startswith("{")]
    logged = [line for line in lines if line.get("trace_id") == trace_id]
    assert any("the internal detail 4711" in line["message"] for line in logged)
    assert logged[0]["handler"] == "boom"


def test_a_lone_message_is_handled_at_once(up: Up) -> None:
    assert up.http.post("/app/jobs", json={"text": "job-1"}).status_code == 202
    started = time.monotonic()
    while up.http.get("/app/notes/job-1").status_code != 200:
        assert time.monotonic() - started < 5
    assert time.monotonic() - started < 1


def test_bodies_over_the_limit_are_413_whether_declared_or_not(up: Up) -> None:
    big = b'{"id": "x", "text": "' + b"x" * 70_000 + b'"}'
    declared = up.http.put("/app/notes/big", content=big, headers={"content-type": "application/json"})
    assert declared.status_code == 413
    chunks = (big[at : at + 1000] for at in range(0, len(big), 1000))
    chunked = up.http.put("/app/notes/big", content=chunks, headers={"content-type": "application/json"})
    assert chunked.status_code == 413
    head = b"PUT /app/notes/big HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n"
    assert b" 413 " in raw(up, head + b"content-length: 99999999999999\r\n\r\n")
    assert serves(up)


def test_the_values_of_a_repeated_header_are_one_list(up: Up) -> None:
    repeated = [("x-a", "1"), ("X-A", "2"), ("cookie", "a=1"), ("cookie", "b=2"), ("x-b", "3")]
    seen = up.http.get("/app/asked", headers=repeated).json()
    assert (seen["x-a"], seen["cookie"], seen["x-b"]) == ("1, 2", "a=1; b=2", "3")


def test_huge_and_many_headers_are_refused(up: Up) -> None:
    start = b"GET /app/fast HTTP/1.1\r\nhost: x\r\n"
    for headers in (b"x-big: " + b"x" * 200_000 + b"\r\n", b"".join(b"x-%d: 1\r\n" % n for n in range(2000))):
        answer = raw(up, start + headers + b"\r\n")
        assert answer == b"" or answer.startswith(b"HTTP/1.1 4"), answer[:100]
    assert serves(up)


@pytest.mark.parametrize(
    "data",
    [
        b"\x00\x01\x02\r\n\r\n",
        b"GET\r\n\r\n",
        b"GET /app/fast HTTP/9.9\r\n\r\n",
        b"GET /app/fast HTTP/1.1\r\nhost: x\r\ncontent-length: -1\r\n\r\n",
        b"PUT /app/notes/1 HTTP/1.1\r\nhost: x\r\ncontent-length: abc\r\n\r\n",
        b"PUT /app/notes/1 HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\ncontent-length: 5\r\n\r\nzz\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    ],
)
def test_what_is_not_http_is_refused_and_the_server_serves_on(up: Up, data: bytes) -> None:
    answer = raw(up, data + b"\r\n" * 4)
    assert answer == b"" or answer.startswith((b"HTTP/1.1 4", b"HTTP/1.0 4")), answer[:100]
    assert serves(up)


def test_slow_requests_hold_up_nobody_and_are_cut_off(up: Up) -> None:
    half_headers = [connect(up) for _ in range(100)]
    half_bodies = [connect(up) for _ in range(100)]
    try:
        for connection in half_headers:
            connection.sendall(b"GET /app/fast HTTP/1.1\r\nhost:")
        for connection in half_bodies:
            connection.sendall(b"PUT /app/notes/1 HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\n{")
        started = time.monotonic()
        for _ in range(20):
            assert up.http.get("/app/fast").status_code == 200
        assert time.monotonic() - started < 2
        half_headers[0].settimeout(15)
        answer = half_headers[0].recv(1000)  # closed, or told so, ten seconds after it began
        assert answer == b"" or answer.startswith(b"HTTP/1.1 4")
    finally:
        for connection in half_headers + half_bodies:
            connection.close()


@pytest.mark.parametrize(
    "path",
    [
        "/app/_docs/../../etc/passwd",
        "/app/_docs/%2e%2e/%2e%2e/keyring.py",
        "/app/_docs/..%2fengine.py",
        "/app/_docs//etc/passwd",
        "/app/_docs/api.py",
        "/..",
        "/app/_pools/../x",
        "/_windlass/nothing",
        "/nowhere/fast",
        "/app/%00",
        "/app/_openapi.json/x",
    ],
)
def test_there_is_no_way_out_of_the_pages(up: Up, path: str) -> None:
    answer = raw(up, f"GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n".encode())
    assert answer.startswith((b"HTTP/1.1 404", b"HTTP/1.1 400")), answer[:200]


@pytest.mark.parametrize(
    ("sent", "name"), [("caf%C3%A9", "café"), ("a%20b", "a b"), ("100%25", "100%"), ("a+b", "a+b")]
)
def test_path_values_are_percent_decoded_once(up: Up, sent: str, name: str) -> None:
    answer = raw(up, f"GET /app/path/{sent} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n".encode())
    assert json.loads(answer.partition(b"\r\n\r\n")[2]) == {"name": name}


def test_the_wrong_method_names_the_right_ones(up: Up) -> None:
    answer = up.http.delete("/app/notes/1")
    assert answer.status_code == 405
    assert answer.headers["allow"] == "GET, PUT"
    assert up.http.post("/app/_docs/").status_code == 405


def test_browsers_of_listed_origins_may_call(up: Up) -> None:
    asked = {"origin": "https://page.example", "access-control-request-method": "PUT"}
    answer = up.http.options("/app/notes/1", headers={**asked, "access-control-request-headers": "content-type"})
    assert answer.status_code == 204
    assert answer.headers["access-control-allow-origin"] == "https://page.example"
    assert answer.headers["access-control-allow-methods"] == "GET, PUT"
    assert answer.headers["access-control-allow-headers"] == "content-type"
    get = up.http.get("/app/fast", headers={"origin": "https://page.example"})
    assert get.headers["access-control-allow-origin"] == "https://page.example"
    assert get.headers["vary"] == "origin"
    other = up.http.get("/app/fast", headers={"origin": "https://evil.example"})
    assert "access-control-allow-origin" not in other.headers
    refused = up.http.options("/app/notes/1", headers={**asked, "origin": "https://evil.example"})
    assert "access-control-allow-origin" not in refused.headers


def test_errors_before_the_handler_can_be_read_by_browsers_too(up: Up) -> None:
    answer = up.http.put("/app/notes/1", content=b"x" * 70_000, headers={"origin": "https://page.example"})
    assert answer.status_code == 413
    assert answer.headers["access-control-allow-origin"] == "https://page.example"


def test_many_writers_of_one_key_have_one_winner(up: Up) -> None:
    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda n: up.http.put("/app/notes/one", json={"id": "", "text": str(n)}), range(64)))
    statuses = sorted(answer.status_code for answer in answers)
    assert statuses == [201] + [409] * 63
    winner = next(answer.json()["text"] for answer in answers if answer.status_code == 201)
    assert up.http.get("/app/notes/one").json()["text"] == winner


def test_a_handlers_own_header(up: Up) -> None:
    assert up.http.get("/app/header").headers["x-own"] == "1"


def test_the_page_to_try_it_is_served_with_a_strict_policy(up: Up) -> None:
    page = up.http.get("/app/_docs/")
    assert page.status_code == 200
    assert "default-src 'none'" in page.headers["content-security-policy"]
    assert up.http.get("/app/_docs/api.js").headers["content-type"].startswith("text/javascript")
    assert up.http.get("/app/_docs").status_code == 308
    document = up.http.get("/app/_openapi.json").json()
    assert document["openapi"].startswith("3.1")
    assert "/notes/{id}" in document["paths"]


def test_bytes_are_not_taken_in_chunks_that_may_be_cut_off(up: Up) -> None:
    assert up.http.post("/app/raw", content=b"12345").json() == {"bytes": 5}
    cut_off = b"POST /app/raw HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n5\r\nabcde\r\n"
    assert b" 411 " in raw(up, cut_off)
