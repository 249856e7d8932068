"""What can be a handler, what it can be granted, and what can be named."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest

from windlass import Index, System
from windlass.errors import DeclarationError
from windlass.ports.binding import Grant


@dataclass
class Todo:
    owner: str
    id: str


shop = System("shop")
items = shop.table("items", Todo, key="owner", sort="id", indexes={"by_id": Index("id")})
jobs = shop.queue("jobs", Todo)


def see() -> None: ...


async def coroutine() -> None: ...


async def stream() -> Any:
    yield 1


def items_of() -> Any:
    yield 1


def Capital() -> None: ...  # noqa: N802


def refusal(function: Any, **options: Any) -> str:
    with pytest.raises(DeclarationError) as raised:
        System("shop").api("api").get("/a", **options)(function)
    return str(raised.value)


@pytest.mark.parametrize(
    ("function", "text"),
    [
        (
            coroutine,
            "shop.coroutine: handlers are synchronous, and this one is a coroutine\n"
            "  fix: write `def` without `async`: the engine runs handlers beside each other by itself",
        ),
        (
            stream,
            "shop.stream: handlers are synchronous, and this one is a coroutine\n"
            "  fix: write `def` without `async`: the engine runs handlers beside each other by itself",
        ),
        (
            items_of,
            "shop.items_of: handlers return what they answer, and this one yields it\n"
            "  fix: build a list and return it",
        ),
        (
            Capital,
            "shop.Capital: 'Capital' cannot be a handler's name\n"
            "  fix: decorate a function whose name is 1 to 40 lower-case letters, digits and underscores",
        ),
        (
            3,
            "shop.3: 3 cannot be a handler's name\n"
            "  fix: decorate a function whose name is 1 to 40 lower-case letters, digits and underscores",
        ),
    ],
)
def test_what_cannot_be_a_handler_is_explained(function: Any, text: str) -> None:
    assert refusal(function) == text


@pytest.mark.parametrize(
    ("use", "text"),
    [
        (
            items,
            "uses has the table 'items' itself, which would grant everything\n"
            "  fix: name the operations: uses=[items.check]",
        ),
        (
            items.index,
            "uses has Table.index, which is not an operation of a resource (items has check, delete, delete_many, "
            "get, get_many, put, put_many, query, scan, update)\n"
            "  fix: list bound methods of resources, as in uses=[items.put, items.query]",
        ),
        (
            print,
            "uses has print, which is not an operation of a resource\n"
            "  fix: list bound methods of resources, as in uses=[items.put, items.query]",
        ),
        (
            "items.put",
            "uses has 'items.put', which is not an operation of a resource\n"
            "  fix: list bound methods of resources, as in uses=[items.put, items.query]",
        ),
    ],
)
def test_what_cannot_be_granted_is_explained(use: object, text: str) -> None:
    assert refusal(see, uses=[use]) == f"shop.see: {text}"


@pytest.mark.parametrize("uses", [items.put, "items.put", items])
def test_grants_come_as_a_list(uses: object) -> None:
    assert refusal(see, uses=uses) == "shop.see: uses is not a list\n  fix: uses=[items.put, items.query]"


def test_each_grant_counts_once() -> None:
    api = System("shop").api("api")
    api.get("/a", uses=[items.get, items.index("by_id").query, items.get, jobs.send])(see)
    assert api.routes[0].handler.grants == (
        Grant("items", "get"),
        Grant("items/by_id", "query"),
        Grant("jobs", "send"),
    )


def test_a_timeout_is_above_0() -> None:
    assert "timeout=0:00:00 is out of range" in refusal(see, timeout=timedelta(0))
    assert "timeout=5 is not a timedelta" in refusal(see, timeout=5)


@pytest.mark.parametrize("name", ["", "a" * 41, "A", "1a", "_a", "a-b", "a b", "\u00e9", "a\n", None, 1])
def test_what_cannot_be_a_name_is_refused(name: Any) -> None:
    for declare in (System, lambda name: System("shop").table(name, Todo, key="id")):
        with pytest.raises(DeclarationError, match="cannot name a"):
            declare(name)


def test_a_name_is_given_once() -> None:
    system = System("shop")
    system.table("a", Todo, key="id")
    with pytest.raises(DeclarationError) as raised:
        system.queue("a", Todo)
    assert str(raised.value) == (
        "shop.a: 'a' is declared twice, as table and as queue\n  fix: give each resource of a system its own name"
    )
