"""User names: that the same is the same however it is typed, and what a new user may be called."""

from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from windlass.errors import InvalidItem
from windlass.model.username import canonical_email, canonical_username, new_address, new_username


@pytest.mark.parametrize(
    ("typed", "kept"),
    [
        ("Ada.Lovelace+news@Example.COM", "ada.lovelace+news@example.com"),
        ("o'brien@mail.example.co", "o'brien@mail.example.co"),
        ("a@b.c", "a@b.c"),
        ("a@xn--bcher-kva.example", "a@xn--bcher-kva.example"),
    ],
)
def test_addresses_are_kept_in_lower_case(typed: str, kept: str) -> None:
    assert canonical_email(typed) == kept


@pytest.mark.parametrize(
    "typed",
    [
        *("", "@", "a@", "@b.c", "a@b", "a@@b.c", "a b@c.de", ".a@b.c", "a.@b.c", "a@-b.c", "a@b-.c", "a@b..c"),
        *("a@b.c\n", "a@b.c.", '"a b"@c.de', "a@[127.0.0.1]", "a,b@c.de", "a<b@c.de", "ä@b.c", "a@b\u212a.c"),
        f"{'a' * 65}@b.c",
    ],
)
def test_other_texts_are_no_addresses(typed: str) -> None:
    assert canonical_email(typed) is None


@pytest.mark.parametrize(
    ("typed", "kept"),
    [
        ("Admin", "admin"),
        ("\uff21\uff24\uff2d\uff29\uff2e", "admin"),
        ("ADMİN", "admi\u0307n"),
        ("straße", "strasse"),
        ("李明", "李明"),
        ("a" * 128, "a" * 128),
    ],
    ids=["case", "width", "dotted", "sharp", "han", "long"],
)
def test_names_that_look_alike_are_one(typed: str, kept: str) -> None:
    assert canonical_username(typed, "username") == kept


@pytest.mark.parametrize(
    "typed", ["", " ", "a b", "a\u3000b", "a\tb", "a\x00", "a\u200bb", "\ud800", "a" * 129, "\ufdfa" * 128]
)
def test_other_texts_are_no_names(typed: str) -> None:
    assert canonical_username(typed, "username") is None


@given(st.text(max_size=140))
def test_a_canonical_name_is_its_own(text: str) -> None:
    for kind in ("email", "username"):
        name = canonical_username(text, "email" if kind == "email" else "username")
        assert name is None or canonical_username(name, "email" if kind == "email" else "username") == name


def test_a_new_user_of_a_pool_of_addresses_has_its_name_for_an_address() -> None:
    assert new_username("Ada@Example.com", "email") == "ada@example.com"
    assert new_address("ada@example.com", None, "email") == "ada@example.com"
    assert new_address("ada@example.com", "ADA@example.com", "email") == "ada@example.com"


def test_a_new_user_of_a_pool_of_names_may_have_an_address_besides() -> None:
    assert new_username("Ada", "username") == "ada"
    assert new_address("ada", None, "username") is None
    assert new_address("ada", "Ada@Example.com", "username") == "ada@example.com"


@pytest.mark.parametrize(("name", "by"), [("ada", "email"), ("two words", "username")])
def test_a_bad_name_is_refused(name: str, by: Literal["email", "username"]) -> None:
    with pytest.raises(InvalidItem) as raised:
        new_username(name, by)
    assert [error.field for error in raised.value.errors] == ["username"]


@pytest.mark.parametrize(
    ("name", "email", "by"),
    [("ada", "no address", "username"), ("ada@example.com", "eve@example.com", "email")],
    ids=["none", "other"],
)
def test_a_bad_address_is_refused(name: str, email: str, by: Literal["email", "username"]) -> None:
    with pytest.raises(InvalidItem) as raised:
        new_address(name, email, by)
    assert [error.field for error in raised.value.errors] == ["email"]
