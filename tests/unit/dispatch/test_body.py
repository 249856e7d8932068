"""Request bodies: charsets, byte-order marks, and errors that name the field."""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from windlass.dispatch.body import converted, field_error, json_text
from windlass.errors import BadRequest, UnsupportedMediaType

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=20).map(lambda text: f'"{text}"')


@given(text=TEXTS, codec=st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]))
def test_a_byte_order_mark_says_the_charset(text: str, codec: str) -> None:
    assert json_text(text.encode(codec), "application/json", None).decode() == text


@given(text=TEXTS, codec=st.sampled_from(["utf-8", "utf-16-le", "utf-16-be"]))
def test_the_header_says_the_charset(text: str, codec: str) -> None:
    assert json_text(text.encode(codec), f"application/json;charset={codec}", "identity").decode() == text


@given(body=st.binary(max_size=30), content_type=st.text(max_size=30))
def test_nothing_else_is_raised(body: bytes, content_type: str) -> None:
    for said in (content_type, f"application/json; {content_type}", f"application/json; charset={content_type}"):
        try:
            json_text(body, said, None)
        except (BadRequest, UnsupportedMediaType) as refused:
            assert refused.detail  # noqa: PT017 - which of the two depends on the example


@pytest.mark.parametrize(
    ("content_type", "codec"), [("application/json", "utf-8"), ("application/json; charset=utf-16", "utf-16")]
)
def test_half_a_character_is_a_bad_request(content_type: str, codec: str) -> None:
    body = '"\N{SNOWMAN}"'.encode("utf-16-le")[:-1]
    if codec == "utf-8":
        assert json_text(body, content_type, None) == body  # the decoder finds out, in one pass
    else:
        with pytest.raises(BadRequest, match="not valid utf-16 text"):
            json_text(body, content_type, None)


class Part(msgspec.Struct):
    count: int


class Whole(msgspec.Struct):
    parts: list[Part]
    named: dict[str, Part] = {}


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (b"{}", "body"),
        (b'{"parts":1}', "body.parts"),
        (b'{"parts":[{"count":1},{"count":"x"}]}', "body.parts[1].count"),
        (b'{"parts":[{}]}', "body.parts[0]"),
        (b'{"parts":[],"named":{"a":{"count":"x"}}}', "body.named[].count"),
    ],
)
def test_an_error_names_the_field(body: bytes, field: str) -> None:
    with pytest.raises(msgspec.ValidationError) as raised:
        msgspec.json.decode(body, type=Whole)
    assert field_error(raised.value, "body").errors[0].field == field


@pytest.mark.parametrize(
    ("text", "kind", "value"),
    [
        ("1", int, 1),
        ("true", bool, True),
        ("0", bool, False),
        ("null", str | None, "null"),
        (["1", "2"], list[int], [1, 2]),
    ],
)
def test_a_text_is_converted(text: Any, kind: Any, value: Any) -> None:
    assert converted(text, kind, "query.x") == value


def test_a_text_that_cannot_be_converted_names_its_field() -> None:
    with pytest.raises(BadRequest) as raised:
        converted("x", int, "query.x")
    assert raised.value.errors[0].field == "query.x"
    assert raised.value.detail == "Expected `int`, got `str`"
