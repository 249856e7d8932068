"""What a table and its indexes answer to queries and scans: key conditions, filters, projections, cursors."""

import base64
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.conformance.conftest import Start
from windlass import (
    BadRequest,
    DeclarationError,
    Index,
    InvalidItem,
    Page,
    System,
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
from windlass.ports.table import Condition, KeyCondition
from windlass.testing import Driver


@dataclass(frozen=True, slots=True)
class Book:
    shelf: str
    id: str
    title: str = "-"
    year: int | None = None
    genre: str | None = None
    price: float = 0.0
    lent: bool = False
    tags: list[str] = field(default_factory=list)
    numbers: list[int] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Tick:
    series: str
    at: int
    note: str = "-"


library = System("library")
books = library.table(
    "books",
    Book,
    key="shelf",
    sort="id",
    indexes={
        "by_genre": Index("genre", sort="year"),
        "by_year": Index("year"),
        "brief": Index("genre", sort="title", fields=["price"]),
    },
)
ticks = library.table("ticks", Tick, key="series", sort="at")
single = library.table("single", Tick, key="series")

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


def ids(page: Page[Book]) -> list[str]:
    return [book.id for book in page.items]


def pages(read: Callable[[str | None], Page[Any]]) -> list[Page[Any]]:
    """All pages from the first to the last."""
    found = [read(None)]
    while found[-1].next is not None:
        found.append(read(found[-1].next))
    return found


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


# Filters


HELD = Book("s", "1", "green tea", 2024, None, 2.5, False, ["a", "b"], [1, 2])


@pytest.mark.parametrize(
    ("condition", "holds"),
    [
        (attribute("title") == "green tea", True),
        (attribute("title") == "Green tea", False),
        (attribute("title") != "x", True),
        (attribute("title") < "h", True),
        (attribute("title") > "h", False),
        (attribute("title").begins_with("green"), True),
        (attribute("title").begins_with("tea"), False),
        (attribute("title").contains("n t"), True),
        (attribute("title").contains("coffee"), False),
        (attribute("title").between("g", "h"), True),
        (attribute("title").is_in("x", "green tea"), True),
        (attribute("title").is_in("x"), False),
        (attribute("year") == 2024, True),
        (attribute("year") == 2024.0, True),
        (attribute("year") <= 2024, True),
        (attribute("year") < 2024, False),
        (attribute("year").between(2000, 2024), True),
        (attribute("year").between(2025, 2000), False),
        (attribute("price") == 2.5, True),
        (attribute("price") > 2, True),
        (attribute("price").is_in(1, 2.5), True),
        (attribute("lent") == False, True),  # noqa: E712
        (attribute("lent") != True, True),  # noqa: E712
        (attribute("tags").contains("a"), True),
        (attribute("tags").contains("c"), False),
        (attribute("tags") == ["a", "b"], True),
        (attribute("tags") == ["b", "a"], False),
        (attribute("numbers").contains(2), True),
        (attribute("numbers") == [1.0, 2.0], True),
        (attribute("title").exists(), True),
        (attribute("title").absent(), False),
        # An attribute that is None is not there: nothing holds of it but that.
        (attribute("genre").exists(), False),
        (attribute("genre").absent(), True),
        (attribute("genre") == "x", False),
        (attribute("genre") != "x", True),
        (attribute("genre") < "x", False),
        (attribute("genre").begins_with("x"), False),
        (attribute("genre").contains("x"), False),
        (attribute("genre").is_in("x"), False),
        (attribute("genre").between("a", "z"), False),
        # Values of another type are never equal, nor before or after.
        (attribute("year") == "2024", False),
        (attribute("year") != "2024", True),
        (attribute("year") < "3", False),
        (attribute("year") > "1", False),
        (attribute("year").is_in("2024"), False),
        (attribute("year").between("1", "3"), False),
        (attribute("lent") == 0, False),
        (attribute("lent") < 1, False),
        (attribute("numbers").contains("2"), False),
        (attribute("numbers").contains(True), False),
        (attribute("tags") == "a", False),
        ((attribute("year") == 2024) & (attribute("price") > 2), True),
        ((attribute("year") == 2024) & (attribute("price") > 3), False),
        ((attribute("year") == 1) | (attribute("price") > 2), True),
        ((attribute("year") == 1) | (attribute("price") > 3), False),
        (~(attribute("year") == 1), True),
        (~((attribute("year") == 2024) & (attribute("price") > 2)), False),
        (~~(attribute("year") >= 2024), True),
        ((attribute("year") == 1) | (attribute("year") == 2) | (attribute("year") == 2024), True),
        (~(attribute("year") == 1) & ((attribute("price") > 9) | attribute("genre").absent()), True),
    ],
    ids=str,
)
def test_a_filter_holds_or_not(app: Driver, condition: Condition, holds: bool) -> None:
    with app.bound():
        books.put(HELD)
        assert books.query("s", where=condition).items == ([HELD] if holds else [])
        assert books.scan(where=condition).items == ([HELD] if holds else [])


CONDITIONS = st.recursive(
    st.one_of(
        st.tuples(st.just("year"), st.sampled_from(["==", "<", ">="]), st.integers(0, 3)),
        st.tuples(st.just("price"), st.sampled_from(["==", "<", ">="]), st.sampled_from([0.0, 0.5, 1.5])),
    ),
    lambda parts: st.tuples(st.sampled_from("&|"), parts, parts) | st.tuples(st.just("~"), parts),
    max_leaves=5,
)
OPERATORS: dict[str, Callable[[Any, Any], Any]] = {
    "==": lambda a, b: a == b,
    "<": lambda a, b: a < b,
    ">=": lambda a, b: a >= b,
    "&": lambda a, b: a & b,
    "|": lambda a, b: a | b,
}


def condition_of(tree: tuple[Any, ...]) -> Condition:
    match tree:
        case ("~", part):
            return ~condition_of(part)
        case ("&" | "|" as sign, one, other):
            made: Condition = OPERATORS[sign](condition_of(one), condition_of(other))
            return made
    compared: Condition = OPERATORS[tree[1]](attribute(tree[0]), tree[2])
    return compared


def meets(tree: tuple[Any, ...], book: Book) -> bool:
    match tree:
        case ("~", part):
            return not meets(part, book)
        case ("&" | "|" as sign, one, other):
            return bool(OPERATORS[sign](meets(one, book), meets(other, book)))
    held = getattr(book, tree[0])
    return held is not None and bool(OPERATORS[tree[1]](held, tree[2]))


@settings(suppress_health_check=SUPPRESSED, max_examples=80)
@given(
    tree=CONDITIONS,
    facts=st.lists(st.tuples(st.none() | st.integers(0, 3), st.sampled_from([0.0, 0.5, 1.5])), max_size=8),
    limit=st.integers(1, 4),
)
def test_any_filter_selects_as_python_does(
    app: Driver, tree: tuple[Any, ...], facts: list[tuple[int | None, float]], limit: int
) -> None:
    shelf = new_id()
    stored = [Book(shelf, f"{n:02}", year=year, price=price) for n, (year, price) in enumerate(facts)]
    with app.bound():
        books.put_many(stored)
        found = pages(lambda after: books.query(shelf, where=condition_of(tree), limit=limit, after=after))
    assert [book for page in found for book in page.items] == [book for book in stored if meets(tree, book)]
    assert all(len(page.items) == limit for page in found[:-1])


def test_a_filter_that_selects_little_of_much_fills_its_pages(app: Driver) -> None:
    with app.bound():
        books.put_many([Book("s", f"{n:04}", year=n % 100) for n in range(1000)])
        found = pages(lambda after: books.query("s", where=attribute("year") == 7, limit=3, after=after))
    assert [ids(page) for page in found] == [
        [f"{n:04}" for n in part] for part in ((7, 107, 207), (307, 407, 507), (607, 707, 807), (907,))
    ]


def test_a_filter_on_an_unknown_field_names_the_near_one(app: Driver) -> None:
    with app.bound():
        with pytest.raises(DeclarationError, match=r"no field 'titel' to be the subject(?s:.)*did you mean 'title'"):
            books.query("s", where=attribute("titel") == "x")
        with pytest.raises(DeclarationError, match="no field 'x'"):
            books.scan(where=(attribute("title") == "x") & ~(attribute("x") == 1))


def test_what_is_no_condition_is_refused(app: Driver) -> None:
    wrong: Any = True
    with app.bound():
        with pytest.raises(DeclarationError, match="True is not a condition"):
            books.query("s", where=wrong)
        with pytest.raises(DeclarationError, match=r'write field\("genre"\)\.absent\(\)'):
            books.query("s", where=attribute("genre") == None)  # noqa: E711
        with pytest.raises(InvalidItem, match="1 to 100"):
            books.query("s", where=attribute("year").is_in())
        with pytest.raises(InvalidItem, match="1 to 100"):
            books.query("s", where=attribute("year").is_in(*range(101)))
        with pytest.raises(InvalidItem):
            books.query("s", where=attribute("price") > float("nan"))


# Pages


@pytest.mark.parametrize("limit", [0, -1, 1001])
def test_a_limit_out_of_range_is_a_bad_request(app: Driver, limit: int) -> None:
    with app.bound():
        for read in (lambda: books.query("s", limit=limit), lambda: books.scan(limit=limit)):
            with pytest.raises(BadRequest) as raised:
                read()
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
        foreign = [
            lambda: books.query("other", after=good),
            lambda: books.query("s", after=good, descending=True),
            lambda: books.query("s", after=good, sort=less("9")),
            lambda: books.scan(after=good),
            lambda: ticks.query("s", after=good),
            lambda: books.index("by_genre").query("s", after=good),
            lambda: books.query("s", after=books.index("by_genre").query("g", limit=1).next),
            lambda: books.query("s", after=books.scan(limit=1).next),
        ]
        bad = ["", "x", "=", "!", "\N{SNOWMAN}", "\ud800", "A" * 100_000, good[:-1], good[:5], forged, good + "AA"]
        for read in [*foreign, *(lambda text=text: books.query("s", after=text) for text in bad)]:  # type: ignore[misc]
            with pytest.raises(BadRequest) as raised:
                read()
            assert raised.value.errors[0].field == "after"
        assert len(books.query("s", after=good).items) == 3


def test_a_cursor_shows_nothing_of_the_signing_and_survives_a_restart(start: Start) -> None:
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
