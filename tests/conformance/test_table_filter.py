"""What filters select, whatever the types."""

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.conformance.library import Book, books, ids, library, pages
from tests.conformance.plugin import Start
from windlass import (
    DeclarationError,
    InvalidItem,
    new_id,
)
from windlass import field as attribute
from windlass.ports.table import Condition
from windlass.testing import Driver

SUPPRESSED = [HealthCheck.function_scoped_fixture]


@pytest.fixture
def app(start: Start) -> Driver:
    return start(library)


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
    wanted: Any = attribute("year") == 1
    with app.bound():
        with pytest.raises(DeclarationError, match="True is not a condition"):
            books.query("s", where=wrong)
        with pytest.raises(DeclarationError, match=r'write field\("genre"\)\.absent\(\)'):
            books.query("s", where=attribute("genre") == None)  # noqa: E711
        with pytest.raises(DeclarationError, match="combine conditions with &"):
            books.query("s", where=wanted and attribute("title") == "x")
        with pytest.raises(DeclarationError, match="combine conditions with &"):
            books.query("s", where=wanted & (attribute("year") == 2) or attribute("title") == "x")
        with pytest.raises(InvalidItem, match="1 to 100"):
            books.query("s", where=attribute("year").is_in())
        with pytest.raises(InvalidItem, match="1 to 100"):
            books.query("s", where=attribute("year").is_in(*range(101)))
        with pytest.raises(InvalidItem):
            books.query("s", where=attribute("price") > float("nan"))
