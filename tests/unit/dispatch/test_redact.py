"""What a log line must not show, and what it may."""

import json
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from windlass.dispatch.redact import Redactor

JWT = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiI1ZjBjIn0.c2lnbmF0dXJl-_x"


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        (f"got {JWT}.", "got ***"),
        (f'{{"token": "{JWT}"}}', '{"token": "***"}'),
        ("Authorization: Bearer 0af7651916cd43dd8448eb21", "Authorization: Bearer ***"),
        ("authorization: basic dXNlcjpodW50ZXIyaHVudGVy==", "authorization: basic ***"),
        ("connect postgresql://app:hunter2@db/shop", "connect postgresql://app:***@db/shop"),
        ("POST /in?user=ann&password=hunter2&next=1", "POST /in?user=ann&password=***&next=1"),
        ('{"password": "correct horse \\" battery", "user": "ann"}', '{"password": "***", "user": "ann"}'),
        ("{'client_secret': 'x y', 'id': 1}", "{'client_secret': '***', 'id': 1}"),
        (r'{"message": "{\"password\": \"a b\", \"n\": 1}"}', r'{"message": "{\"password\": \"***\", \"n\": 1}"}'),
        ('{"passwd":1234,"n":1}', '{"passwd":***,"n":1}'),
        ("API_KEY=abc123 make", "API_KEY=*** make"),
        ("dbPassword='a b' x", "dbPassword='***' x"),
        ("access_token=abc&refresh_token=def", "access_token=***&refresh_token=***"),
    ],
)
def test_what_looks_like_a_secret_is_masked(text: str, masked: str) -> None:
    assert Redactor().mask(text) == masked


@pytest.mark.parametrize(
    "text",
    [
        "",
        "the bearer of the message, and basic authentication",
        "password: at least 12 characters",
        "the password was wrong; the token had expired; no secret key",
        '{"password": null, "secret": false, "n": 1}',
        "GET http://127.0.0.1:8400/todos/items?limit=5",
        "see https://example.com:8443/a@b",
        "broken=5 keyboard=6",
        "eyJust a word",
        "a" * 10_000,
    ],
)
def test_prose_is_left_alone(text: str) -> None:
    assert Redactor().mask(text) == text


def test_a_known_value_is_masked_wherever_it_stands() -> None:
    redactor = Redactor()
    redactor.add("s3cr3t")
    assert redactor.mask("as3cr3tb s3cr3t") == "a***b ***"
    assert redactor.mask("s3cr3") == "s3cr3"


def test_a_value_that_holds_another_is_masked_from_end_to_end() -> None:
    redactor = Redactor()
    redactor.add("horse")
    redactor.add("horse-battery")
    assert redactor.mask("horse-battery, horse") == "***, ***"


def test_a_short_value_is_not_masked_by_value() -> None:
    redactor = Redactor()
    redactor.add("abc")
    redactor.add("")
    assert redactor.mask("abcdef") == "abcdef"


def test_a_value_of_many_lines_is_masked_line_by_line() -> None:
    redactor = Redactor()
    redactor.add("-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIDRo\nend\n")
    assert redactor.mask("> MC4CAQAwBQYDK2VwBCIEIDRo\n> end") == "> ***\n> end"


def test_the_newest_values_are_remembered() -> None:
    redactor = Redactor()
    for number in range(1500):
        redactor.add(f"value-{number:04}")
    assert redactor.mask("value-0001 value-1499") == "value-0001 ***"


@given(st.text(st.characters(codec="utf-8"), min_size=4, max_size=20))
def test_a_known_value_is_masked_in_each_of_its_forms(value: str) -> None:
    redactor = Redactor()
    redactor.add(value)
    for form in (value, json.dumps(value)[1:-1], repr(value)[1:-1], quote(value), quote(value, safe="")):
        masked = redactor.mask(f"<{form}>")
        assert form not in masked or form in "***"
        assert masked.startswith("<")
