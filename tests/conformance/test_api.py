"""How requests become calls: routes, parameters, bodies, and what the function returns as an answer."""

import json
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from enum import Enum
from typing import Annotated, Any
from uuid import UUID

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.conformance.conftest import Start
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
from windlass.testing import Answer, Driver


class Size(Enum):
    SMALL = "small"
    LARGE = "large"


@dataclass
class Line:
    sku: str
    count: Annotated[int, Meta(ge=1)] = 1


@dataclass
class Order:
    customer: Annotated[str, Meta(min_length=1, max_length=20)]
    lines: list[Line] = field(default_factory=list)
    size: Size = Size.SMALL
    ratio: float = 1.0


class Patch(msgspec.Struct, forbid_unknown_fields=True):
    text: str | None = None


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


@api.post("/orders", status=201)
def order(body: Order) -> Order:
    return body


@api.post("/anything")
def anything(body: Any) -> dict[str, Any]:
    return {"body": body}


@api.post("/raw", max_body=1000)
def raw(body: bytes, request: Request) -> bytes:
    return request.method.encode() + b" " + body


@api.put("/maybe")
def maybe(body: Order | None = None) -> bool:
    return body is None


@api.patch("/strict")
def strict(body: Patch) -> str | None:
    return body.text


@api.get("/see")
def see(request: Request) -> dict[str, Any]:
    return {"method": request.method, "path": request.path, "query": request.query, "x": request.headers.get("x-a")}


@api.delete("/orders/{number}", status=204)
def drop(number: int) -> None:
    if number == 0:
        raise NotFound("there is no order 0")


@api.get("/replies/{kind}")
def replies(kind: str) -> Reply[Any]:
    return {
        "moved": Reply(None, status=303, headers={"Location": "/there"}),
        "cached": Reply({"a": 1}, headers={"Cache-Control": "max-age=60", "ETag": '"1"'}),
        "html": Reply(b"<p>", headers={"Content-Type": "text/html; charset=utf-8"}),
        "bytes": Reply(b"\x00\xff", headers={"x-a": "b"}),
        "bare": Reply(b"\x00\xff"),
        "json": Reply("text", status=202),
    }[kind]


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


def problem(answer: Answer, status: int, **fields: str) -> dict[str, Any]:
    """The problem that `answer` holds, as RFC 9457 has it; `fields` are parts of the messages by field."""
    assert answer.status == status, answer
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["cache-control"] == "no-store"
    content: dict[str, Any] = answer.json()
    assert content["type"] == "about:blank"
    assert content["status"] == status
    assert content["title"]
    assert content["detail"]
    assert content["trace_id"]
    errors = {error["field"]: error["message"] for error in content.get("errors", [])}
    assert errors.keys() == {name.replace("__", ".") for name in fields}
    for name, part in fields.items():
        assert part in errors[name.replace("__", ".")]
    return content


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
    for headers, field_name, says in (({}, "user-agent", "missing"), ({"user-agent": "x", "x-depth": "deep"}, "x-depth", "int")):
        answer = app.get("/agent", headers=headers)
        assert answer.status == 400
        [error] = answer.json()["errors"]
        assert error["field"] == f"header.{field_name}"
        assert says in error["message"]


# Bodies


def test_a_body_is_decoded_and_validated(app: Driver) -> None:
    body = {"customer": "ada", "lines": [{"sku": "a", "count": 2, "unknown": [1]}, {"sku": "b"}], "size": "large"}
    answer = app.post("/orders", json=body)
    assert answer.status == 201
    assert answer.headers["content-type"] == "application/json"
    lines = [{"sku": "a", "count": 2}, {"sku": "b", "count": 1}]
    assert answer.json() == {"customer": "ada", "lines": lines, "size": "large", "ratio": 1.0}


@pytest.mark.parametrize(
    ("body", "at", "says"),
    [
        ({}, "body", "customer"),
        ([], "body", "object"),
        ({"customer": 1}, "body.customer", "str"),
        ({"customer": ""}, "body.customer", "length >= 1"),
        ({"customer": "x" * 21}, "body.customer", "length <= 20"),
        ({"customer": "a", "lines": [{"sku": "b"}, {"sku": "c", "count": 0}]}, "body.lines[1].count", ">= 1"),
        ({"customer": "a", "lines": [{"count": 1}]}, "body.lines[0]", "sku"),
        ({"customer": "a", "lines": [{"sku": "a", "count": "2"}]}, "body.lines[0].count", "int"),
        ({"customer": "a", "lines": [{"sku": "a", "count": True}]}, "body.lines[0].count", "int"),
        ({"customer": "a", "size": "huge"}, "body.size", "huge"),
        ({"customer": None}, "body.customer", "null"),
    ],
    ids=lambda value: json.dumps(value)[:60] if not isinstance(value, str) else value,
)
def test_a_wrong_body_names_the_field(app: Driver, body: Any, at: str, says: str) -> None:
    answer = app.post("/orders", json=body)
    assert answer.status == 400
    [error] = answer.json()["errors"]
    assert error["field"] == at
    assert says in error["message"]


def test_a_body_may_forbid_unknown_fields(app: Driver) -> None:
    assert app.patch("/strict", json={"text": "a"}).json() == "a"
    problem(app.patch("/strict", json={"text": "a", "txet": "b"}), 400, body="txet")


def test_an_optional_body_may_be_missing(app: Driver) -> None:
    assert app.put("/maybe").json() is True
    assert app.put("/maybe", json={"customer": "a"}).json() is False
    problem(app.post("/orders"), 400, body="not JSON")


@pytest.mark.parametrize(
    ("text", "content_type"),
    [
        (b'"\xc3\xa9"', None),
        (b'"\xc3\xa9"', "application/json"),
        (b'"\xc3\xa9"', 'Application/JSON; charset="UTF-8"'),
        (b'"\xc3\xa9"', "application/merge-patch+json"),
        (b'\xef\xbb\xbf"\xc3\xa9"', "application/json"),
        ('"\u00e9"'.encode("utf-16"), "application/json"),
        ('\ufeff"\u00e9"'.encode("utf-16-be"), "application/json; charset=utf-16"),
        ('"\u00e9"'.encode("utf-16-le"), "application/json; charset=utf-16le"),
        (b'"\xe9"', "application/json; charset=iso-8859-1"),
        (b'"\xe9"', "application/json; charset=windows-1252"),
        (b' \r\n\t"\xc3\xa9"\n', "application/json"),
        (rb'"\u00e9"', "application/json"),
    ],
)
def test_json_is_read_as_clients_send_it(app: Driver, text: bytes, content_type: str | None) -> None:
    headers = {} if content_type is None else {"content-type": content_type}
    assert app.post("/anything", body=text, headers=headers).json() == {"body": "\u00e9"}


ODD = [
    b"",
    b" ",
    b"\xef\xbb\xbf",
    b"\xff\xfe",
    b"{",
    b"{} x",
    b"{}{}",
    b"NaN",
    b"[Infinity]",
    b"-",
    b"01",
    b"1e999",
    b"9" * 5000,
    b"'a'",
    b'{"a": 1,}',
    b'"\x00"',
    b'"\xff"',
    b'"\xed\xa0\x80"',
    b'"\xc3',
    rb'"\ud800"',
    rb'"\ud800 and more of the text"',
    rb'"\udc00\ud800"',
    rb'"\x"',
    b'"' + b"\\",
    b"[" * 100_000,
    b"[" * 100_000 + b"]" * 100_000,
    b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
    b"\x1f\x8b\x08\x00",
]


@pytest.mark.parametrize("number", range(len(ODD)))
def test_what_is_not_json_is_a_bad_request(app: Driver, number: int) -> None:
    for path in ("/anything", "/orders"):
        content = app.post(path, body=ODD[number], headers={"content-type": "application/json"})
        assert content.status == 400
        assert [error["field"] for error in content.json()["errors"]] == ["body"]


def test_deep_nesting_in_an_unknown_field_is_a_bad_request(app: Driver) -> None:
    body = b'{"customer":"a","unknown":' + b"[" * 100_000 + b"]" * 100_000 + b"}"
    problem(app.post("/orders", body=body), 400, body="deep")


def test_of_duplicate_keys_the_last_counts(app: Driver) -> None:
    assert app.post("/orders", body=b'{"customer":"a","customer":"b"}').json()["customer"] == "b"
    assert app.post("/anything", body=b'{"a":1,"a":2}').json() == {"body": {"a": 2}}


def test_large_numbers_are_kept(app: Driver) -> None:
    assert app.post("/anything", body=b"123456789012345678901234567890").json()["body"] == 123456789012345678901234567890


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=150)
@given(body=st.binary(max_size=60) | st.text(max_size=30).map(lambda text: text.encode("utf-8", "surrogatepass")))
def test_any_body_is_answered(app: Driver, body: bytes) -> None:
    assert app.post("/anything", body=body).status in (200, 400)
    assert app.post("/orders", body=body).status in (201, 400)


def test_a_body_of_another_media_type_is_unsupported(app: Driver) -> None:
    for content_type in ("text/plain", "application/xml", "application/x-www-form-urlencoded", "json", ""):
        problem(app.post("/orders", body=b"{}", headers={"content-type": content_type}), 415)
    problem(app.post("/orders", body=b"{}", headers={"content-type": "application/json; charset=ebcdic"}), 415)
    problem(app.post("/orders", body=b"{}", headers={"content-encoding": "gzip"}), 415)
    assert app.post("/raw", body=b"a,b", headers={"content-type": "text/csv"}).body == b"POST a,b"


def test_a_body_has_at_most_what_its_route_takes(app: Driver) -> None:
    assert app.post("/raw", body=b"x" * 1000).body == b"POST " + b"x" * 1000
    problem(app.post("/raw", body=b"x" * 1001), 413)
    problem(app.post("/anything", body=b" " * (1024 * 1024 + 1)), 413)


# Answers


def test_the_request_itself_can_be_seen(app: Driver) -> None:
    answer = app.get("/see?a=1&b=%20", headers={"X-A": "b"})
    assert answer.json() == {"method": "GET", "path": "/see", "query": "a=1&b=%20", "x": "b"}


def test_none_is_an_empty_body(app: Driver) -> None:
    answer = app.delete("/orders/1")
    assert (answer.status, answer.body) == (204, b"")
    assert "content-type" not in answer.headers
    problem(app.delete("/orders/0"), 404)


def test_bytes_are_sent_as_they_are(app: Driver) -> None:
    answer = app.post("/raw", body=b"\xff")
    assert answer.body == b"POST \xff"
    assert answer.headers["content-type"] == "application/octet-stream"


def test_a_page_has_its_cursors(app: Driver) -> None:
    assert app.get("/page").json() == {"items": [{"sku": "a", "count": 1}], "next": "next", "previous": None}


def test_a_reply_has_its_own_headers_and_status(app: Driver) -> None:
    answer = app.get("/replies/moved")
    assert (answer.status, answer.headers["location"], answer.body) == (303, "/there", b"")
    answer = app.get("/replies/cached")
    assert (answer.status, answer.json()) == (200, {"a": 1})
    assert answer.headers == {"content-type": "application/json", "cache-control": "max-age=60", "etag": '"1"'}
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
