"""Passwords and user names: what may be set, and that the same is the same however it is typed."""

import unicodedata

import pytest
from argon2 import PasswordHasher
from hypothesis import assume, given
from hypothesis import strategies as st

from tests.unit.engines.embedded.pool_world import CHEAP
from windlass.engines.embedded.passwords import MAX_LENGTH, Passwords, Slots
from windlass.engines.embedded.usernames import canonical_email, canonical_username
from windlass.errors import InvalidItem, LockedOut, TooManyRequests

LONG_ENOUGH = 8


@pytest.fixture(scope="module")
def passwords() -> Passwords:
    return Passwords(LONG_ENOUGH, hasher=CHEAP)


def admit() -> None:
    """Everybody may try."""


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
def test_bad_passwords_are_refused(passwords: Passwords, password: str) -> None:
    with pytest.raises(InvalidItem) as raised:
        passwords.check(password, "ada@example.com", None)
    assert [error.field for error in raised.value.errors] == ["password"]
    assert password not in str(raised.value)


@pytest.mark.parametrize(
    "password",
    ["x" * 8, "x" * MAX_LENGTH, "    a b     c"[4:], "zażółć gęślą", "😀👩‍🔬😀😀😀😀", "password", "e\u0301" * 8],
)
def test_other_passwords_are_taken(passwords: Passwords, password: str) -> None:
    passwords.check(password, "ada@example.com")
    kept = passwords.hash(password)
    assert kept.startswith("$argon2id$v=19$")
    assert passwords.verify(password, kept, admit=admit) == (True, None)
    assert passwords.verify(password + "x", kept, admit=admit) == (False, None)


@given(st.text(st.characters(exclude_categories=["Cc", "Cs", "Cn"]), min_size=8, max_size=60))
def test_a_password_is_the_same_however_it_is_typed(password: str) -> None:
    passwords = Passwords(LONG_ENOUGH, hasher=CHEAP)
    kept = passwords.hash(password)
    for form in ("NFC", "NFD"):
        typed = unicodedata.normalize(form, password)
        assume(len(typed) <= MAX_LENGTH)
        assert passwords.verify(typed, kept, admit=admit) == (True, None)
    assert passwords.verify(password.replace(" ", "\u00a0"), kept, admit=admit) == (True, None)


def test_compatibility_forms_are_other_passwords(passwords: Passwords) -> None:
    kept = passwords.hash("efficient")
    assert passwords.verify("e\ufb03cient", kept, admit=admit) == (False, None)


def test_who_does_not_exist_is_verified_as_dearly(passwords: Passwords) -> None:
    """With the parameters in force: the hash that nobody has must not be cheaper."""
    hasher = PasswordHasher(time_cost=2, memory_cost=32, parallelism=2, hash_len=24, salt_len=12)
    nobody = Passwords(LONG_ENOUGH, hasher=hasher).hash_of_nobody
    assert not hasher.check_needs_rehash(nobody)
    assert nobody.split("$")[:4] == hasher.hash("x").split("$")[:4]
    assert passwords.verify("anything", None, admit=admit) == (False, None)
    assert passwords.verify("", None, admit=admit) == (False, None)


def test_a_place_is_given_back_when_who_waited_is_refused() -> None:
    passwords = Passwords(LONG_ENOUGH, hasher=CHEAP, slots=Slots(places=1, line=0, patience=0))

    def refuse() -> None:
        raise LockedOut("wait")

    for _ in range(3):
        with pytest.raises(LockedOut):
            passwords.verify("x", None, admit=refuse)


def test_a_line_that_is_full_is_not_joined() -> None:
    slots = Slots(places=1, line=1, patience=0)
    with slots.taken():
        for _ in range(3):  # these wait, in vain, and leave
            with pytest.raises(TooManyRequests), slots.taken():
                pytest.fail("there was no place")
    patient = Slots(places=1, line=0, patience=60)
    with patient.taken(), pytest.raises(TooManyRequests), patient.taken():
        pytest.fail("there was no line to be patient in")


# Names


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
