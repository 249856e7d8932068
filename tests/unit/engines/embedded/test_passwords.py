"""Passwords as they are kept: the same is the same however it is typed, and nobody waits for too long."""

import unicodedata

import pytest
from argon2 import PasswordHasher
from hypothesis import assume, given
from hypothesis import strategies as st

from tests.unit.engines.embedded.pool_world import CHEAP
from windlass.engines.embedded.passwords import Passwords, Slots
from windlass.errors import InvalidItem, LockedOut, TooManyRequests
from windlass.model.password import MAX_LENGTH

LONG_ENOUGH = 8


@pytest.fixture(scope="module")
def passwords() -> Passwords:
    return Passwords(LONG_ENOUGH, hasher=CHEAP)


def admit() -> None:
    """Everybody may try."""


def test_a_password_that_may_not_be_set_is_refused(passwords: Passwords) -> None:
    for password in ("x" * (LONG_ENOUGH - 1), "ADA@example.com"):
        with pytest.raises(InvalidItem):
            passwords.check(password, "ada@example.com", None)


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
