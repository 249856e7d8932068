"""What a table does with items, one at a time and many at once."""

from collections.abc import Sequence
from dataclasses import replace as with_changes
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.conformance.home import (
    Color,
    Draft,
    Parcel,
    Place,
    Session,
    Stock,
    Todo,
    drafts,
    home,
    parcels,
    sessions,
    stocks,
    todos,
)
from tests.conformance.plugin import Start
from windlass import Conflict, DeclarationError, InvalidItem, NotFound, Table, new_id, now
from windlass import field as attribute
from windlass.testing import Driver


@pytest.fixture
def app(start: Start) -> Driver:
    return start(home)


# One item


def test_what_is_put_is_got(app: Driver) -> None:
    todo = Todo("ada", "1", "tea", 3, 0.5, "black", ["a", "b"])
    with app.bound():
        assert todos.get("ada", "1") is None
        assert todos.put(todo) == todo
        assert todos.get("ada", "1") == todo
        assert todos.get("ada", "2") is None
        assert todos.get("eve", "1") is None


def test_a_put_replaces_the_whole_item(app: Driver) -> None:
    with app.bound():
        todos.put(Todo("ada", "1", "tea", 3, note="black"))
        todos.put(Todo("ada", "1", "coffee"))
        assert todos.get("ada", "1") == Todo("ada", "1", "coffee")


def test_a_struct_with_every_kind_of_field_comes_back_as_it_was(app: Driver) -> None:
    parcel = Parcel(
        uuid4(),
        datetime(2024, 6, 12, 9, 30, 0, 123456, UTC),
        date(2024, 6, 13),
        Color.BLUE,
        Decimal("12.3400"),
        Place("Lane \N{SNOWMAN}", 7),
        {7: Place("Stop")},
        b"\x00\xff",
        (0.1, -1.5),
        True,
    )
    with app.bound():
        parcels.put(parcel)
        assert parcels.get(str(parcel.parcel_id)) == parcel


def test_put_if_absent_stores_once(app: Driver) -> None:
    with app.bound():
        todos.put(Todo("ada", "1", "tea"), if_absent=True)
        with pytest.raises(Conflict):
            todos.put(Todo("ada", "1", "coffee"), if_absent=True)
        assert todos.get("ada", "1") == Todo("ada", "1", "tea")
        todos.delete("ada", "1")
        todos.put(Todo("ada", "1", "coffee"), if_absent=True)
        assert todos.get("ada", "1") == Todo("ada", "1", "coffee")


def test_put_when_is_tested_against_the_stored_item(app: Driver) -> None:
    with app.bound():
        with pytest.raises(Conflict):
            todos.put(Todo("ada", "1"), when=attribute("votes") >= 1)
        assert todos.get("ada", "1") is None
        todos.put(Todo("ada", "1", votes=1), when=attribute("votes").absent())
        todos.put(Todo("ada", "1", votes=2), when=attribute("votes") == 1)
        with pytest.raises(Conflict):
            todos.put(Todo("ada", "1", votes=3), when=attribute("votes") == 1)
        with pytest.raises(Conflict):
            todos.put(Todo("ada", "1", votes=3), if_absent=True, when=attribute("votes") == 2)
        assert todos.get("ada", "1") == Todo("ada", "1", votes=2)


def test_delete_returns_what_was_there(app: Driver) -> None:
    with app.bound():
        assert todos.delete("ada", "1") is None
        todos.put(Todo("ada", "1", "tea"))
        with pytest.raises(Conflict):
            todos.delete("ada", "1", when=attribute("title") == "coffee")
        assert todos.delete("ada", "1", when=attribute("title") == "tea") == Todo("ada", "1", "tea")
        assert todos.get("ada", "1") is None
        with pytest.raises(Conflict):
            todos.delete("ada", "1", when=attribute("title").exists())


def test_check_raises_unless_the_condition_holds(app: Driver) -> None:
    with app.bound():
        todos.put(Todo("ada", "1", votes=2))
        todos.check("ada", "1", when=attribute("votes") == 2)
        todos.check("ada", "2", when=attribute("votes").absent())
        with pytest.raises(Conflict):
            todos.check("ada", "1", when=attribute("votes") > 2)


# Updates


def test_an_update_sets_adds_and_removes_in_one_step(app: Driver) -> None:
    with app.bound():
        todos.put(Todo("ada", "1", "tea", votes=1, weight=0.5, note="black", tags=["a"]))
        changed = todos.update(
            "ada", "1", set={"title": "coffee", "tags": ["b", "c"]}, add={"votes": 2, "weight": 0.25}, remove=["note"]
        )
        assert changed == Todo("ada", "1", "coffee", 3, 0.75, None, ["b", "c"])
        assert todos.get("ada", "1") == changed


def test_an_update_of_an_absent_item_is_not_found(app: Driver) -> None:
    with app.bound():
        with pytest.raises(NotFound):
            todos.update("ada", "1", set={"title": "tea"})
        with pytest.raises(NotFound):
            todos.update("ada", "1", set={"title": "tea"}, when=attribute("votes") > 0)
        assert todos.get("ada", "1") is None


def test_an_update_with_a_default_starts_the_item(app: Driver) -> None:
    with app.bound():
        start = Todo("ada", "1", "tea", votes=10)
        assert todos.update("ada", "1", add={"votes": 1}, default=start) == with_changes(start, votes=11)
        assert todos.update("ada", "1", add={"votes": 1}, default=start) == with_changes(start, votes=12)


def test_a_counter_counts_every_call(app: Driver) -> None:
    with app.bound():
        for _ in range(20):
            todos.update("ada", "1", add={"votes": 1}, default=Todo("ada", "1"))
        todos.update("ada", "1", add={"votes": -25})
        assert todos.get("ada", "1") == Todo("ada", "1", votes=-5)


def test_an_update_when_refuses_and_changes_nothing(app: Driver) -> None:
    with app.bound():
        todos.put(Todo("ada", "1", votes=1))
        with pytest.raises(Conflict):
            todos.update("ada", "1", add={"votes": -2}, when=attribute("votes") >= 2)
        assert todos.get("ada", "1") == Todo("ada", "1", votes=1)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        pytest.param({"set": {"id": "2"}}, "part of the key", id="key"),
        pytest.param({}, "changes nothing", id="nothing"),
        pytest.param({"set": {"votes": 1}, "add": {"votes": 1}}, "twice", id="twice"),
        pytest.param({"remove": ["note", "note"]}, "twice", id="removed_twice"),
        pytest.param({"set": {"votes": "many"}}, "int", id="wrong_type"),
        pytest.param({"set": {"tags": ["a", 1]}}, "str", id="wrong_element"),
        pytest.param({"add": {"votes": 0.5}}, "votes", id="fraction_of_an_int"),
        pytest.param({"add": {"votes": "1"}}, "votes", id="step_of_text"),
        pytest.param({"add": {"weight": float("nan")}}, "nan", id="nan"),
        pytest.param({"set": {"weight": float("inf")}}, "inf", id="inf"),
    ],
)
def test_a_wrong_update_is_refused(app: Driver, changes: dict[str, Any], says: str) -> None:
    todo = Todo("ada", "1", votes=1)
    with app.bound():
        todos.put(todo)
        with pytest.raises(InvalidItem, match=says):
            todos.update("ada", "1", **changes)
        assert todos.get("ada", "1") == todo


def test_an_update_of_an_unknown_field_names_the_near_one(app: Driver) -> None:
    with app.bound(), pytest.raises(DeclarationError, match="Todo has no field 'titel'; did you mean 'title'"):
        todos.update("ada", "1", set={"titel": "tea"})


def test_a_field_without_a_default_cannot_be_removed(app: Driver) -> None:
    with app.bound(), pytest.raises(InvalidItem, match="'place' has no default"):
        parcels.update(str(uuid4()), remove=["place"])


def test_a_default_has_the_key_that_is_updated(app: Driver) -> None:
    with app.bound(), pytest.raises(InvalidItem, match="another key"):
        todos.update("ada", "1", add={"votes": 1}, default=Todo("ada", "2"))


# Time to live


def test_an_expired_item_is_absent_everywhere(app: Driver) -> None:
    with app.bound():
        end = int(now().timestamp()) + 60
        sessions.put(Session("short", "ada", end))
        sessions.put(Session("long", "ada", end + 60))
        sessions.put(Session("ever", "ada"))
        assert sessions.get("short") == Session("short", "ada", end)
    app.advance(timedelta(seconds=61))
    with app.bound():
        assert sessions.get("short") is None
        assert sessions.get_many(["short", "long"]) == [None, Session("long", "ada", end + 60)]
        assert {session.id for session in sessions.scan().items} == {"long", "ever"}
        with pytest.raises(NotFound):
            sessions.update("short", set={"user": "eve"})
        with pytest.raises(Conflict):
            sessions.delete("short", when=attribute("user") == "ada")
        assert sessions.delete("short") is None
        sessions.put(Session("short", "eve"), if_absent=True)
    app.advance(timedelta(days=1))
    with app.bound():
        assert {session.id for session in sessions.scan().items} == {"short", "ever"}


def test_an_update_may_prolong_a_life(app: Driver) -> None:
    with app.bound():
        end = int(now().timestamp()) + 60
        sessions.put(Session("a", expires=end))
        sessions.update("a", set={"expires": end + 60})
        sessions.put(Session("b", expires=end))
        sessions.update("b", remove=["expires"])
    app.advance(timedelta(seconds=90))
    with app.bound():
        assert sessions.get("a") == Session("a", expires=end + 60)
        assert sessions.get("b") == Session("b")


# Versions


def test_a_version_moves_on_with_every_put(app: Driver) -> None:
    with app.bound():
        first = drafts.put(Draft("a", "one"))
        assert first == Draft("a", "one", 1)
        second = drafts.put(with_changes(first, text="two"))
        assert second == Draft("a", "two", 2)
        assert drafts.get("a") == second


def test_a_put_of_an_old_version_conflicts(app: Driver) -> None:
    with app.bound():
        first = drafts.put(Draft("a", "one"))
        drafts.put(with_changes(first, text="two"))
        for stale in (first, Draft("a", "new"), Draft("a", "ahead", 3)):
            with pytest.raises(Conflict):
                drafts.put(stale)
        with pytest.raises(Conflict):
            drafts.put(Draft("b", "never stored", 1))
        assert drafts.get("a") == Draft("a", "two", 2)


def test_an_update_moves_the_version_on(app: Driver) -> None:
    with app.bound():
        first = drafts.put(Draft("a", "one"))
        assert drafts.update("a", set={"text": "two"}) == Draft("a", "two", 2)
        with pytest.raises(Conflict):
            drafts.put(first)
        assert drafts.update("b", set={"text": "x"}, default=Draft("b")) == Draft("b", "x", 1)


def test_put_many_refuses_a_table_with_versions(app: Driver) -> None:
    with app.bound(), pytest.raises(InvalidItem, match="versions"):
        drafts.put_many([Draft("a")])


# Many at once


def test_many_are_put_got_and_deleted(app: Driver) -> None:
    many = [Todo("ada", f"{n:03}", votes=n) for n in range(130)]
    with app.bound():
        todos.put_many(many)
        keys = [("ada", todo.id) for todo in many]
        found = todos.get_many([*reversed(keys), ("ada", "none"), keys[0]])
        assert found == [*reversed(many), None, many[0]]
        todos.delete_many([*keys[10:], ("ada", "none")])
        assert todos.get_many(keys) == [*many[:10], *[None] * 120]
        todos.put_many([])
        todos.delete_many([])
        assert todos.get_many([]) == []


def test_get_many_takes_bare_keys_where_there_is_no_sort_key(app: Driver) -> None:
    with app.bound():
        stocks.put_many([Stock("a", 1), Stock("b", 2)])
        assert stocks.get_many(["b", "x", "a"]) == [Stock("b", 2), None, Stock("a", 1)]
        stocks.delete_many(["a", "b"])
        assert stocks.get_many(["a", "b"]) == [None, None]


# Against a dict


def apply(table: Table[Todo], model: dict[str, Todo], owner: str, step: tuple[str, str, int]) -> None:
    """The same step on the table and on a dict; both must answer alike."""
    name, id, votes = step
    held = model.get(id)
    if name == "put":
        model[id] = Todo(owner, id, votes=votes)
        assert table.put(model[id]) == model[id]
    elif name == "put_absent" and held is not None:
        with pytest.raises(Conflict):
            table.put(Todo(owner, id, votes=votes), if_absent=True)
    elif name == "put_absent":
        model[id] = table.put(Todo(owner, id, votes=votes), if_absent=True)
    elif name == "add" and held is None:
        with pytest.raises(NotFound):
            table.update(owner, id, add={"votes": votes})
    elif name == "add":
        model[id] = with_changes(held or Todo(owner, id), votes=(held.votes if held else 0) + votes)
        assert table.update(owner, id, add={"votes": votes}) == model[id]
    elif name == "delete":
        assert table.delete(owner, id) == model.pop(id, None)
    else:
        assert table.get(owner, id) == held


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["put", "put_absent", "add", "delete", "get"]), st.sampled_from("abc"), st.integers(-9, 9)
    ),
    max_size=25,
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(steps=STEPS)
def test_a_table_is_a_dict(app: Driver, steps: Sequence[tuple[str, str, int]]) -> None:
    owner, model = new_id(), dict[str, Todo]()
    with app.bound():
        for step in steps:
            apply(todos, model, owner, step)
        assert todos.query(owner).items == [model[id] for id in sorted(model)]
