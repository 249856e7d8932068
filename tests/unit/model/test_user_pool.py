"""Declaring a user pool: what is refused, and with which words."""

from typing import Any

import pytest

from windlass import System
from windlass.errors import DeclarationError


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (
            {"first_user": "ada"},
            "first_user='ada' is not an e-mail address, by which users sign in here\n"
            '  fix: first_user="ada@example.com", or sign_in="username"',
        ),
        ({"groups": "staff"}, 'groups is not a list\n  fix: groups=["staff"]'),
        ({"first_user_groups": "staff"}, 'first_user_groups is not a list\n  fix: first_user_groups=["staff"]'),
        (
            {"access_token_life": 3600},
            "access_token_life=3600 is not a timedelta\n"
            "  fix: say of what: access_token_life=timedelta(seconds=...), or minutes=, from datetime",
        ),
    ],
)
def test_what_is_refused_is_explained(options: dict[str, Any], text: str) -> None:
    with pytest.raises(DeclarationError) as raised:
        System("shop").user_pool("users", **options)
    assert str(raised.value) == f"shop.users: {text}"
