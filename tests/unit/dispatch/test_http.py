"""One request: its deadline, what is counted, and the order in which it is refused."""

import sys
import time
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from windlass import Caller, Conflict, Reply, Request, System, Unauthorized
from windlass.dispatch.http import caller_of, encoded
from windlass.ports.api import Request as HttpRequest
from windlass.testing import Driver


@dataclass
class Note:
    id: str


hut = System("hut")
notes = hut.table("notes", Note, key="id")


@hut.authorizer()
def nobody(request: Request) -> Caller:
    raise Unauthorized("nobody may")


api = hut.api("api")
closed = hut.api("closed", auth=nobody)


@api.get("/slow", uses=[notes.get], timeout=timedelta(milliseconds=10))
def slow() -> None:
    end = time.monotonic() + 0.02
    while time.monotonic() < end:
        pass
    notes.get("a")


@api.get("/quick")
def quick() -> None: ...


@api.get("/refused")
def refused() -> None:
    raise Conflict("no")


@api.get("/broken")
def broken() -> None:
    raise RuntimeError("no")


@api.get("/exits")
def exits() -> None:
    sys.exit(3)


@closed.post("/closed", max_body=10)
def shut(body: Note) -> None: ...


def test_a_handler_past_its_deadline_can_do_nothing_more(tmp_path: Path) -> None:
    with Driver(hut, tmp_path) as app:
        answer = app.get("/slow")
        assert (answer.status, answer.json()["title"]) == (504, "Gateway Timeout")
        assert any("GET /slow timed out" in line.message for line in app.logs)


def test_a_deadline_may_be_given(tmp_path: Path) -> None:
    with Driver(hut, tmp_path) as app:
        request = HttpRequest("GET", "/slow", "", {}, b"", trace_id="t")
        response = app.engine.systems["hut"].http.handle(request, time.monotonic() + 60)
        assert response.status == 200


def test_who_may_not_call_learns_nothing_about_the_request(tmp_path: Path) -> None:
    with Driver(hut, tmp_path) as app:
        assert app.post("/closed", body=b"x" * 100).status == 401
        assert app.post("/closed", body=b"{").status == 401


def test_requests_and_calls_are_counted(tmp_path: Path) -> None:
    with Driver(hut, tmp_path) as app:
        for path in ("/quick", "/quick", "/refused", "/broken", "/nowhere"):
            app.get(path)
        value = app.metrics.value
        assert value("requests", system="hut") == 5
        assert value("requests", handler="quick", status="200") == 2
        assert value("requests", handler="refused", status="409") == 1
        assert value("requests", status="404") == 1
        assert value("calls", handler="quick", outcome="ok") == 2
        assert value("calls", handler="broken", outcome="error") == 1
        assert app.metrics.percentile("duration", 50, handler="quick") is not None


def test_claims_describe_a_caller() -> None:
    claims = {"sub": "1", "cognito:groups": ["a"], "cognito:username": "ada"}
    assert caller_of(claims) == Caller("1", "ada", frozenset({"a"}), claims)
    assert caller_of({"sub": "1"}) == Caller("1", claims={"sub": "1"})


def test_a_response_is_what_was_returned() -> None:
    assert encoded(None, 204).headers == []
    assert encoded({"a": 1}, 200).body == b'{"a":1}'
    assert encoded(Reply(None, 201, {"X-A": "b"}), 200).headers == [("x-a", "b")]
    assert encoded(Reply(b"x"), 200).headers == [("content-type", "application/octet-stream")]
    assert encoded(Reply([], headers={"Content-Type": "application/feed+json"}), 200).headers == [
        ("content-type", "application/feed+json")
    ]
    assert encoded(b"", 200).headers == [("content-type", "application/octet-stream")]


@pytest.mark.parametrize("status", [0, 100, 101, 199, 600, 1000, "200", 200.5])
def test_a_status_that_is_none_is_a_fault_of_the_handler(status: Any) -> None:
    with pytest.raises(ValueError, match="is not the status of an answer"):
        encoded(Reply(None, status), 200)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("x-a", "1\r\nset-cookie: b=2"),
        ("x-a", "1\n"),
        ("x-a", "\x00"),
        ("x-a", "\ud800"),
        ("x-a", 5),
        ("x a", "1"),
        ("x-a:", "1"),
        ("x-a\n", "1"),
        ("", "1"),
    ],
)
def test_what_cannot_be_a_header_is_a_fault_of_the_handler(name: str, value: Any) -> None:
    with pytest.raises(ValueError, match="cannot be a header"):
        encoded(Reply(None, headers={name: value}), 200)


@pytest.mark.parametrize("name", ["Content-Length", "transfer-encoding", "Connection"])
def test_where_an_answer_ends_is_not_the_handlers_to_say(name: str) -> None:
    with pytest.raises(ValueError, match="is set by the server"):
        encoded(Reply({"a": 1}, headers={name: "3"}), 200)


def test_a_header_may_hold_any_text() -> None:
    assert encoded(Reply(None, headers={"X-Name": "caf\u00e9\t\u20ac"}), 200).headers == [
        ("x-name", "caf\u00e9\t\u20ac")
    ]


def test_a_handler_that_exits_has_failed(tmp_path: Path) -> None:
    with Driver(hut, tmp_path) as app:
        assert app.get("/exits").status == 500
        assert any("exits called sys.exit(3)" in line.message for line in app.logs)
