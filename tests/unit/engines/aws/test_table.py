"""Tables on DynamoDB: how items are stored, races, what DynamoDB leaves undone, and what its refusals become."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest

from tests.unit.engines.aws.aws_peer import ACCOUNT, REGION, AwsPeer, clients_of, moto_server
from tests.unit.engines.aws.library import ADA, AT, OTHER, Book, Stands, World, book, books, changed, ids, put, refusal
from windlass import Conflict, InvalidItem, NotFound, TransactionConflict, between, field
from windlass.engines.aws.stage import Stage
from windlass.engines.aws.table import AwsTable
from windlass.errors import EngineUnavailable, InvalidState
from windlass.ports.clock import ManualClock
from windlass.ports.table import Check, Delete, Key, Put, Query, Slice, Update


@pytest.fixture(scope="module")
def stands() -> Iterator[Stands]:
    with moto_server() as moto:
        peer = AwsPeer(moto)
        with peer.listening() as endpoint:
            yield Stands(clients_of(moto), peer, clients_of(endpoint))


@pytest.fixture
def world(stands: Stands) -> World:
    return World(stands)


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


def test_what_has_expired_is_in_no_index_that_keeps_few_attributes(world: World) -> None:
    world.books.write(put(genre="g", year=1, note="x", ends=world.in_seconds(10)))
    world.books.write(put(OTHER, genre="g", year=2))
    found = world.books.query(Query("g", index="brief"))
    assert [sorted(item) for item in found.items] == [
        ["ends", "genre", "id", "price", "shelf", "year"],
        ["genre", "id", "price", "shelf", "year"],
    ]
    world.pass_time(10)
    assert ids(world.books.query(Query("g", index="brief"))) == ["2"]
    assert ids(world.books.query(Query(1, index="briefest"))) == []


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
