"""Writes whose answers are lost, and sums that go too far: nothing is done twice, and nobody is told what is not so."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.unit.engines.aws.aws_peer import AwsPeer, clients_of, moto_server
from tests.unit.engines.aws.library import ADA, AT, OTHER, Stands, World, book, books, changed, put, refusal
from windlass import Conflict, InvalidItem, field
from windlass.errors import EngineUnavailable
from windlass.ports.table import Delete, Put, Update


@pytest.fixture(scope="module")
def stands() -> Iterator[Stands]:
    with moto_server() as moto:
        peer = AwsPeer(moto)
        with peer.listening() as endpoint:
            yield Stands(clients_of(moto), peer, clients_of(endpoint))


@pytest.fixture
def world(stands: Stands) -> World:
    return World(stands)


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
