"""Tables on DynamoDB: how items are stored, races, what DynamoDB leaves undone, and what its refusals become."""

import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Any, NamedTuple

import pytest

from tests.aws.provision import provision
from tests.unit.engines.aws.aws_peer import ACCOUNT, REGION, AwsPeer, clients_of, moto_server
from windlass import Conflict, Index, InvalidItem, NotFound, System, TransactionConflict, between, field
from windlass.engines.aws.clients import Clients
from windlass.engines.aws.stage import Stage
from windlass.engines.aws.table import AwsTable
from windlass.errors import EngineUnavailable, InvalidState
from windlass.ports.clock import ManualClock
from windlass.ports.table import Attributes, Check, Condition, Delete, Key, Put, Query, Slice, Update


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
    indexes={"by_year": Index("year"), "by_genre": Index("genre", sort="id")},
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


@pytest.fixture(scope="module")
def stands() -> Iterator[Stands]:
    with moto_server() as moto:
        peer = AwsPeer(moto)
        with peer.listening() as endpoint:
            yield Stands(clients_of(moto), peer, clients_of(endpoint))


@pytest.fixture
def world(stands: Stands) -> World:
    return World(stands)


def changed(world: World, update: Update) -> Book:
    found = world.books.write(update)
    assert found is not None
    return books.shape.decode(found)


def ids(found: Slice) -> list[str]:
    return [item["id"] for item in found.items]


def refusal(kind: str, message: str = "of account 123456789012", **more: Any) -> tuple[int, dict[str, Any]]:
    return 400, {"__type": f"com.amazonaws.dynamodb.v20120810#{kind}", "message": message, **more}


# How items are stored


def test_attributes_are_stored_natively_under_their_fields_names(world: World) -> None:
    world.books.write(put(year=2024, price=2.5, note=""))
    assert world.stored() == {
        "shelf": {"S": "s"},
        "id": {"S": "1"},
        "year": {"N": "2024"},
        "price": {"N": "2.5"},
        "copies": {"N": "1"},
        "note": {"S": ""},
    }


def test_a_none_comes_back_as_none_whatever_its_default(world: World) -> None:
    world.books.write(put(copies=None))
    assert world.stored() == {"shelf": {"S": "s"}, "id": {"S": "1"}, "price": {"N": "0"}, "copies": {"NULL": True}}
    assert books.shape.decode(world.books.get(AT) or {}) == Book("s", "1", None, copies=None)


def test_an_update_sets_a_none_by_leaving_it_out(world: World) -> None:
    world.books.write(put(year=2024, note="x", copies=3))
    update = Update(AT, set={"year": None, "note": None, "copies": None})
    assert changed(world, update) == Book("s", "1", None, copies=None)
    assert world.stored() == {"shelf": {"S": "s"}, "id": {"S": "1"}, "price": {"N": "0"}, "copies": {"NULL": True}}


def test_a_number_that_is_none_counts_from_nothing(world: World) -> None:
    world.books.write(put(copies=None))
    add = Update(AT, add={"copies": 2, "price": 0.25})
    assert changed(world, add) == Book("s", "1", None, price=0.25, copies=2)
    assert changed(world, add) == Book("s", "1", None, price=0.5, copies=4)
    world.books.write(Update(AT, set={"copies": None}, remove=("price",)))
    world.books.transact([("books", Update(AT, add={"copies": 7}))])
    assert world.stored() == {"shelf": {"S": "s"}, "id": {"S": "1"}, "copies": {"N": "7"}}


# Each write is one call


def test_a_write_with_its_condition_is_one_call(world: World) -> None:
    world.books.write(put(when=books.absent))
    world.books.write(put(when=field("copies") == 1))
    world.books.write(Update(AT, add={"copies": 1}, when=field("copies") == 1))
    world.books.write(Update(AT, add={"copies": 1}, default=book()))
    world.books.write(Delete(AT, field("copies") == 3))
    assert world.calls() == ["PutItem", "PutItem", "UpdateItem", "UpdateItem", "DeleteItem"]


def test_an_update_with_a_default_needs_no_other_call_than_updates(world: World) -> None:
    update = Update(AT, set={"note": "x"}, add={"copies": 1}, default=book(copies=5, year=1))
    assert changed(world, update) == Book("s", "1", 1, copies=6, note="x")
    assert world.calls() == ["UpdateItem", "UpdateItem"]


# Races


def test_an_item_that_appears_meanwhile_is_updated_and_not_replaced(world: World) -> None:
    world.before("UpdateItem", lambda: None, lambda: world.beside.write(put(copies=10)))
    assert changed(world, Update(AT, add={"copies": 1}, default=book())).copies == 11
    assert world.calls() == ["UpdateItem"] * 3
    world.before("UpdateItem", lambda: None, lambda: world.beside.write(put(OTHER, note="x")))
    with pytest.raises(Conflict):
        world.books.write(Update(OTHER, add={"copies": 1}, when=field("note").absent(), default=book(OTHER)))


def test_an_item_that_comes_and_goes_is_tried_again(world: World) -> None:
    come, go = partial(world.beside.write, put(copies=10)), partial(world.beside.write, Delete(AT))
    world.before("UpdateItem", lambda: None, come, go)
    assert changed(world, Update(AT, add={"copies": 1}, default=book())).copies == 2
    world.beside.write(Delete(AT))
    world.before("UpdateItem", *[go, come] * 10)
    with pytest.raises(EngineUnavailable, match="changed by others again and again"):
        world.books.write(Update(AT, add={"copies": 1}, default=book()))


def test_a_number_that_becomes_none_meanwhile_counts_from_nothing(world: World) -> None:
    world.books.write(put(copies=5))
    world.before("UpdateItem", lambda: world.beside.write(put(copies=None)), lambda: world.beside.write(put(copies=8)))
    assert changed(world, Update(AT, add={"copies": 1})).copies == 9


def test_a_transaction_starts_an_item_that_is_absent_and_updates_one_that_appears(world: World) -> None:
    count = Update(ADA, add={"count": 1}, default={"id": "ada", "count": 10})
    world.books.transact([("members", count), ("books", put())])
    assert world.members.get(ADA) == {"id": "ada", "count": 11}
    world.members.write(Delete(ADA))
    appear = Put(ADA, {"id": "ada", "count": 50})
    world.before("TransactWriteItems", lambda: None, lambda: world.members.write(appear))
    world.books.transact([("members", count)])
    assert world.members.get(ADA) == {"id": "ada", "count": 51}


# Time to live


def test_what_has_expired_is_absent_for_every_write(world: World) -> None:
    ends = world.in_seconds(10)

    expired = partial(world.beside.write, put(ends=ends, note="x", genre="g"))
    expired()
    world.pass_time(10)
    with pytest.raises(NotFound):
        world.books.write(Update(AT, set={"note": "y"}))
    with pytest.raises(Conflict):
        world.books.write(Update(AT, set={"note": "y"}, when=field("note") == "x", default=book()))
    with pytest.raises(Conflict):
        world.books.write(put(when=field("note") == "x"))
    with pytest.raises(Conflict):
        world.books.write(Delete(AT, field("note").exists()))
    with pytest.raises(TransactionConflict):
        world.books.transact([("books", Check(AT, field("note") == "x"))])
    with pytest.raises(TransactionConflict) as raised:
        world.books.transact([("books", Update(AT, set={"note": "y"})), ("members", Put(ADA, {"id": "ada"}))])
    assert raised.value.reasons == ("books has no item with this key", None)
    world.books.transact([("books", Check(AT, field("note").absent()))])
    assert world.books.write(Delete(AT, field("note") != "x")) is None
    assert world.stored() is None
    expired()
    world.books.write(put(when=books.absent, copies=2))
    assert books.shape.decode(world.books.get(AT) or {}) == Book("s", "1", None, copies=2)


@pytest.mark.parametrize("transact", [False, True])
def test_an_update_starts_an_expired_item_anew_and_leaves_nothing_of_it(world: World, transact: bool) -> None:
    world.books.write(put(ends=world.in_seconds(10), note="x", genre="g", copies=70))
    at = {"shelf": {"S": "s"}, "id": {"S": "1"}}
    old = {"TableName": world.stage.called("books"), "Key": at, "UpdateExpression": "SET oldfield = :v"}
    world.dynamodb.update_item(**old, ExpressionAttributeValues={":v": {"S": "x"}})
    world.pass_time(10)
    update = Update(AT, add={"copies": 1}, when=field("copies").absent(), default=book(price=1.5))
    apply = partial(world.books.transact, [("books", update)]) if transact else partial(world.books.write, update)
    apply()
    assert world.stored() == {**at, "copies": {"N": "2"}, "price": {"N": "1.5"}}


def test_an_update_that_ends_an_item_returns_it(world: World) -> None:
    world.books.write(put())
    ends = world.in_seconds(-1)
    assert changed(world, Update(AT, set={"ends": ends})).ends == ends
    assert world.books.get(AT) is None


def test_what_has_expired_is_in_no_page(world: World) -> None:
    ends = world.in_seconds(10)
    world.books.write_many([put(Key("s", f"{n:03}"), ends=None if n % 50 == 0 else ends, year=1) for n in range(200)])
    world.pass_time(10)
    wanted = ["000", "050", "100", "150"]
    assert ids(world.query()) == wanted
    assert ids(world.books.scan(where=None, limit=10, start=None, fields=None)) == wanted
    assert ids(world.books.query(Query(1, index="by_year"))) == wanted
    assert world.books.get_many([Key("s", "000"), Key("s", "001")])[1] is None
    first = world.query(limit=3)
    assert (ids(first), first.more) == (wanted[:3], True)
    rest = world.query(limit=3, start=first.positions[1] if first.positions else None)
    assert (ids(rest), rest.more) == (wanted[3:], False)


# Queries


def test_a_table_is_read_consistently_and_an_index_is_queried(world: World) -> None:
    world.books.get(AT)
    world.books.get_many([AT])
    world.query()
    world.books.scan(where=None, limit=1, start=None, fields=None)
    world.books.query(Query("g", index="by_genre", sort=between("1", "2")))
    get, batch, query, scan, index = (asked for _, asked in world.peer.asked)
    assert world.calls() == ["GetItem", "BatchGetItem", "Query", "Scan", "Query"]
    assert [asked.get("ConsistentRead") for asked in (get, query, scan, index)] == [True, True, True, None]
    assert batch["RequestItems"][world.stage.called("books")]["ConsistentRead"] is True
    assert index["IndexName"] == "by_genre"


def test_a_page_takes_one_call_and_a_filter_not_many(world: World) -> None:
    world.books.write_many([put(Key("s", f"{n:04}"), copies=n) for n in range(1000)])
    world.peer.asked.clear()
    page = world.query(limit=50)
    assert (len(page.items), page.more, len(world.calls())) == (50, True, 1)
    last = world.query(limit=50, start={"shelf": "s", "id": "0949"})
    assert (len(last.items), last.more, len(world.calls())) == (50, False, 2)
    few = world.query(limit=2, where=field("copies") >= 998)
    assert (ids(few), few.more, len(world.calls())) == (["0998", "0999"], False, 5)


def test_a_filter_may_ask_for_keys(world: World) -> None:
    world.books.write_many([put(Key("s", f"{n}"), copies=n, genre="g") for n in range(6)])
    either = (field("id") == "1") | (field("copies") == 4)
    assert ids(world.query(where=field("id") > "3")) == ["4", "5"]
    assert ids(world.query(where=either & (field("shelf") == "s"), fields=("id",))) == ["1", "4"]
    assert world.query(where=either, fields=("id",)).items == [{"id": "1"}, {"id": "4"}]
    index = Query("g", index="by_genre", where=either & (field("genre") == "g"), limit=1)
    found = world.books.query(index)
    assert (ids(found), found.more) == (["1"], True)
    assert ids(world.books.scan(where=either, limit=9, start=None, fields=None)) == ["1", "4"]


def test_ends_the_wrong_way_round_hold_nothing_and_cost_nothing(world: World) -> None:
    assert world.query(sort=between("b", "a")) == Slice([], None, False)
    assert world.members.query(Query("ada", start={"id": "ada"})) == Slice([], None, False)
    assert world.calls() == []


# Many at once


def test_many_are_got_in_hundreds_and_each_once(world: World) -> None:
    many = [put(Key("s", f"{n:03}"), copies=n) for n in range(130)]
    world.books.write_many(many)
    assert world.calls() == ["BatchWriteItem"] * 6
    world.peer.asked.clear()
    keys = [write.key for write in many]
    found = world.books.get_many([*reversed(keys), keys[0], Key("s", "none")])
    assert [item and item["copies"] for item in found] == [*reversed(range(130)), 0, None]
    assert world.calls() == ["BatchGetItem"] * 2
    assert world.books.get_many([]) == []


def test_the_last_of_several_writes_of_a_key_counts(world: World) -> None:
    world.books.write_many([put(copies=1), Delete(OTHER), put(copies=2), put(OTHER), Delete(AT), put(copies=3)])
    assert [item and item["copies"] for item in world.books.get_many([AT, OTHER])] == [3, 1]
    assert world.calls() == ["BatchWriteItem", "BatchGetItem"]


def test_what_dynamodb_leaves_undone_is_asked_for_again(world: World) -> None:
    done_at = 2

    def left(asked: dict[str, Any]) -> tuple[int, dict[str, Any]] | None:
        if len(world.pauses) == done_at:
            return None
        return 200, {
            "UnprocessedItems": asked["RequestItems"],
            "UnprocessedKeys": asked["RequestItems"],
            "Responses": {},
        }

    world.peer.answers |= {"BatchWriteItem": left, "BatchGetItem": left}
    world.books.write_many([put(), put(OTHER)])
    assert len(world.pauses) == 2
    done_at = 5
    assert [item and item["id"] for item in world.books.get_many([OTHER, AT])] == ["2", "1"]
    assert len(world.pauses) == 5
    assert all(0 <= pause <= 1 for pause in world.pauses)
    done_at = -1
    with pytest.raises(EngineUnavailable, match="left a part of a batch undone"):
        world.books.get_many([AT])


def test_an_item_that_cannot_be_stored_stops_a_batch_before_it_begins(world: World) -> None:
    with pytest.raises(InvalidItem, match="genre is an index key"):
        world.books.write_many([put(OTHER), put(genre="")])
    assert world.calls() == []


# Transactions


def test_a_refused_transaction_tells_each_reason(world: World) -> None:
    world.books.write(put())
    with pytest.raises(TransactionConflict) as raised:
        world.books.transact(
            [
                ("books", put(when=books.absent)),
                ("members", Put(ADA, {"id": "ada", "count": 1})),
                ("books", Update(OTHER, set={"note": "x"})),
                ("members", Check(Key("eve"), field("count") > 0)),
            ]
        )
    assert raised.value.reasons == (
        "books has an item with this key already",
        None,
        "books has no item with this key",
        "the condition on the item of members does not hold",
    )
    assert str(raised.value).startswith("the transaction was refused: write 1: books has an item")
    assert world.members.get(ADA) is None


def cancelled(*codes: str, message: str = "of account 123456789012") -> tuple[int, dict[str, Any]]:
    reasons = [{"Code": code, "Message": message} for code in codes]
    return refusal("TransactionCanceledException", CancellationReasons=reasons)


def test_what_meets_a_transaction_is_sent_again_and_what_is_too_large_is_not(world: World) -> None:
    world.answer("PutItem", refusal("TransactionConflictException"), refusal("TransactionConflictException"))
    world.books.write(put())
    assert len(world.pauses) == 2
    conflict = cancelled("None", "TransactionConflict")
    world.answer("TransactWriteItems", conflict, conflict)
    world.books.transact([("books", put(copies=2)), ("books", put(OTHER))])
    assert len(world.pauses) == 4
    asked = [asked for name, asked in world.peer.asked if name == "TransactWriteItems"]
    assert len({one["ClientRequestToken"] for one in asked}) == 1
    world.answer("TransactWriteItems", *[conflict] * 10, refusal("ValidationException", "aggregate size over 4194304"))
    with pytest.raises(EngineUnavailable):
        world.books.transact([("books", put())])
    with pytest.raises(InvalidItem, match="more than 4 MB"):
        world.books.transact([("books", put())])


# What refusals become


@pytest.mark.parametrize(
    ("said", "kind", "says"),
    [
        ("Item size to update has exceeded the maximum allowed size", InvalidItem, "more than 409,600 bytes"),
        (
            "Invalid ConditionExpression: Expression size has exceeded the maximum allowed size",
            InvalidItem,
            "condition",
        ),
        ("Number overflow. Attempting to store a number with magnitude larger", InvalidItem, "too many digits"),
        ("Nesting Levels have exceeded supported limits", InvalidItem, "32 levels"),
        ("The provided key element does not match the schema", InvalidState, "fix: deploy it again"),
        ("One or more parameter values were invalid", InvalidItem, "cannot hold this item of library.books"),
    ],
)
def test_what_dynamodb_finds_invalid_is_told_in_our_words(
    world: World, said: str, kind: type[Exception], says: str
) -> None:
    invalid = refusal("ValidationException", f"{said} 123456789012")
    for operation in ("PutItem", "UpdateItem"):
        world.answer(operation, invalid)
    world.answer("TransactWriteItems", invalid, cancelled("ValidationError", "None", message=f"{said} 123456789012"))
    calls: list[Callable[[], object]] = [
        lambda: world.books.write(put()),
        lambda: world.books.write(Update(AT, set={"note": "x"})),
        lambda: world.books.transact([("books", put()), ("books", put(OTHER))]),
        lambda: world.books.transact([("books", put()), ("books", put(OTHER))]),
    ]
    for call in calls:
        with pytest.raises(kind, match=says) as raised:
            call()
        assert "123456789012" not in str(raised.value)


def test_a_read_that_is_invalid_is_no_fault_of_the_caller(world: World) -> None:
    world.answer("Query", refusal("ValidationException", "arn:aws:dynamodb:123456789012"))
    with pytest.raises(EngineUnavailable) as raised:
        world.query()
    assert "123456789012" not in str(raised.value)


def test_a_table_that_is_not_there_is_unavailable(stands: Stands) -> None:
    nowhere = AwsTable(books, Stage("library", "nowhere", REGION, ACCOUNT), stands.direct, ManualClock())
    with pytest.raises(EngineUnavailable, match=r"library\.books\.get: AWS answered ResourceNotFoundException"):
        nowhere.get(AT)


def test_an_update_that_makes_an_item_too_large_is_refused(world: World) -> None:
    world.books.write(put(note="x" * 200_000))
    with pytest.raises(InvalidItem, match=r"an item of library\.books has more than 409,600 bytes"):
        world.books.write(Update(AT, set={"blurb": "x" * 300_000}))
    with pytest.raises(InvalidItem, match=r"has 409,\d+ bytes; the most is 409,600"):
        world.books.write(Update(AT, set={"blurb": "x" * 409_600}))
    assert "blurb" not in (world.stored() or {})


# Answers that are lost


def lost(world: World, operation: str, does: Callable[[], object], times: int = 1) -> None:
    """Lets the next calls of `operation` be done, and DynamoDB fail to say so."""
    left = [does] * times

    def answer(asked: dict[str, Any]) -> tuple[int, dict[str, Any]] | None:
        if not left:
            return None
        left.pop()()
        return 500, {"__type": "InternalServerError", "message": "of account 123456789012"}

    world.peer.answers[operation] = answer


@pytest.mark.parametrize(
    "write",
    [
        Update(AT, add={"copies": 1}),
        Update(AT, add={"copies": 1}, default=book()),
        Update(AT, set={"note": "x"}, when=field("note").absent()),
        Delete(AT, field("note").absent()),
    ],
)
def test_what_must_not_be_done_twice_is_not_repeated(world: World, write: Update | Delete) -> None:
    world.beside.write(put(copies=5))
    operation = "DeleteItem" if isinstance(write, Delete) else "UpdateItem"
    lost(world, operation, lambda: world.beside.write(write))
    with pytest.raises(EngineUnavailable, match=r"did not say whether it was done: InternalServerError$"):
        world.books.write(write)
    assert world.calls() == [operation]
    held = world.books.get(AT)
    assert held is None or books.shape.decode(held).copies == (6 if write.__class__ is Update and write.add else 5)


def test_what_was_throttled_was_not_done_and_is_repeated(world: World) -> None:
    world.beside.write(put(copies=5))
    world.answer("UpdateItem", *[refusal("ProvisionedThroughputExceededException")] * 3)
    assert changed(world, Update(AT, add={"copies": 1})).copies == 6
    assert (len(world.pauses), world.calls()) == (3, ["UpdateItem"] * 4)
    world.answer("UpdateItem", *[refusal("ThrottlingException")] * 10)
    with pytest.raises(EngineUnavailable, match=r"AWS answered ThrottlingException$"):
        world.books.write(Update(AT, add={"copies": 1}))


def test_what_changes_nothing_the_second_time_is_repeated(world: World) -> None:
    lost(world, "PutItem", lambda: world.beside.write(put(copies=7)))
    world.books.write(put(copies=7))
    lost(world, "UpdateItem", lambda: world.beside.write(Update(AT, set={"note": "x"})))
    assert changed(world, Update(AT, set={"note": "x"})).note == "x"
    lost(world, "DeleteItem", lambda: world.beside.write(Delete(AT)))
    world.books.write(Delete(AT))
    assert world.calls() == ["PutItem", "PutItem", "UpdateItem", "UpdateItem", "DeleteItem", "DeleteItem"]


def test_a_put_that_was_done_is_not_in_conflict_with_itself(world: World) -> None:
    mine = put(when=books.absent, price=2.5, year=2024, copies=None)
    lost(world, "PutItem", lambda: world.beside.write(mine))
    assert world.books.write(mine) == mine.attributes
    with pytest.raises(Conflict):
        world.books.write(mine)
    lost(world, "PutItem", lambda: world.beside.write(put(OTHER, note="another's")))
    with pytest.raises(Conflict):
        world.books.write(put(OTHER, when=books.absent, note="mine"))


def test_a_transaction_that_was_done_is_not_done_again(world: World) -> None:
    world.beside.write(put(copies=5))
    sent: list[dict[str, Any]] = []

    def note(asked: dict[str, Any]) -> tuple[int, dict[str, Any]] | None:
        sent.append(asked)
        return (500, {"__type": "InternalServerError"}) if len(sent) == 1 else None

    world.peer.answers["TransactWriteItems"] = note
    world.books.transact([("books", Update(AT, add={"copies": 1}))])
    first, second = (asked["ClientRequestToken"] for asked in sent)
    assert first == second  # by which DynamoDB knows it again


# Sums of keys


def test_a_sum_beyond_64_bits_is_no_key(world: World) -> None:
    most = 2**63 - 1
    world.books.write(put(year=most - 1, copies=most))
    add = Update(AT, add={"year": 1, "copies": 1})
    assert changed(world, add).year == most
    assert changed(world, Update(AT, add={"copies": 1})).copies == most + 2
    with pytest.raises(InvalidItem, match=r"year of library\.books must be an integer of 64 bits"):
        world.books.write(add)
    with pytest.raises(InvalidItem, match=r"year of library\.books must be an integer of 64 bits"):
        world.books.transact([("members", Put(ADA, {"id": "ada"})), ("books", add)])
    with pytest.raises(Conflict):
        world.books.write(Update(AT, add={"year": 1}, when=field("note") == "x"))
    assert (world.members.get(ADA), changed(world, Update(AT, add={"year": -1})).year) == (None, most - 1)
    world.books.write(put(OTHER, year=None, ends=None))
    started = world.books.write(Update(OTHER, add={"year": -(2**63)}))
    assert started is not None
    assert started["year"] == -(2**63)
    with pytest.raises(InvalidItem):
        world.books.write(Update(OTHER, add={"year": -1}))
