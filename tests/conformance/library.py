"""A system with indexes of each kind, for the tests of queries; and how its pages are read."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from windlass import (
    Index,
    Page,
    System,
)


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


def ids(page: Page[Book]) -> list[str]:
    return [book.id for book in page.items]


def pages(read: Callable[[str | None], Page[Any]]) -> list[Page[Any]]:
    """All pages from the first to the last."""
    found = [read(None)]
    while found[-1].next is not None:
        found.append(read(found[-1].next))
    return found
