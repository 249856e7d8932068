"""Request bodies: decoded, validated, and refused with the field that is wrong; and bytes as they are."""

import json
from dataclasses import dataclass, field
from enum import Enum
from typing import Annotated, Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.conformance.plugin import Start
from tests.conformance.problem import problem
from windlass import (
    Meta,
    Request,
    System,
)
from windlass.testing import Driver


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


@pytest.fixture
def app(start: Start) -> Driver:
    return start(shop)


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
    problem(app.post("/orders"), 400, body="body")
    assert app.post("/orders").json()["detail"] == "the body is missing: send JSON"


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
    assert (
        app.post("/anything", body=b"123456789012345678901234567890").json()["body"] == 123456789012345678901234567890
    )


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


def test_bytes_are_sent_as_they_are(app: Driver) -> None:
    answer = app.post("/raw", body=b"\xff")
    assert answer.body == b"POST \xff"
    assert answer.headers["content-type"] == "application/octet-stream"
