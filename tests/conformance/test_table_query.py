"""What a table and its indexes answer to queries: key conditions, indexes, projections."""

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.conformance.library import Book, Tick, books, ids, library, pages, single, ticks
from tests.conformance.plugin import Start
from windlass import (
    DeclarationError,
    InvalidItem,
    Page,
    begins_with,
    between,
    equal,
    greater,
    greater_equal,
    less,
    less_equal,
    new_id,
)
from windlass import field as attribute
from windlass.ports.table import KeyCondition
from windlass.testing import Driver

TEXT_OPERATORS: dict[str, tuple[Callable[[str], KeyCondition], Callable[[str, str], bool]]] = {
    "equal": (equal, lambda held, value: held == value),
    "less": (less, lambda held, value: held < value),
    "less_equal": (less_equal, lambda held, value: held <= value),
    "greater": (greater, lambda held, value: held > value),
    "greater_equal": (greater_equal, lambda held, value: held >= value),
    "begins_with": (begins_with, lambda held, value: held.startswith(value)),
}
# Where prefixes and orders go wrong: the ends of the one-, two-, three- and four-byte ranges of UTF-8, and NUL.
TRICKY = "a\x00\x7f\x80\u07ff\u0800\ud7ff\ue000\uffff\U00010000\U0010ffff"
KEYS = st.text(st.sampled_from(TRICKY), min_size=1, max_size=4)

SUPPRESSED = [HealthCheck.function_scoped_fixture]


@pytest.fixture
def app(start: Start) -> Driver:
    return start(library)


# Key conditions


@settings(suppress_health_check=SUPPRESSED, max_examples=80)
@given(keys=st.sets(KEYS, max_size=8), value=KEYS, descending=st.booleans())
@pytest.mark.parametrize("name", sorted(TEXT_OPERATORS))
def test_a_condition_on_a_text_selects_as_python_does(
    app: Driver, name: str, keys: set[str], value: str, descending: bool
) -> None:
    make, holds = TEXT_OPERATORS[name]
    shelf = new_id()
    with app.bound():
        books.put_many([Book(shelf, key) for key in keys])
        found = books.query(shelf, sort=make(value), descending=descending)
    assert ids(found) == sorted((key for key in keys if holds(key, value)), reverse=descending)


@settings(suppress_health_check=SUPPRESSED, max_examples=40)
@given(keys=st.sets(KEYS, max_size=8), low=KEYS, high=KEYS)
def test_between_includes_both_ends_and_may_be_empty(app: Driver, keys: set[str], low: str, high: str) -> None:
    shelf = new_id()
    with app.bound():
        books.put_many([Book(shelf, key) for key in keys])
        found = books.query(shelf, sort=between(low, high))
    assert ids(found) == sorted(key for key in keys if low <= key <= high)


@settings(suppress_health_check=SUPPRESSED, max_examples=60)
@given(times=st.sets(st.integers(-(2**63), 2**63 - 1) | st.integers(-3, 3), max_size=8), data=st.data())
def test_whole_numbers_are_ordered_as_numbers(app: Driver, times: set[int], data: st.DataObject) -> None:
    value = data.draw(st.sampled_from(sorted(times)) if times else st.just(0))
    series = new_id()
    with app.bound():
        ticks.put_many([Tick(series, at) for at in times])
        for sort, wanted in (
            (equal(value), {value} & times),
            (less(value), {at for at in times if at < value}),
            (less_equal(value), {at for at in times if at <= value}),
            (greater(value), {at for at in times if at > value}),
            (greater_equal(value), {at for at in times if at >= value}),
            (between(value, 0), {at for at in times if value <= at <= 0}),
        ):
            assert [tick.at for tick in ticks.query(series, sort=sort).items] == sorted(wanted)


@pytest.mark.parametrize(
    "wrong", [equal(1), between("a", 2), begins_with(""), less(""), equal("x" * 1025), equal("\ud800")]
)
def test_a_condition_that_does_not_fit_the_sort_key_is_refused(app: Driver, wrong: KeyCondition) -> None:
    with app.bound(), pytest.raises(InvalidItem):
        books.query("a", sort=wrong)


def test_a_bare_value_is_no_condition_on_the_sort_key(app: Driver) -> None:
    wrong: Any = "a"
    with app.bound(), pytest.raises(DeclarationError, match=r"sort='a' is not a condition(?s:.)*sort=equal\('a'\)"):
        books.query("a", sort=wrong)


def test_a_number_has_no_prefix(app: Driver) -> None:
    with app.bound(), pytest.raises(InvalidItem):
        ticks.query("a", sort=begins_with("1"))


def test_a_condition_needs_a_sort_key(app: Driver) -> None:
    with app.bound():
        with pytest.raises(InvalidItem, match="sort key"):
            single.query("a", sort=equal(1))
        with pytest.raises(InvalidItem, match="sort key"):
            books.index("by_year").query(2024, sort=equal("1"))


def test_a_partition_without_a_sort_key_holds_one_item(app: Driver) -> None:
    with app.bound():
        single.put(Tick("a", 1))
        found = single.query("a", limit=1)
        assert found == Page([Tick("a", 1)])
        assert single.query("b") == Page([])


# Indexes


def test_an_index_holds_the_items_that_have_its_keys(app: Driver) -> None:
    with app.bound():
        books.put(Book("s", "1", genre="poem", year=2001))
        books.put(Book("s", "2", genre="poem", year=1999))
        books.put(Book("s", "3", genre="poem"))
        books.put(Book("s", "4", year=2001))
        books.put(Book("t", "1", genre="tale", year=2001))
        by_genre, by_year = books.index("by_genre"), books.index("by_year")
        assert ids(by_genre.query("poem")) == ["2", "1"]
        assert ids(by_genre.query("poem", descending=True, limit=1)) == ["1"]
        assert ids(by_genre.query("poem", sort=greater(2000))) == ["1"]
        assert by_genre.query("none") == Page([])
        found = by_year.query(2001).items
        assert {(book.shelf, book.id) for book in found} == {("s", "1"), ("s", "4"), ("t", "1")}


def test_an_index_follows_its_table(app: Driver) -> None:
    with app.bound():
        index = books.index("by_genre")
        books.put(Book("s", "1", genre="poem", year=1))
        books.update("s", "1", set={"year": 2})
        assert index.query("poem").items == [Book("s", "1", genre="poem", year=2)]
        books.update("s", "1", set={"genre": "tale"})
        assert index.query("poem").items == []
        assert ids(index.query("tale")) == ["1"]
        books.update("s", "1", remove=["year"])
        assert index.query("tale").items == []
        books.update("s", "1", set={"year": 3})
        books.delete("s", "1")
        assert index.query("tale").items == []


@pytest.mark.parametrize("genre", ["", "x" * 2049])
def test_an_index_key_is_as_limited_as_any(app: Driver, genre: str) -> None:
    with app.bound():
        with pytest.raises(InvalidItem):
            books.put(Book("s", "1", genre=genre))
        books.put(Book("s", "1"))
        with pytest.raises(InvalidItem):
            books.update("s", "1", set={"genre": genre})
        with pytest.raises(InvalidItem):
            books.index("by_genre").query(genre)


def test_an_unknown_index_names_the_near_one() -> None:
    with pytest.raises(DeclarationError, match=r"no index 'by_genres' \(it has: by_genre, by_year, brief\)") as raised:
        books.index("by_genres")
    assert raised.value.fix == "did you mean 'by_genre'?"
    with pytest.raises(DeclarationError, match=r"no index 'x' \(it has: none\)"):
        ticks.index("x")


# Projections


def test_a_query_reads_only_the_fields_that_it_names(app: Driver) -> None:
    with app.bound():
        books.put(Book("s", "1", "tea", 2024, price=2.5, tags=["a"]))
        fields = ["shelf", "id", "price"]
        assert books.query("s", fields=fields).items == [Book("s", "1", price=2.5)]
        assert books.scan(fields=fields).items == [Book("s", "1", price=2.5)]
        found = books.query("s", fields=["title", *fields], where=attribute("year") == 2024)
        assert found.items == [Book("s", "1", "tea", price=2.5)]


def test_pages_go_on_whatever_fields_are_read(app: Driver) -> None:
    with app.bound():
        ticks.put_many([Tick("s", n, f"n{n}") for n in range(5)])
        found = pages(lambda after: ticks.query("s", fields=["at", "series"], limit=2, after=after))
    assert [tick for page in found for tick in page.items] == [Tick("s", n) for n in range(5)]


def test_fields_name_what_the_item_requires(app: Driver) -> None:
    with app.bound():
        with pytest.raises(DeclarationError, match="leaves out shelf, id, which Book requires"):
            books.query("s", fields=["title"])
        with pytest.raises(DeclarationError, match="no field 'titel'; did you mean 'title'"):
            books.query("s", fields=["shelf", "id", "titel"])


def test_an_index_answers_with_what_it_keeps(app: Driver) -> None:
    with app.bound():
        index = books.index("brief")
        books.put(Book("s", "1", "tea", 2024, "poem", 2.5, True, ["a"]))
        assert index.query("poem").items == [Book("s", "1", "tea", None, "poem", 2.5)]
        assert index.query("poem", fields=["shelf", "id"]).items == [Book("s", "1")]
        assert ids(index.query("poem", where=attribute("price") > 2)) == ["1"]
        with pytest.raises(InvalidItem, match="does not keep tags"):
            index.query("poem", fields=["shelf", "id", "tags"])
        with pytest.raises(InvalidItem, match="does not keep lent"):
            index.query("poem", where=(attribute("price") > 2) & ~(attribute("lent") == False))  # noqa: E712
