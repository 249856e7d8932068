"""Attributes as DynamoDB types them: values come back as they were, and what cannot be held is refused."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from windlass import DeclarationError, Index, InvalidItem, System
from windlass.engines.aws.attributes import Items, plain, plain_item, typed, typed_item
from windlass.errors import InvalidState
from windlass.model.item_size import holdable
from windlass.ports.clock import ManualClock
from windlass.ports.table import Key

FLOATS = st.floats(allow_nan=False, allow_infinity=False).filter(holdable)
INTEGERS = st.integers(-(10**38) + 1, 10**38 - 1)
SCALARS = st.none() | st.booleans() | INTEGERS | FLOATS | st.text(st.characters(exclude_categories=["Cs"]))
VALUES = st.recursive(
    SCALARS, lambda parts: st.lists(parts, max_size=4) | st.dictionaries(st.text("abc"), parts, max_size=4)
)


def alike(one: Any, other: Any) -> bool:
    """Equal, and no number where there was a bool. A float is compared as one: its shortest digits are not all."""
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(alike, one, other))
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(alike(one[name], other[name]) for name in one)
    if isinstance(other, float) and not isinstance(one, bool):
        return float(one) == other
    return bool(one == other) and isinstance(one, bool) == isinstance(other, bool)


@pytest.mark.parametrize(
    ("value", "held"),
    [
        ("", {"S": ""}),
        (None, {"NULL": True}),
        (True, {"BOOL": True}),
        (0, {"N": "0"}),
        (-7, {"N": "-7"}),
        (1.0, {"N": "1"}),
        (-0.0, {"N": "0"}),
        (0.1, {"N": "0.1"}),
        (100.0, {"N": "100"}),
        (1e22, {"N": "1" + "0" * 22}),
        (1e-7, {"N": "0.0000001"}),
        (10**38 - 1, {"N": "9" * 38}),
        ([], {"L": []}),
        (("a", 1), {"L": [{"S": "a"}, {"N": "1"}]}),
        ({"a": [None]}, {"M": {"a": {"L": [{"NULL": True}]}}}),
    ],
    ids=repr,
)
def test_a_value_has_its_type(value: Any, held: dict[str, Any]) -> None:
    assert typed(value) == held
    assert alike(plain(held), list(value) if isinstance(value, tuple) else value)


@given(value=VALUES)
def test_every_json_value_comes_back_as_it_was(value: Any) -> None:
    assert alike(plain(typed(value)), value)
    assert alike(plain_item(typed_item({"a": value})), {"a": value})


@given(value=INTEGERS)
def test_a_whole_number_comes_back_as_an_int(value: int) -> None:
    assert type(plain(typed(value))) is int


@given(value=FLOATS)
def test_a_float_comes_back_as_the_same_float(value: float) -> None:
    assert float(plain(typed(value))) == value


@pytest.mark.parametrize(
    ("text", "value"), [("1E+2", 100), ("5E+60", 5 * 10**60), ("1.5E-7", 1.5e-7), ("2.50", 2.5), ("3.0", 3), ("-4", -4)]
)
def test_a_number_is_read_however_it_is_written(text: str, value: float) -> None:
    found = plain({"N": text})
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    "value",
    [10**38 + 1, 10**126, 10**5000, 1e126, 1e-131, float("nan"), float("inf")],
    ids=lambda value: f"{value!r:.9}" if isinstance(value, float) else f"{value.bit_length()}_bits",
)
def test_a_number_that_dynamodb_cannot_hold_is_refused(value: float) -> None:
    with pytest.raises(InvalidItem, match="too large or has too many digits"):
        typed([{"a": value}])


@pytest.mark.parametrize("held", [{"SS": ["a"]}, {"B": b"a"}, {"NS": ["1"]}])
def test_what_windlass_never_stores_says_what_to_store_instead(held: dict[str, Any]) -> None:
    with pytest.raises(InvalidState, match=r"never stores(?s:.)*fix: store a list"):
        plain({"L": [held]})


# Items of a table


@dataclass
class Book:
    shelf: str
    id: int
    year: int | None
    read_by: str | None
    genre: str | None = None
    title: str = "-"
    lender: str | None = "nobody"
    ends: int | None = None


def items(clock: ManualClock | None = None) -> Items:
    indexes = {"by_year": Index("year"), "by_genre": Index("genre", sort="title")}
    table = System("library").table("books", Book, key="shelf", sort="id", ttl="ends", indexes=indexes)
    return Items(table, clock or ManualClock())


def attributes(**changes: Any) -> dict[str, Any]:
    book = {"shelf": "s", "id": 1, "year": None, "read_by": None, "genre": None, "title": "t", "lender": None}
    return {**book, **changes}


def test_a_none_is_stored_only_where_something_else_would_come_back() -> None:
    stored = items().item(attributes(ends=None))
    assert stored == {
        "shelf": {"S": "s"},
        "id": {"N": "1"},
        "title": {"S": "t"},
        "read_by": {"NULL": True},
        "lender": {"NULL": True},
    }
    assert items().read(stored) == {"shelf": "s", "id": 1, "title": "t", "read_by": None, "lender": None, "year": None}


def test_an_item_is_found_by_its_key() -> None:
    at = items().at(Key("s", 1))
    assert at == {"shelf": {"S": "s"}, "id": {"N": "1"}}
    assert items().key_of({**at, "title": {"S": "t"}}) == Key("s", 1)


def test_an_item_lives_until_the_second_that_it_names() -> None:
    clock = ManualClock()
    found, held = items(clock), {"ends": {"N": str(int(clock.now()) + 10)}}
    clock.advance(timedelta(seconds=9.5))
    assert found.live(held) is not None
    clock.advance(timedelta(seconds=0.5))
    assert found.live(held) is None
    assert found.live(None) is None


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"genre": ""}, "genre is an index key: it must have 1 to 2048 bytes"),
        ({"genre": "\N{SNOWMAN}" * 683}, "genre is an index key"),
        ({"title": "x" * 1025}, "title is an index key: it must have 1 to 1024 bytes"),
        ({"year": 2**63}, "year of library.books must be an integer of 64 bits"),
        ({"ends": -(2**63) - 1}, "ends of library.books must be an integer of 64 bits"),
        ({"lender": "\ud800"}, "an item of library.books cannot be stored"),
        ({"lender": "x" * 409_600}, r"has 409,\d+ bytes; the most is 409,600"),
        ({"lender": 10**38 + 1}, "a number that is too large or has too many digits"),
    ],
)
def test_an_item_that_cannot_be_stored_is_refused(changes: dict[str, Any], says: str) -> None:
    with pytest.raises(InvalidItem, match=says):
        items().item(attributes(**changes))


def test_true_beside_a_large_number_is_no_number() -> None:
    items().check(attributes(lender=[True, 1e100]))


def test_an_index_key_that_is_none_or_something_by_default_is_refused() -> None:
    table = System("library").table("books", Book, key="shelf", sort="id", indexes={"by_lender": Index("lender")})
    with pytest.raises(DeclarationError, match=r"'lender' is the key of an index(?s:.)*fix: give lender the default"):
        Items(table, ManualClock())
