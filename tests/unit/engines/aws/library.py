"""A library whose tables are in moto, behind a peer, for the tests of tables on DynamoDB."""

import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, NamedTuple

from tests.aws.provision import provision
from tests.unit.engines.aws.aws_peer import ACCOUNT, AwsPeer
from windlass import Index, System
from windlass.engines.aws.clients import Clients
from windlass.engines.aws.stage import Stage
from windlass.engines.aws.table import AwsTable
from windlass.ports.clock import ManualClock
from windlass.ports.table import Attributes, Condition, Key, Put, Query, Slice, Update


@dataclass
class Book:
    shelf: str
    id: str
    year: int | None
    genre: str | None = None
    price: float = 0.0
    copies: int | None = 1
    note: str | None = None
    blurb: str | None = None
    ends: int | None = None


@dataclass
class Member:
    id: str
    count: int = 0


library = System("library")
books = library.table(
    "books",
    Book,
    key="shelf",
    sort="id",
    ttl="ends",
    indexes={
        "by_year": Index("year"),
        "by_genre": Index("genre", sort="id"),
        "brief": Index("genre", sort="year", fields=["price"]),
        "briefest": Index("year", sort="genre", fields=[]),
    },
)
members = library.table("members", Member, key="id")
AT, OTHER, ADA = Key("s", "1"), Key("s", "2"), Key("ada")


class Stands(NamedTuple):
    """What stands in for AWS: the clients of moto, and those of a peer before it."""

    direct: Clients
    peer: AwsPeer
    through: Clients


def book(key: Key = AT, **changes: Any) -> Attributes:
    return books.shape.encode(Book(str(key.partition), str(key.sort), **{"year": None, **changes}))


def put(key: Key = AT, when: Condition | None = None, **changes: Any) -> Put:
    return Put(key, book(key, **changes), when)


class World:
    """The library in moto, each world's its own. Its calls go through the peer."""

    def __init__(self, stands: Stands) -> None:
        self.peer, self.clock, self.pauses = stands.peer.begin(), ManualClock(), list[float]()
        self.stage: Stage = provision(library, f"t{uuid.uuid4().hex[:10]}", stands.direct, ACCOUNT)
        self.dynamodb = stands.direct.client("dynamodb")
        self.books = AwsTable(books, self.stage, stands.through, self.clock, self.pauses.append)
        self.members = AwsTable(members, self.stage, stands.through, self.clock, self.pauses.append)
        self.beside = AwsTable(books, self.stage, stands.direct, self.clock, self.pauses.append)

    def stored(self, key: Key = AT) -> dict[str, Any] | None:
        at = {"shelf": {"S": key.partition}, "id": {"S": key.sort}}
        found: dict[str, Any] | None = self.dynamodb.get_item(TableName=self.stage.called("books"), Key=at).get("Item")
        return found

    def in_seconds(self, seconds: int) -> int:
        return int(self.clock.now()) + seconds

    def pass_time(self, seconds: float) -> None:
        self.clock.advance(timedelta(seconds=seconds))

    def calls(self) -> list[str]:
        return [name for name, _ in self.peer.asked]

    def before(self, operation: str, *steps: Callable[[], object]) -> None:
        """Lets something else happen before each of the next calls of `operation`."""
        left = list(steps)

        def happen(asked: dict[str, Any]) -> None:
            if left:
                left.pop(0)()

        self.peer.answers[operation] = happen

    def answer(self, operation: str, *answers: tuple[int, dict[str, Any]]) -> None:
        """Answers the next calls of `operation` otherwise than moto."""
        left = list(answers)
        self.peer.answers[operation] = lambda asked: left.pop(0) if left else None

    def query(self, **options: Any) -> Slice:
        return self.books.query(Query("s", **options))


def changed(world: World, update: Update) -> Book:
    found = world.books.write(update)
    assert found is not None
    return books.shape.decode(found)


def ids(found: Slice) -> list[str]:
    return [item["id"] for item in found.items]


def refusal(kind: str, message: str = "of account 123456789012", **more: Any) -> tuple[int, dict[str, Any]]:
    return 400, {"__type": f"com.amazonaws.dynamodb.v20120810#{kind}", "message": message, **more}
