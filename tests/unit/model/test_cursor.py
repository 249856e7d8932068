"""Cursors: they come back as they were, and only from who has the key."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from windlass.errors import BadRequest
from windlass.model.cursor import sign, verify

KEY = b"k" * 32
POSITIONS = st.dictionaries(st.text(max_size=5), st.text(max_size=20) | st.integers(-(2**63), 2**63 - 1), max_size=4)
ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_="


@given(scope=st.text(max_size=20), position=POSITIONS, backward=st.booleans())
def test_a_cursor_holds_its_position(scope: str, position: dict[str, Any], backward: bool) -> None:
    cursor = sign(KEY, scope, position, backward=backward)
    assert set(cursor) <= set(ALPHABET)
    assert verify(KEY, scope, cursor) == (position, backward)


@given(scope=st.text(max_size=20), other=st.text(max_size=20), position=POSITIONS)
def test_a_cursor_is_for_one_scope_and_one_key(scope: str, other: str, position: dict[str, Any]) -> None:
    cursor = sign(KEY, scope, position, backward=False)
    with pytest.raises(BadRequest):
        verify(b"x" * 32, scope, cursor)
    if other != scope:
        with pytest.raises(BadRequest):
            verify(KEY, other, cursor)


@given(position=POSITIONS, data=st.data())
def test_a_changed_cursor_is_refused(position: dict[str, Any], data: st.DataObject) -> None:
    cursor = sign(KEY, "scope", position, backward=False)
    at = data.draw(st.integers(0, len(cursor) - 2))  # the last character may have bits that mean nothing
    letter = data.draw(st.sampled_from(ALPHABET[:-1]).filter(lambda letter: letter != cursor[at]))
    for changed in (cursor[:at] + letter + cursor[at + 1 :], cursor[:at]):
        with pytest.raises(BadRequest):
            verify(KEY, "scope", changed)


@given(cursor=st.text(max_size=100) | st.none() | st.integers() | st.binary())
def test_anything_else_is_refused(cursor: object) -> None:
    with pytest.raises(BadRequest):
        verify(KEY, "scope", cursor)
