"""Tables in SQLite: what a changed declaration finds in the state of the one before, and how DynamoDB counts."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from windlass import Index, InvalidItem, Page, System
from windlass.errors import InvalidState
from windlass.model.item_size import MAX_ITEM, check_numbers, check_size, item_size
from windlass.model.table import Table
from windlass.testing import Driver


@dataclass
class Book:
    shelf: str
    id: str
    genre: str | None = None
    year: int | None = None
    ends: int | None = None


@dataclass
class Newer:
    shelf: str
    id: str
    genre: str | None = None
    year: int | None = None
    ends: int | None = None
    pages: int = 1


@dataclass
class Stricter:
    shelf: str
    id: str
    pages: int


def run(home: Path, kind: type[Any] = Book, **options: Any) -> tuple[Driver, Table[Any]]:
    """The library started again, with another declaration perhaps."""
    system = System("library")
    books = system.table("books", kind, **{"key": "shelf", "sort": "id", **options})
    return system.run_embedded(home), books


def fill(home: Path, **options: Any) -> None:
    app, books = run(home, **options)
    with app, app.bound():
        books.put(Book("s", "1", "poem", 1999))
        books.put(Book("s", "2", "poem", 1990))
        books.put(Book("s", "3", "tale"))


def ids(page: Page[Book]) -> list[str]:
    return [book.id for book in page.items]


# A changed declaration


def test_a_new_index_is_filled(tmp_path: Path) -> None:
    fill(tmp_path)
    app, books = run(tmp_path, indexes={"by_genre": Index("genre", sort="year"), "by_genre_only": Index("genre")})
    with app, app.bound():
        assert ids(books.index("by_genre").query("poem")) == ["2", "1"]
        assert ids(books.index("by_genre").query("tale")) == []
        assert ids(books.index("by_genre_only").query("tale")) == ["3"]


def test_an_index_declared_otherwise_is_filled_again(tmp_path: Path) -> None:
    fill(tmp_path, indexes={"by": Index("genre", sort="year"), "other": Index("year")})
    app, books = run(tmp_path, indexes={"by": Index("year")})
    with app, app.bound():
        assert ids(books.index("by").query(1999)) == ["1"]
        books.put(Book("s", "4", "poem", 1999))
        assert ids(books.index("by").query(1999)) == ["1", "4"]
    app, books = run(tmp_path, indexes={"other": Index("genre"), "by": Index("genre", sort="year")})
    with app, app.bound():
        assert ids(books.index("by").query("poem")) == ["2", "1", "4"]
        assert ids(books.index("other").query("tale")) == ["3"]


def test_an_index_that_is_gone_hinders_nobody(tmp_path: Path) -> None:
    fill(tmp_path, indexes={"by": Index("genre", sort="year")})
    app, books = run(tmp_path)
    with app, app.bound():
        books.put(Book("s", "4", "", 1999))
        assert len(books.query("s").items) == 4


def test_a_time_to_live_declared_later_holds_for_what_is_stored(tmp_path: Path) -> None:
    app, books = run(tmp_path)
    with app, app.bound():
        books.put(Book("s", "past", ends=1))
        books.put(Book("s", "ever"))
    app, books = run(tmp_path, ttl="ends")
    with app, app.bound():
        assert ids(books.query("s")) == ["ever"]


def test_a_new_field_takes_its_default(tmp_path: Path) -> None:
    fill(tmp_path)
    app, books = run(tmp_path, Newer)
    with app, app.bound():
        assert books.get("s", "1") == Newer("s", "1", "poem", 1999)
        assert books.update("s", "1", add={"pages": 4}).pages == 4


def test_an_item_that_no_longer_fits_says_so(tmp_path: Path) -> None:
    fill(tmp_path)
    app, books = run(tmp_path, Stricter)
    with (
        app,
        app.bound(),
        pytest.raises(InvalidState, match=r"library\.books no longer fits Stricter(?s:.)*fix: give new"),
    ):
        books.get("s", "1")


def test_another_key_is_refused(tmp_path: Path) -> None:
    fill(tmp_path)
    with pytest.raises(
        InvalidState, match=r"key \(shelf, id\) and now declares \(id, shelf\)(?s:.)*fix: give the table"
    ):
        run(tmp_path, key="id", sort="shelf")


def test_an_item_stored_before_an_index_may_not_fit_it(tmp_path: Path) -> None:
    app, books = run(tmp_path)
    with app, app.bound():
        books.put(Book("s", "1", ""))
    with pytest.raises(InvalidItem, match="genre is an index key"):
        run(tmp_path, indexes={"by": Index("genre")})


def test_two_systems_may_name_their_tables_alike(tmp_path: Path) -> None:
    fill(tmp_path)
    other = System("archive")
    books = other.table("books", Book, key="id")
    with other.run_embedded(tmp_path) as app, app.bound():
        assert books.scan().items == []


# Sizes and digits


@dataclass
class Sample:
    attributes: dict[str, Any]
    size: int
    why: str = field(default="")


@pytest.mark.parametrize(
    "sample",
    [
        Sample({"id": "abc"}, 5),
        Sample({"\N{SNOWMAN}": "\N{SNOWMAN}"}, 6, "UTF-8"),
        Sample({"a": True, "b": None}, 4, "1 byte each"),
        Sample({"a": 0}, 1 + 2, "a digit and a byte"),
        Sample({"a": 123}, 1 + 3, "two digits a byte, rounded up, and a byte"),
        Sample({"a": 1200}, 1 + 2, "zeros at the end do not count"),
        Sample({"a": -12}, 1 + 3, "the sign"),
        Sample({"a": 0.05}, 1 + 2, "zeros at the start do not count"),
        Sample({"a": 1e-07}, 1 + 2, "nor does the exponent"),
        Sample({"a": 1.5e300}, 1 + 2),
        Sample({"a": []}, 1 + 3),
        Sample({"a": ["x", 1]}, 1 + 3 + 2 + 3, "a byte more for each element"),
        Sample({"a": {"bc": "x"}}, 1 + 3 + 1 + 3),
    ],
    ids=lambda sample: str(sample.attributes),
)
def test_an_item_is_counted_as_dynamodb_does(sample: Sample) -> None:
    assert item_size(sample.attributes) == sample.size, sample.why


def test_only_a_large_text_is_counted() -> None:
    check_size({"id": "x" * MAX_ITEM}, b"short", "t")
    with pytest.raises(InvalidItem, match="409,602 bytes"):
        check_size({"id": "x" * MAX_ITEM}, b"x" * MAX_ITEM, "t")


def test_only_suspect_texts_are_looked_at_number_by_number() -> None:
    check_numbers({"id": "9" * 50, "uuid": "0e123"}, b'{"id":"' + b"9" * 50 + b'","uuid":"0e123"}', "t")
    with pytest.raises(InvalidItem, match="too many digits"):
        check_numbers({"a": [{"b": int("9" * 39)}]}, b'{"a":[{"b":' + b"9" * 39 + b"}]}", "t")


@pytest.mark.parametrize("number", [2**63, -(2**63) - 1, 2**64])
def test_what_sqlite_cannot_hold_is_refused_when_it_is_put_and_fails_nobody_else(tmp_path: Path, number: int) -> None:
    @dataclass
    class Counted:
        id: str
        n: int

    system = System("wide")
    counted = system.table("counted", Counted, key="id", indexes={"by_n": Index("n")}, ttl="n")
    with system.run_embedded(tmp_path) as app, app.bound():
        counted.put(Counted("beside", 2**62))
        with pytest.raises(InvalidItem, match="an integer of 64 bits"):
            counted.put(Counted("a", number))
        with pytest.raises(InvalidItem, match="an integer of 64 bits"):
            counted.put_many([Counted("b", 1), Counted("c", number)])
        app.engine.namespace.store.flush()
        assert counted.get("beside") == Counted("beside", 2**62)
        assert counted.get("b") is None
