"""What a caller and the log get to see when a handler fails, and what grants refuse."""

from dataclasses import dataclass
from typing import Any

import pytest

from tests.conformance.plugin import Start
from windlass import (
    BadRequest,
    Conflict,
    FieldError,
    Forbidden,
    InvalidItem,
    NotFound,
    PayloadTooLarge,
    Problem,
    ServiceUnavailable,
    System,
    Unauthorized,
    Unprocessable,
)
from windlass.testing import Answer, Driver

HIDDEN = "the password is swordfish, see /srv/secret.py"


class Locked(Problem):
    status, title = 423, "Locked"


@dataclass
class Note:
    id: str
    text: str = ""
    count: int = 0


hut = System("hut")
notes = hut.table("notes", Note, key="id", indexes={})
letters = hut.queue("letters", Note)
api = hut.api("api")

PROBLEMS: dict[str, Exception] = {
    "not_found": NotFound("there is no such note"),
    "conflict": Conflict("somebody else was faster"),
    "forbidden": Forbidden("not yours"),
    "unauthorized": Unauthorized("who are you?"),
    "too_large": PayloadTooLarge("too much"),
    "unprocessable": Unprocessable("cannot be right", field="body.text"),
    "bad": BadRequest("two faults", errors=[FieldError("body.a", "is odd"), FieldError("body.b", "is even")]),
    "busy": ServiceUnavailable("later", retry_after=90),
    "own": Locked("locked by another"),
    "text": NotFound("\ud800 is not Unicode"),
    "bug": RuntimeError(HIDDEN),
    "group": ExceptionGroup("many", [ValueError(HIDDEN)]),
    "assertion": AssertionError(),
    "recursion": RecursionError(HIDDEN),
}


@api.get("/raise/{name}")
def fail(name: str) -> None:
    raise PROBLEMS[name]


@api.get("/return/{kind}")
def odd(kind: str) -> Any:
    return {"object": object(), "text": "\ud800", "nan": float("nan"), "cycle": CYCLE}[kind]


CYCLE: list[Any] = []
CYCLE.append(CYCLE)


@api.post("/granted", uses=[notes.put, notes.get, letters.send])
def granted(body: Note) -> None:
    notes.put(body, if_absent=True)


@api.post("/denied", uses=[notes.get])
def denied(body: Note) -> None:
    notes.put(body)


@api.post("/sends")
def sends(body: Note) -> None:
    letters.send(body)


@api.post("/oversize", uses=[notes.put])
def oversize() -> None:
    notes.put(Note("a", "x" * 500_000))


@api.post("/half", uses=[notes.put])
def half() -> None:
    notes.put(Note("kept"))
    raise RuntimeError(HIDDEN)


@letters.consumer(uses=[notes.get])
def deliver(note: Note) -> None:
    notes.delete(note.id)


@pytest.fixture
def app(start: Start) -> Driver:
    return start(hut)


def faulty(app: Driver, answer: Answer) -> str:
    """The log's text for `answer`, a bare 500 that shows nothing."""
    assert answer.status == 500
    assert answer.headers["content-type"] == "application/problem+json"
    content = answer.json()
    assert content.keys() == {"type", "title", "status", "detail", "trace_id"}
    for part in ("swordfish", "srv", "RuntimeError", "Traceback", "windlass", "hut"):
        assert part not in answer.body.decode()
    lines = [line for line in app.logs if line.trace_id == content["trace_id"] and line.level == "ERROR"]
    assert len(lines) == 1
    return lines[0].message


@pytest.mark.parametrize(
    ("name", "status", "title"),
    [
        ("not_found", 404, "Not Found"),
        ("conflict", 409, "Conflict"),
        ("forbidden", 403, "Forbidden"),
        ("unauthorized", 401, "Unauthorized"),
        ("too_large", 413, "Content Too Large"),
        ("unprocessable", 422, "Unprocessable Content"),
        ("bad", 400, "Bad Request"),
        ("busy", 503, "Service Unavailable"),
        ("own", 423, "Locked"),
    ],
)
def test_a_problem_is_the_answer(app: Driver, name: str, status: int, title: str) -> None:
    problem = PROBLEMS[name]
    assert isinstance(problem, Problem)
    answer = app.get(f"/raise/{name}")
    content = answer.json()
    assert (answer.status, content["status"], content["title"]) == (status, status, title)
    assert content["detail"] == problem.detail
    assert content.get("errors", []) == [{"field": e.field, "message": e.message} for e in problem.errors]


def test_a_problem_may_have_headers_of_its_kind(app: Driver) -> None:
    assert app.get("/raise/busy").headers["retry-after"] == "90"
    assert app.get("/raise/unauthorized").headers["www-authenticate"] == "Bearer"
    assert app.get("/raise/text").json()["detail"] == "Not Found"


@pytest.mark.parametrize("name", ["bug", "group", "assertion", "recursion"])
def test_an_exception_shows_nothing_and_is_logged_with_its_trace(app: Driver, name: str) -> None:
    text = faulty(app, app.get(f"/raise/{name}"))
    assert "GET /raise/" in text
    assert type(PROBLEMS[name]).__name__ in text
    assert "Traceback" in text


def test_each_request_has_a_trace_of_its_own(app: Driver) -> None:
    traces = {app.get("/raise/bug").json()["trace_id"] for _ in range(3)}
    assert len(traces) == 3


@pytest.mark.parametrize("kind", ["object", "text", "cycle"])
def test_what_cannot_be_sent_is_a_fault(app: Driver, kind: str) -> None:
    assert "GET /return/" in faulty(app, app.get(f"/return/{kind}"))


def test_what_is_no_number_is_sent_as_null(app: Driver) -> None:
    assert app.get("/return/nan").json() is None


def test_a_resources_refusal_is_the_answer(app: Driver) -> None:
    assert app.post("/granted", json={"id": "a"}).status == 200
    answer = app.post("/granted", json={"id": "a"})
    assert (answer.status, answer.json()["title"]) == (409, "Conflict")
    answer = app.post("/granted", json={"id": ""})
    assert (answer.status, answer.json()["errors"][0]["field"]) == (400, "id")
    assert app.post("/oversize").status == InvalidItem.status == 400


def test_what_a_handler_wrote_before_it_failed_stays(app: Driver) -> None:
    faulty(app, app.post("/half"))
    with app.bound():
        assert notes.get("kept") == Note("kept")


# Grants


def test_an_operation_that_is_not_granted_is_denied(app: Driver) -> None:
    text = faulty(app, app.post("/denied", json={"id": "a"}))
    assert "hut.denied is not granted notes.put" in text
    assert "add notes.put to uses=[...] where hut.denied is declared" in text
    with app.bound():
        assert notes.get("a") is None


def test_a_handler_without_uses_may_use_nothing(app: Driver) -> None:
    assert "hut.sends is not granted letters.send" in faulty(app, app.post("/sends", json={"id": "a"}))
    assert app.queue("letters").stats().waiting == 0


def test_a_consumer_is_denied_too(app: Driver) -> None:
    with app.bound():
        letters.send(Note("a"))
    app.settle()
    assert any("hut.deliver is not granted notes.delete" in line.message for line in app.logs)


def test_grants_that_nobody_needed_are_reported(app: Driver) -> None:
    unused = app.unused_grants
    assert {str(grant) for grant in unused["granted"]} == {"notes.put", "notes.get", "letters.send"}
    assert "sends" not in unused
    app.post("/granted", json={"id": "a"})
    assert {str(grant) for grant in app.unused_grants["granted"]} == {"notes.get", "letters.send"}
