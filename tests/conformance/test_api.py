"""How requests become calls: routes, paths, queries and headers, and what the function returns as an answer."""

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from enum import Enum
from typing import Annotated, Any
from uuid import UUID

import pytest

from tests.conformance.plugin import Start
from tests.conformance.problem import problem
from windlass import (
    Header,
    Meta,
    NotFound,
    Page,
    QueryName,
    Reply,
    Request,
    System,
    Throttle,
    TooManyRequests,
    UnsupportedMediaType,
)
from windlass.testing import Driver


class Size(Enum):
    SMALL = "small"
    LARGE = "large"


@dataclass
class Line:
    sku: str
    count: Annotated[int, Meta(ge=1)] = 1


shop = System("shop")
api = shop.api("api")


@api.get("/orders/{number}/lines/{sku}")
def path_values(number: int, sku: str) -> dict[str, Any]:
    return {"number": number, "sku": sku}


@api.get("/files/{path+}")
def greedy(path: str) -> str:
    return path


@api.get("/files/special")
def literal() -> str:
    return "the literal wins"


@api.get("/typed/{id}/{size}/{day}")
def typed_path(id: UUID, size: Size, day: date) -> list[Any]:
    return [id, size, day]


@api.get("/search")
def search(
    q: str,
    limit: Annotated[int, Meta(ge=1, le=100)] = 10,
    deep: bool = False,
    after: datetime | None = None,
    tag: list[str] | None = None,
    number: Annotated[list[int], Meta(max_length=2)] = [],  # noqa: B006
    since: Annotated[str | None, QueryName("from")] = None,
    needed: str | None = None,
) -> dict[str, Any]:
    return {
        "q": q,
        "limit": limit,
        "deep": deep,
        "after": after,
        "tag": tag,
        "number": number,
        "from": since,
        "needed": needed,
    }


@api.get("/agent")
def agent(
    name: Annotated[str, Header("User-Agent")],
    depth: Annotated[int, Header("x-depth")] = 0,
    note: Annotated[str | None, Header("x-note")] = None,
) -> dict[str, Any]:
    return {"name": name, "depth": depth, "note": note}


@api.post("/orders")
def order() -> None: ...


@api.get("/see")
def see(request: Request) -> dict[str, Any]:
    return {"method": request.method, "path": request.path, "query": request.query, "x": request.headers.get("x-a")}


@api.delete("/orders/{number}", status=204)
def drop(number: int) -> None:
    if number == 0:
        raise NotFound("there is no order 0")


@api.get("/replies/{kind}")
def replies(kind: str) -> Reply[Any]:
    made: dict[str, Reply[Any]] = {
        "moved": Reply(None, status=303, headers={"Location": "/there"}),
        "cached": Reply({"a": 1}, headers={"Cache-Control": "max-age=60", "ETag": '"1"'}),
        "html": Reply(b"<p>", headers={"Content-Type": "text/html; charset=utf-8"}),
        "bytes": Reply(b"\x00\xff", headers={"x-a": "b"}),
        "bare": Reply(b"\x00\xff"),
        "json": Reply("text", status=202),
    }
    return made[kind]


@api.get("/page")
def page() -> Page[Line]:
    return Page([Line("a")], "next")


@api.get("/limited", throttle=Throttle(rate=0.5, burst=2))
def limited() -> None: ...


@api.get("/limited/beside", throttle=Throttle(rate=0.5, burst=1))
def limited_beside() -> None: ...


@api.get("/busy")
def busy() -> None:
    raise TooManyRequests("the shop is full", retry_after=1.2)


@api.get("/teapot")
def teapot() -> None:
    raise UnsupportedMediaType()


@pytest.fixture
def app(start: Start) -> Driver:
    return start(shop)


# Paths


def test_path_parameters_are_typed(app: Driver) -> None:
    assert app.get("/orders/7/lines/a-b").json() == {"number": 7, "sku": "a-b"}
    id = "6f1de3c4-2f0e-4f5c-9a53-0d2a3a4b8f11"
    assert app.get(f"/typed/{id}/large/2024-06-12").json() == [id, "large", "2024-06-12"]


def test_a_path_parameter_of_another_type_is_named(app: Driver) -> None:
    problem(app.get("/orders/seven/lines/x"), 400, path__number="int")
    problem(app.get("/orders/1.5/lines/x"), 400, path__number="int")
    problem(app.get("/typed/x/large/2024-06-12"), 400, path__id="UUID")
    problem(app.get("/typed/6f1de3c4-2f0e-4f5c-9a53-0d2a3a4b8f11/huge/2024-06-12"), 400, path__size="huge")


def test_a_literal_wins_over_a_parameter(app: Driver) -> None:
    assert app.get("/files/special").json() == "the literal wins"
    assert app.get("/files/special/one").json() == "special/one"
    assert app.get("/files/a").json() == "a"


@pytest.mark.parametrize(
    ("sent", "value"),
    [("a%20b", "a b"), ("%C3%A9%E2%98%83", "\u00e9\u2603"), ("100%25", "100%"), ("a+b", "a+b"), ("%22%3F%23", '"?#')],
)
def test_percent_encoded_path_parameters_are_decoded_once(app: Driver, sent: str, value: str) -> None:
    assert app.get(f"/orders/1/lines/{sent}").json()["sku"] == value
    assert app.get(f"/files/{sent}/{sent}").json() == f"{value}/{value}"


def test_an_unknown_path_is_not_found(app: Driver) -> None:
    for path in ("/", "/order", "/orders/1/lines", "/orders/1/lines/a/b", "/files", "/Search", "/%00"):
        problem(app.get(path), 404)


def test_another_method_is_not_allowed(app: Driver) -> None:
    answer = app.put("/orders")
    problem(answer, 405)
    assert answer.headers["allow"] == "POST"
    assert app.post("/orders/1").headers["allow"] == "DELETE"
    assert app.delete("/files/special").headers["allow"] == "GET"


# Queries


def test_query_fields_are_typed_and_have_defaults(app: Driver) -> None:
    assert app.get("/search?q=tea").json() == {
        "q": "tea",
        "limit": 10,
        "deep": False,
        "after": None,
        "tag": None,
        "number": [],
        "from": None,
        "needed": None,
    }
    query = "q=a%26b+c&limit=5&deep=true&after=2024-06-12T09:00:00Z&tag=x&tag=&number=1&number=2&from=there&needed=null"
    assert app.get(f"/search?{query}").json() == {
        "q": "a&b c",
        "limit": 5,
        "deep": True,
        "after": "2024-06-12T09:00:00Z",
        "tag": ["x", ""],
        "number": [1, 2],
        "from": "there",
        "needed": "null",
    }
    assert app.get("/search", query={"q": "", "tag": ["one"], "other": "ignored"}).json()["tag"] == ["one"]


def test_a_wrong_query_field_is_named(app: Driver) -> None:
    problem(app.get("/search"), 400, query__q="missing")
    problem(app.get("/search?q=a&q=b"), 400, query__q="2 times")
    problem(app.get("/search?q=a&limit=x"), 400, query__limit="int")
    problem(app.get("/search?q=a&limit="), 400, query__limit="int")
    problem(app.get("/search?q=a&limit=101"), 400, query__limit="100")
    problem(app.get("/search?q=a&deep=perhaps"), 400, query__deep="bool")
    problem(app.get("/search?q=a&after=yesterday"), 400, query__after="datetime")
    problem(app.get("/search?q=a&number=1&number=x"), 400, query__number="int")
    problem(app.get("/search?q=a&number=1&number=2&number=3"), 400, query__number="length")
    problem(app.get("/search?q=%FF"), 400, query="UTF-8")
    problem(app.get("/search?" + "&".join(["q=a"] * 1000)), 400, query="more than")


# Headers


def test_headers_are_typed_and_have_defaults(app: Driver) -> None:
    assert app.get("/agent", headers={"user-agent": "x"}).json() == {"name": "x", "depth": 0, "note": None}
    answer = app.get("/agent", headers={"USER-AGENT": "x", "X-Depth": "2", "X-Note": "n"})
    assert answer.json() == {"name": "x", "depth": 2, "note": "n"}


def test_a_wrong_header_is_named(app: Driver) -> None:
    for headers, field_name, says in (
        ({}, "user-agent", "missing"),
        ({"user-agent": "x", "x-depth": "deep"}, "x-depth", "int"),
    ):
        answer = app.get("/agent", headers=headers)
        assert answer.status == 400
        [error] = answer.json()["errors"]
        assert error["field"] == f"header.{field_name}"
        assert says in error["message"]


# Answers


def test_the_request_itself_can_be_seen(app: Driver) -> None:
    answer = app.get("/see?a=1&b=%20", headers={"X-A": "b"})
    assert answer.json() == {"method": "GET", "path": "/see", "query": "a=1&b=%20", "x": "b"}


def test_none_is_an_empty_body(app: Driver) -> None:
    answer = app.delete("/orders/1")
    assert (answer.status, answer.body) == (204, b"")
    assert "content-type" not in answer.headers
    problem(app.delete("/orders/0"), 404)


def test_a_page_has_its_cursors(app: Driver) -> None:
    assert app.get("/page").json() == {"items": [{"sku": "a", "count": 1}], "next": "next", "previous": None}


def test_a_reply_has_its_own_headers_and_status(app: Driver) -> None:
    answer = app.get("/replies/moved")
    assert (answer.status, answer.headers["location"], answer.body) == (303, "/there", b"")
    answer = app.get("/replies/cached")
    assert (answer.status, answer.json()) == (200, {"a": 1})
    own = {"content-type": "application/json", "cache-control": "max-age=60", "etag": '"1"'}
    assert {name: value for name, value in answer.headers.items() if not name.startswith("x-")} == own
    answer = app.get("/replies/html")
    assert (answer.headers["content-type"], answer.body) == ("text/html; charset=utf-8", b"<p>")
    answer = app.get("/replies/bytes")
    assert (answer.headers["content-type"], answer.headers["x-a"]) == ("application/octet-stream", "b")
    answer = app.get("/replies/bare")
    assert (answer.headers["content-type"], answer.body) == ("application/octet-stream", b"\x00\xff")
    assert (app.get("/replies/json").status, app.get("/replies/json").json()) == (202, "text")


# Throttles


def test_a_route_lets_its_rate_through(app: Driver) -> None:
    assert [app.get("/limited").status for _ in range(2)] == [200, 200]
    answer = app.get("/limited")
    problem(answer, 429)
    assert answer.headers["retry-after"] == "2"
    assert app.get("/limited/beside").status == 200
    app.advance(timedelta(seconds=1))
    answer = app.get("/limited")
    assert (answer.status, answer.headers["retry-after"]) == (429, "1")
    app.advance(timedelta(seconds=1))
    assert [app.get("/limited").status for _ in range(2)] == [200, 429]
    app.advance(timedelta(hours=1))
    assert [app.get("/limited").status for _ in range(3)] == [200, 200, 429]


def test_a_problem_may_say_when_to_come_again(app: Driver) -> None:
    answer = app.get("/busy")
    assert problem(answer, 429)["detail"] == "the shop is full"
    assert answer.headers["retry-after"] == "2"
    assert problem(app.get("/teapot"), 415)["detail"] == "Unsupported Media Type"
