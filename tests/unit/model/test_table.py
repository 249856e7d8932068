"""Declaring a table: what is refused, and with which words."""

from dataclasses import dataclass
from datetime import date, datetime
from enum import Enum, IntEnum
from typing import Any, Literal
from uuid import UUID

import msgspec
import pytest

from windlass import Index, System
from windlass.errors import DeclarationError
from windlass.model.table import Table


class Color(Enum):
    RED = "red"


class Rank(IntEnum):
    LOW = 1


@dataclass
class Todo:
    owner: str
    id: str
    rank: int = 0
    due: datetime | None = None
    note: str | None = None
    tags: list[str] | None = None
    price: float = 0.0


class Keys(msgspec.Struct, rename="camel"):
    plain_text: str
    number: int
    uuid: UUID
    at: datetime
    day: date
    color: Color
    rank: Rank
    kind: Literal["a", "b"]
    level: Literal[1, 2]


class Opaque: ...


def table(**options: Any) -> Table[Any]:
    settings: dict[str, Any] = {"item": Todo, "key": "owner", **options}
    return System("shop").table("items", **settings)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"key": "onwer"}, "shop.items: Todo has no field 'onwer' to be the key\n  fix: did you mean 'owner'?"),
        (
            {"key": "x"},
            "shop.items: Todo has no field 'x' to be the key\n"
            "  fix: name one of: owner, id, rank, due, note, tags, price",
        ),
        (
            {"key": "note"},
            "shop.items: 'note' may be None, and the key of a table may not\n  fix: declare note: str",
        ),
        (
            {"key": "price"},
            "shop.items: 'price' cannot be the key: it is neither text nor an integer\n  fix: declare price: str",
        ),
        (
            {"sort": "owner"},
            "shop.items: 'owner' is both the key and the sort\n  fix: drop sort=, or name another field",
        ),
        (
            {"ttl": "due"},
            "shop.items: 'due' cannot be the ttl: it is not epoch seconds\n"
            "  fix: declare due: int | None = None and set it to int(time) + seconds",
        ),
        (
            {"version": "price"},
            "shop.items: 'price' cannot be used for version: it is not a number\n  fix: declare price: int = 0",
        ),
        (
            {"indexes": {"by": Index("notes")}},
            "shop.items.by: Todo has no field 'notes' to be the key of an index\n  fix: did you mean 'note'?",
        ),
        (
            {"indexes": [Index("note")]},
            'shop.items: indexes is not a dict\n  fix: indexes={"by_day": Index("day")}',
        ),
        (
            {"indexes": {"by": "note"}},
            "shop.items: indexes has 'note' where an Index should be\n  fix: indexes={'by': Index(\"day\")}",
        ),
        (
            {"indexes": {"by": Index("tags")}},
            "shop.items.by: 'tags' cannot be the key of an index: it is neither text nor an integer\n"
            "  fix: declare tags: str",
        ),
        (
            {"indexes": {"by": Index("note", sort="note")}},
            "shop.items.by: 'note' is both the key and the sort\n  fix: drop sort=, or name another field",
        ),
        (
            {"indexes": {"By": Index("note")}},
            "'By' cannot name an index\n"
            "  fix: use 1 to 40 lower-case letters, digits and underscores, starting with a letter",
        ),
        (
            {"indexes": {"by": Index("note", fields=["notee"])}},
            "shop.items.by: Todo has no field 'notee'; did you mean 'note'?\n"
            "  fix: name a field of the item's type, as it is stored",
        ),
        (
            {"indexes": {"by": Index("rank", fields=["due"])}},
            "shop.items.by: fields leaves out id, which Todo requires\n  fix: name them too, or give them defaults",
        ),
        (
            {"item": Opaque},
            f"shop.items: {Opaque!r} cannot be the type of a table\n"
            "  fix: declare a @dataclass (or a msgspec.Struct) with a type for each field",
        ),
    ],
)
def test_what_is_refused_is_explained(options: dict[str, Any], text: str) -> None:
    with pytest.raises(DeclarationError) as raised:
        table(**options)
    assert str(raised.value) == text


@pytest.mark.parametrize("key", ["plainText", "number", "uuid", "at", "day", "color", "rank", "kind", "level"])
def test_texts_and_whole_numbers_are_keys(key: str) -> None:
    assert table(item=Keys, key=key).key == key


def test_an_index_is_a_resource_of_its_own() -> None:
    index = table(indexes={"by_note": Index("note", sort="rank")}).index("by_note")
    assert (index.address, index.where, repr(index)) == (
        "items/by_note",
        "shop.items/by_note",
        "<index shop.items/by_note>",
    )
    assert index.key_names() == ["note", "rank", "owner"]
