"""Passwords: what may be set, and that the same is the same however it is typed."""

import unicodedata

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from windlass.errors import InvalidItem
from windlass.model.password import MAX_LENGTH, check_password, prepared_password


@pytest.mark.parametrize(
    "password",
    [
        "x" * 7,
        "x" * (MAX_LENGTH + 1),
        "x" * 10_000_000,
        "é" * 7,
        "e\u0301" * 7,
        "tab\tulator",
        "null\x00byte",
        "line\nbreak",
        "next\x85line",
        "surro\ud800gate",
        "un\u0378assigned",
        " leading space",
        "trailing space ",
        "\u3000ideographic space",
        "ada@example.com",
        "ADA@EXAMPLE.COM",
    ],
    ids=[f"fault{number}" for number in range(16)],
)
def test_bad_passwords_are_refused(password: str) -> None:
    with pytest.raises(InvalidItem) as raised:
        check_password(password, "ada@example.com", None, min_length=8)
    assert [error.field for error in raised.value.errors] == ["password"]
    assert password not in str(raised.value)


@pytest.mark.parametrize(
    "password",
    ["x" * 8, "x" * MAX_LENGTH, "    a b     c"[4:], "zażółć gęślą", "😀👩\u200d🔬😀😀😀😀", "password", "e\u0301" * 8],
)
def test_other_passwords_are_taken(password: str) -> None:
    check_password(password, "ada@example.com", None, min_length=8)
    assert prepared_password(password) is not None


@given(st.text(st.characters(exclude_categories=["Cc", "Cs", "Cn"]), max_size=60))
def test_a_password_is_prepared_alike_however_it_is_typed(password: str) -> None:
    prepared = prepared_password(password)
    assert prepared is not None
    assert prepared_password(prepared) == prepared
    assert prepared_password(password.replace(" ", "\u00a0")) == prepared
    for form in ("NFC", "NFD"):
        typed = unicodedata.normalize(form, password)
        assume(len(typed) <= MAX_LENGTH)
        assert prepared_password(typed) == prepared


def test_compatibility_forms_are_left_as_they_are() -> None:
    assert prepared_password("e\ufb03cient") != prepared_password("efficient")


@pytest.mark.parametrize("password", ["x" * (MAX_LENGTH + 1), "surro\ud800gate"], ids=["long", "surrogate"])
def test_what_no_password_can_be_is_not_prepared(password: str) -> None:
    assert prepared_password(password) is None
