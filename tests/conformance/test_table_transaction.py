"""Transactions: several writes, all or none."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.conformance.plugin import Start
from windlass import DeclarationError, InvalidItem, System, TransactionConflict, field, new_id, now, transact
from windlass.testing import Driver


@dataclass(frozen=True, slots=True)
class Account:
    id: str
    cents: int = 0
    expires: int | None = None


@dataclass(frozen=True, slots=True)
class Entry:
    account: str
    number: int
    cents: int = 0
    text: str = ""


@dataclass(frozen=True, slots=True)
class Paper:
    id: str
    text: str = ""
    version: int = 0


bank = System("bank")
accounts = bank.table("accounts", Account, key="id", ttl="expires")
entries = bank.table("entries", Entry, key="account", sort="number")
papers = bank.table("papers", Paper, key="id", version="version")


@pytest.fixture
def app(start: Start) -> Driver:
    return start(bank)


def test_all_writes_are_applied_across_tables(app: Driver) -> None:
    with app.bound():
        accounts.put(Account("a", 10))
        accounts.put(Account("c", 1))
        transact(
            accounts.to_update("a", add={"cents": -5}, when=field("cents") >= 5),
            accounts.to_update("b", add={"cents": 5}, default=Account("b")),
            accounts.to_delete("c", when=field("cents") == 1),
            accounts.to_check("d", when=field("id").absent()),
            entries.to_put(Entry("a", 1, -5), if_absent=True),
        )
        assert accounts.get_many(["a", "b", "c"]) == [Account("a", 5), Account("b", 5), None]
        assert entries.get("a", 1) == Entry("a", 1, -5)


def test_no_write_is_applied_when_one_is_refused(app: Driver) -> None:
    with app.bound():
        accounts.put(Account("a", 10))
        with pytest.raises(TransactionConflict) as raised:
            transact(
                accounts.to_update("a", add={"cents": -5}),
                entries.to_put(Entry("a", 1)),
                accounts.to_update("b", add={"cents": 5}),
                accounts.to_check("c", when=field("cents") > 0),
                accounts.to_delete("d"),
            )
        assert [reason is None for reason in raised.value.reasons] == [True, True, False, False, True]
        assert accounts.get("a") == Account("a", 10)
        assert entries.get("a", 1) is None


def test_a_put_if_absent_is_refused_where_there_is_an_item(app: Driver) -> None:
    with app.bound():
        accounts.put(Account("a", 10))
        with pytest.raises(TransactionConflict):
            transact(accounts.to_put(Account("a", 1), if_absent=True), accounts.to_put(Account("b")))
        assert accounts.get_many(["a", "b"]) == [Account("a", 10), None]


def test_an_item_that_cannot_be_stored_refuses_the_transaction(app: Driver) -> None:
    with app.bound():
        with pytest.raises(InvalidItem):
            transact(accounts.to_put(Account("a")), entries.to_put(Entry("a", 1, text="x" * 409_600)))
        assert accounts.get("a") is None


def test_an_expired_item_is_absent_in_a_transaction(app: Driver) -> None:
    with app.bound():
        accounts.put(Account("a", 10, int(now().timestamp()) + 1))
    app.advance(timedelta(seconds=2))
    with app.bound():
        transact(accounts.to_check("a", when=field("cents").absent()), accounts.to_put(Account("b")))
        with pytest.raises(TransactionConflict):
            transact(accounts.to_update("a", add={"cents": 1}))
        transact(accounts.to_put(Account("a", 1), if_absent=True))


def test_versions_hold_in_a_transaction(app: Driver) -> None:
    with app.bound():
        first = papers.put(Paper("a", "one"))
        transact(papers.to_put(Paper("a", "two", first.version)))
        with pytest.raises(TransactionConflict):
            transact(papers.to_put(first))
        assert papers.get("a") == Paper("a", "two", 2)


def test_a_transaction_has_1_to_100_writes(app: Driver) -> None:
    with app.bound():
        with pytest.raises(InvalidItem, match="1 to 100"):
            transact()
        with pytest.raises(InvalidItem, match="not 101"):
            transact(*(entries.to_put(Entry("a", n)) for n in range(101)))
        transact(*(entries.to_put(Entry("a", n)) for n in range(100)))
        assert len(entries.query("a", limit=200).items) == 100


def test_what_is_no_write_is_refused(app: Driver) -> None:
    account: Any = Account("a")
    writes: Any = [accounts.to_put(account)]
    with app.bound():
        with pytest.raises(DeclarationError, match="is of type Account"):
            transact(account)
        with pytest.raises(DeclarationError, match="no list around them"):
            transact(writes)


def test_a_transaction_writes_an_item_once(app: Driver) -> None:
    with app.bound():
        with pytest.raises(InvalidItem, match="twice"):
            transact(accounts.to_put(Account("a")), accounts.to_check("a", when=field("cents").absent()))
        transact(entries.to_put(Entry("a", 1)), entries.to_put(Entry("a", 2)), accounts.to_put(Account("a")))


MOVES = st.lists(
    st.tuples(st.sampled_from("abc"), st.sampled_from("abc"), st.integers(1, 8)).filter(
        lambda move: move[0] != move[1]
    ),
    max_size=15,
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40)
@given(moves=MOVES)
def test_money_is_neither_made_nor_lost(app: Driver, moves: Sequence[tuple[str, str, int]]) -> None:
    run, model = new_id(), dict.fromkeys("abc", 10)
    with app.bound():
        accounts.put_many([Account(run + name, cents) for name, cents in model.items()])
        for source, target, cents in moves:
            move = (
                accounts.to_update(run + source, add={"cents": -cents}, when=field("cents") >= cents),
                accounts.to_update(run + target, add={"cents": cents}),
            )
            if model[source] < cents:
                with pytest.raises(TransactionConflict):
                    transact(*move)
            else:
                transact(*move)
                model[source] -= cents
                model[target] += cents
        assert accounts.get_many([run + name for name in model]) == [Account(run + n, c) for n, c in model.items()]
