"""API Gateway's requests and answers: the way there and back loses nothing."""

from __future__ import annotations

import base64
import json
from typing import Any
from urllib.parse import parse_qsl, quote, unquote_to_bytes, urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.runtime.depot_function import payload
from windlass.errors import BadRequest, Unauthorized
from windlass.ports.api import Response
from windlass.runtime.events.http import answer_of, request_of, size_of
from windlass.runtime.events.malformed import MalformedEvent

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
HEADER = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=30)
NAME = st.from_regex(r"[A-Za-z][A-Za-z0-9-]{0,15}", fullmatch=True)
JSON = st.recursive(st.none() | st.booleans() | st.integers() | TEXT, lambda inner: st.lists(inner, max_size=3))


def gateway_path(sent: str) -> str:
    """What API Gateway makes of the path that a client sent: decoded, all but the escaped percent sign."""
    return "%25".join(unquote_to_bytes(part).decode(errors="replace") for part in sent.split("%25"))


def test_the_request_of_the_documentation() -> None:
    request = request_of(payload("http"))
    assert (request.method, request.path) == ("GET", "/parcels/p1")
    assert request.query == "parameter1=value1&parameter1=value2&parameter2=value"
    assert request.headers["header2"] == "value1,value2"
    assert (request.body, request.remote, request.caller) == (b"", "192.0.2.1", None)


def test_cookies_are_one_header() -> None:
    assert request_of(payload("http_cookies")).headers["cookie"] == "session=abc; theme=dark; x"


@pytest.mark.parametrize(
    ("raw", "path"), [("/dev/parcels/p1", "/parcels/p1"), ("/dev", "/"), ("/device", "/device"), ("/x", "/x")]
)
def test_the_stage_is_no_part_of_the_path(raw: str, path: str) -> None:
    assert request_of(payload("http_stage", rawPath=raw)).path == path


def test_a_body_in_base64_is_decoded_and_a_broken_one_refused() -> None:
    assert request_of(payload("http_base64")).body == b"\x89PNG\r\n\xff\x00"
    with pytest.raises(BadRequest, match="did not arrive whole"):
        request_of(payload("http_base64", body="%%%"))


# What the embedded gateway makes of the same paths.
@pytest.mark.parametrize(
    ("sent", "path"),
    [
        ("/a%20b", "/a b"),
        ("/a%2520b", "/a%20b"),
        ("/a%252541", "/a%2541"),
        ("/a%2Fb", "/a/b"),
        ("/caf%C3%A9", "/café"),
        ("/bad%FFx", "/bad�x"),
        ("/a%zzb", "/a%zzb"),
        ("/a+b", "/a+b"),
    ],
)
def test_a_path_is_decoded_once(sent: str, path: str) -> None:
    assert request_of(payload("http", rawPath=gateway_path(sent))).path == path


@given(TEXT)
def test_every_path_comes_as_it_was_meant(path: str) -> None:
    assert request_of(payload("http", rawPath="/" + gateway_path(quote(path)))).path == "/" + path


@given(st.lists(st.tuples(TEXT, TEXT), max_size=5))
def test_every_query_comes_as_it_was_sent(fields: list[tuple[str, str]]) -> None:
    request = request_of(payload("http", rawQueryString=urlencode(fields)))
    assert parse_qsl(request.query, keep_blank_values=True) == fields


@given(st.dictionaries(NAME, HEADER, max_size=5))
def test_every_header_comes_in_lower_case(headers: dict[str, str]) -> None:
    lowered = {name.lower(): value for name, value in headers.items()}
    assert request_of(payload("http", headers=lowered)).headers == lowered


@given(TEXT | st.binary(max_size=60))
def test_every_body_comes_whole(body: str | bytes) -> None:
    if isinstance(body, str):
        event, expected = payload("http", body=body), body.encode()
    else:
        event, expected = payload("http", body=base64.b64encode(body).decode(), isBase64Encoded=True), body
    assert request_of(event).body == expected


@given(
    st.binary(max_size=200) | TEXT.map(str.encode),
    st.sampled_from(["application/json", "text/plain; charset=utf-8", "image/png", "application/octet-stream"]),
    st.dictionaries(NAME.map(str.lower).map("x-{}".format), HEADER, max_size=4),
)
def test_every_answer_arrives_as_it_was_given(body: bytes, kind: str, headers: dict[str, str]) -> None:
    response = Response(200, [("content-type", kind), *headers.items()], body)
    answer = json.loads(json.dumps(answer_of(response)))  # as Lambda hands it on
    text = answer.get("body", "")
    assert (base64.b64decode(text) if answer["isBase64Encoded"] else text.encode()) == body
    assert answer["headers"] == {"content-type": kind, **headers, "x-content-type-options": "nosniff"}


def test_headers_that_are_given_twice_are_joined_and_cookies_are_not() -> None:
    response = Response(204, [("vary", "origin"), ("set-cookie", "a=1"), ("vary", "accept"), ("set-cookie", "b=2")])
    answer = answer_of(response, "t" * 32)
    assert answer["headers"]["vary"] == "origin, accept"
    assert answer["cookies"] == ["a=1", "b=2"]
    assert answer["headers"]["x-trace-id"] == "t" * 32
    assert "body" not in answer


def test_the_size_is_that_of_the_json() -> None:
    assert size_of(answer_of(Response(200, [("content-type", "application/json")], b"x"))) == 0
    quotes = answer_of(Response(200, [("content-type", "application/json")], b'"' * 1_000_000))
    assert size_of(quotes) == len(json.dumps(quotes, separators=(",", ":")))


@given(JSON | st.dictionaries(st.sampled_from(["requestContext", "headers", "body", "cookies", "rawPath"]), JSON))
def test_whatever_comes_is_a_request_or_refused_in_words(event: Any) -> None:
    with pytest.raises(MalformedEvent, match="not a request of an HTTP API"):
        request_of(event)


def test_half_a_character_becomes_bytes_that_no_decoder_takes() -> None:
    assert request_of(payload("http", body='"\ud800"')).body == b'"\xed\xa0\x80"'


@pytest.mark.parametrize(
    ("text", "groups"),
    [("[staff lead]", ["staff", "lead"]), ("[staff]", ["staff"]), ("[]", []), ("[a,b [x]]", ["a,b", "[x]"])],
)
def test_groups_are_read_from_the_text_that_api_gateway_makes_of_them(text: str, groups: list[str]) -> None:
    event = payload("http_jwt")
    event["requestContext"]["authorizer"]["jwt"]["claims"]["cognito:groups"] = text
    caller = request_of(event).caller
    assert getattr(caller, "roles", None) == frozenset(groups)


def claimed(**claims: Any) -> Any:
    event = payload("http_jwt")
    event["requestContext"]["authorizer"]["jwt"]["claims"].update(claims)
    return request_of(event).caller


@pytest.mark.parametrize("name", ["email_verified", "phone_number_verified"])
@pytest.mark.parametrize(("text", "value"), [("false", False), ("true", True), (False, False), ("odd", "odd")])
def test_what_is_not_verified_is_not_taken_for_it(name: str, text: Any, value: Any) -> None:
    assert claimed(**{name: text}).claims[name] == value


@pytest.mark.parametrize("groups", [{"staff": 1}, 7, ["staff", 7], True])
def test_groups_that_are_no_list_of_names_are_refused(groups: Any) -> None:
    with pytest.raises(Unauthorized, match="groups"):
        claimed(**{"cognito:groups": groups})


@pytest.mark.parametrize("subject", ["", None, 7, ["ada"]])
def test_a_subject_that_is_no_name_is_refused(subject: Any) -> None:
    with pytest.raises(Unauthorized, match="names nobody"):
        claimed(sub=subject)


def test_a_body_in_base64_of_other_letters_is_refused() -> None:
    with pytest.raises(BadRequest, match="did not arrive whole"):
        request_of(payload("http_base64", body="é\ud800"))


@pytest.mark.parametrize(
    "authorizer",
    [None, {}, {"jwt": None, "lambda": None}, {"iam": {"userId": "ada"}}, {"caller": '{"id":"ada"}'}],
)
def test_who_is_not_named_by_an_authorizer_is_nobody(authorizer: Any) -> None:
    event = payload("http", headers={"caller": '{"id":"ada"}', "x-windlass-caller": "ada"})
    event["requestContext"]["authorizer"] = authorizer
    assert request_of(event).caller is None
