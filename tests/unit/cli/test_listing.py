"""Columns that are aligned, and texts that a terminal does not obey."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from windlass.cli.listing import harmless, moment, print_listing


def test_numbers_stand_to_the_right_and_wide_letters_take_two_columns(capsys: pytest.CaptureFixture[str]) -> None:
    print_listing(["NAME", "COUNT"], [["ticket", 7], ["切符", 1200], ["a\nb", 3]], empty="none")
    assert capsys.readouterr().out == "NAME    COUNT\nticket      7\n切符     1200\na b         3\n"


def test_nothing_is_said_in_words(capsys: pytest.CaptureFixture[str]) -> None:
    print_listing(["NAME"], [], empty="no users")
    assert capsys.readouterr().out == "no users\n"


def test_a_moment_is_in_utc() -> None:
    assert moment(1_718_182_800.9) == "2024-06-12 09:00:00Z"


@given(st.text())
def test_no_control_character_is_left(text: str) -> None:
    assert all(character.isprintable() or ord(character) > 0x9F or character in "\n\t" for character in harmless(text))


def test_what_is_harmless_stays() -> None:
    assert harmless("Grüße,\n\t切符 🎫") == "Grüße,\n\t切符 🎫"
    assert harmless("\x1b[31m\x9b\x07\r") == "\\x1b[31m\\x9b\\x07\\r"
