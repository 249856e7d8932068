"""Pages and their cursors, forwards and back."""

import base64
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.conformance.library import Book, Tick, books, ids, library, pages, single, ticks
from tests.conformance.plugin import Start
from windlass import (
    BadRequest,
    Page,
    begins_with,
    between,
    less,
    new_id,
)
from windlass.ports.table import KeyCondition
from windlass.testing import Driver

SUPPRESSED = [HealthCheck.function_scoped_fixture]


@pytest.fixture
def app(start: Start) -> Driver:
    return start(library)


# Pages


@pytest.mark.parametrize("limit", [0, -1, 1001])
def test_a_limit_out_of_range_is_a_bad_request(app: Driver, limit: int) -> None:
    with app.bound():
        for read in (partial(books.query, "s"), books.scan):
            with pytest.raises(BadRequest) as raised:
                read(limit=limit)
            assert raised.value.errors[0].field == "limit"


@settings(suppress_health_check=SUPPRESSED, max_examples=60)
@given(
    count=st.integers(0, 12),
    limits=st.lists(st.integers(1, 5), min_size=13, max_size=13),
    descending=st.booleans(),
    sort=st.sampled_from([None, less("08"), begins_with("0"), between("02", "07")]),
)
def test_cursors_cover_each_item_once_forwards_and_back(
    app: Driver, count: int, limits: list[int], descending: bool, sort: KeyCondition | None
) -> None:
    shelf = new_id()

    def read(after: str | None, limit: int) -> Page[Book]:
        return books.query(shelf, sort=sort, descending=descending, limit=limit, after=after)

    with app.bound():
        books.put_many([Book(shelf, f"{n:02}") for n in range(count)])
        everything = ids(read(None, 1000))
        sizes = iter(limits)
        page = read(None, next(sizes))
        assert page.previous is None
        seen = ids(page)
        while page.next is not None:
            page = read(page.next, next(sizes))
            seen += ids(page)
        assert seen == everything
        # The last page's items, then everything before them.
        seen = ids(page)
        sizes = iter(limits)
        while page.previous is not None:
            page = read(page.previous, next(sizes))
            assert page.next is not None
            seen = ids(page) + seen
        assert seen == everything


@settings(suppress_health_check=SUPPRESSED, max_examples=40)
@given(years=st.lists(st.integers(0, 2), max_size=10), limit=st.integers(1, 4), descending=st.booleans())
def test_an_index_pages_through_items_of_equal_keys(
    app: Driver, years: list[int], limit: int, descending: bool
) -> None:
    genre = new_id()
    index = books.index("by_genre")
    with app.bound():
        books.put_many([Book(new_id(), f"{n:02}", genre=genre, year=year) for n, year in enumerate(years)])
        found = pages(lambda after: index.query(genre, limit=limit, descending=descending, after=after))
        back = [found[-1]]
        while (previous := back[0].previous) is not None:
            back.insert(0, index.query(genre, limit=limit, descending=descending, after=previous))
    seen = [book for page in found for book in page.items]
    assert [book.year for book in seen] == sorted(years, reverse=descending)
    assert len({book.id for book in seen}) == len(years)
    assert [book for page in back for book in page.items] == seen


def test_a_cursor_goes_on_after_what_was_seen_whatever_changed(app: Driver) -> None:
    with app.bound():
        books.put_many([Book("s", id) for id in "bdf"])
        first = books.query("s", limit=2)
        books.delete("s", "d")
        books.put_many([Book("s", "a"), Book("s", "e")])
        assert ids(books.query("s", after=first.next)) == ["e", "f"]


def test_the_longest_keys_fit_in_a_cursor(app: Driver) -> None:
    sort = "\x01" * 1023
    with app.bound():
        books.put_many([Book("\x02" * 2048, sort + end, sort + end, genre="g") for end in "ab"])
        first = books.query("\x02" * 2048, limit=1)
        assert ids(books.query("\x02" * 2048, after=first.next)) == [sort + "b"]
        brief = books.index("brief")
        first = brief.query("g", limit=1)
        assert ids(brief.query("g", after=first.next)) == [sort + "b"]


def test_a_cursor_that_was_not_made_here_is_a_bad_request(app: Driver) -> None:
    with app.bound():
        books.put_many([Book("s", f"{n}", genre="g", year=n) for n in range(5)])
        good = books.query("s", limit=2).next
        assert good is not None
        raw = base64.urlsafe_b64decode(good + "=" * (-len(good) % 4))
        forged = base64.urlsafe_b64encode(raw[:-1] + bytes([raw[-1] ^ 1])).decode().rstrip("=")
        by_genre = books.index("by_genre")
        foreign: list[Callable[[], Page[Any]]] = [
            partial(books.query, "other", after=good),
            partial(books.query, "s", after=good, descending=True),
            partial(books.query, "s", after=good, sort=less("9")),
            partial(books.scan, after=good),
            partial(ticks.query, "s", after=good),
            partial(by_genre.query, "s", after=good),
            partial(books.query, "s", after=by_genre.query("g", limit=1).next),
            partial(books.query, "s", after=books.scan(limit=1).next),
        ]
        bad = ["", "x", "=", "!", "\N{SNOWMAN}", "\ud800", "A" * 100_000, good[:-1], good[:5], forged, good + "AA"]
        foreign += [partial(books.query, "s", after=text) for text in bad]
        for read in foreign:
            with pytest.raises(BadRequest) as raised:
                read()
            assert raised.value.errors[0].field == "after"
        assert len(books.query("s", after=good).items) == 3


def test_a_cursor_survives_a_restart(start: Start) -> None:
    first = start(library)
    with first.bound():
        books.put_many([Book("s", f"{n}") for n in range(5)])
        cursor = books.query("s", limit=2).next
    first.close()
    second = start(library)
    with second.bound():
        assert ids(books.query("s", after=cursor)) == ["2", "3", "4"]


# Scans


def test_a_scan_covers_each_item_once(app: Driver) -> None:
    stored = {(f"s{n % 3}", f"{n:02}") for n in range(20)}
    with app.bound():
        books.put_many([Book(shelf, id) for shelf, id in stored])
        found = pages(lambda after: books.scan(limit=3, after=after))
        singles = [Tick(f"s{n}", n) for n in range(5)]
        single.put_many(singles)
        others = pages(lambda after: single.scan(limit=2, after=after))
    seen = [(book.shelf, book.id) for page in found for book in page.items]
    assert len(seen) == 20
    assert set(seen) == stored
    assert sorted((tick for page in others for tick in page.items), key=lambda tick: tick.at) == singles
