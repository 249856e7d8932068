"""What an item may hold, and what may be its key."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any
from uuid import uuid4

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.conformance.home import (
    Color,
    Draft,
    Parcel,
    Place,
    Reading,
    Session,
    Stock,
    Text,
    Todo,
    home,
    parcels,
    readings,
    sessions,
    stocks,
    texts,
    todos,
)
from tests.conformance.plugin import Start
from windlass import InvalidItem, System, new_id
from windlass import field as attribute
from windlass.testing import Driver

LIMIT = 400 * 1024


@pytest.fixture
def app(start: Start) -> Driver:
    return start(home)


# Values


def test_a_value_of_another_type_than_the_fields_is_refused(app: Driver) -> None:
    wrong: Any = "many"
    with app.bound():
        with pytest.raises(InvalidItem, match="int"):
            todos.put(Todo("ada", "1", votes=wrong))
        with pytest.raises(InvalidItem, match=r">= 0"):
            stocks.put(Stock("a", -1))
        assert todos.get("ada", "1") is None


def test_an_item_of_another_class_is_refused(app: Driver) -> None:
    other: Any = Draft("a")
    with app.bound(), pytest.raises(InvalidItem, match="holds Todo, not Draft"):
        todos.put(other)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf"), 1e126, 1e-131])
def test_a_float_that_is_no_number_of_dynamodb_is_refused(app: Driver, value: float) -> None:
    with app.bound():
        with pytest.raises(InvalidItem):
            todos.put(Todo("ada", "1", weight=value))
        with pytest.raises(InvalidItem):
            stocks.put(Stock("a", limits={"most": value}))
        assert todos.get("ada", "1") is None


@pytest.mark.parametrize("value", [10**38 - 1, -(10**38) + 1, 5 * 10**60])
def test_whole_numbers_keep_38_digits(app: Driver, value: int) -> None:
    with app.bound():
        todos.put(Todo("ada", "1", votes=value))
        assert todos.get("ada", "1") == Todo("ada", "1", votes=value)


@pytest.mark.parametrize("value", [10**38 + 1, -(10**40) - 1, 10**126, 10**5000], ids=["39", "41", "127", "5001"])
def test_a_whole_number_of_more_digits_is_refused(app: Driver, value: int) -> None:
    with app.bound(), pytest.raises(InvalidItem):
        todos.put(Todo("ada", "1", votes=value))


def test_text_that_is_not_unicode_is_refused(app: Driver) -> None:
    with app.bound():
        with pytest.raises(InvalidItem):
            todos.put(Todo("ada", "1", title="\ud800"))
        with pytest.raises(InvalidItem):
            todos.put(Todo("ada", "\udfff"))


def test_a_datetime_without_a_zone_is_refused(app: Driver) -> None:
    parcel = Parcel(uuid4(), datetime(2024, 6, 12), date(2024, 6, 13), Color.RED, Decimal(1), Place("x"))
    with app.bound(), pytest.raises(InvalidItem, match="time zone"):
        parcels.put(parcel)


def test_a_time_in_any_zone_is_kept_as_the_same_moment(app: Driver) -> None:
    there = datetime(2024, 6, 12, 11, 30, tzinfo=timezone(timedelta(hours=2)))
    parcel = Parcel(uuid4(), there, date(2024, 6, 13), Color.RED, Decimal(1), Place("x"))
    with app.bound():
        parcels.put(parcel)
        stored = parcels.get(str(parcel.parcel_id))
        assert stored is not None
        assert stored.sent_at == there
        assert stored.sent_at.utcoffset() == timedelta(0)


def test_an_item_may_have_400_kb_and_not_a_byte_more(app: Driver) -> None:
    room = LIMIT - len("id") - len("a") - len("body")
    fits = Text("a", "\N{SNOWMAN}" * (room // 3) + "x" * (room % 3))
    with app.bound():
        texts.put(fits)
        assert texts.get("a") == fits
        with pytest.raises(InvalidItem, match=r"409,601 bytes"):
            texts.put(Text("a", fits.body + "x"))
        with pytest.raises(InvalidItem):
            texts.update("a", set={"body": fits.body + "x"})
        assert texts.get("a") == fits


def test_a_default_is_stored_like_any_value(app: Driver) -> None:
    """Also that of an item which msgspec decoded: it leaves defaults of a plain dataclass on the class."""
    decoded = msgspec.json.decode(b'{"id":"a"}', type=Session)
    with app.bound():
        sessions.put(decoded)
        assert sessions.scan(where=attribute("user") == "").items == [Session("a")]
        found = sessions.get("a")
        assert found is not None
        sessions.put(found)
        assert sessions.scan(where=attribute("user").exists()).items == [Session("a")]


# Times


MOMENTS = st.datetimes(timezones=st.sampled_from([UTC, timezone(timedelta(hours=-5)), timezone(timedelta(hours=9))]))


@dataclass
class Event:
    series: str
    at: datetime


diary = System("diary")
events = diary.table("events", Event, key="series", sort="at")


@pytest.fixture
def journal(start: Start) -> Driver:
    return start(diary)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=30)
@given(moments=st.sets(MOMENTS.filter(lambda at: 1 < at.year < 9999), max_size=8))
def test_times_are_ordered_as_they_happened(journal: Driver, moments: set[datetime]) -> None:
    series = new_id()
    with journal.bound():
        events.put_many([Event(series, moment) for moment in moments])
        assert [event.at for event in events.query(series).items] == sorted(moments)


# Keys


@pytest.mark.parametrize(
    "key",
    [
        pytest.param(("", "1"), id="empty_partition"),
        pytest.param(("ada", ""), id="empty_sort"),
        pytest.param(("ada",), id="no_sort"),
        pytest.param((1, "1"), id="number_for_text"),
        pytest.param(("x" * 2049, "1"), id="long_partition"),
        pytest.param(("ada", "x" * 1025), id="long_sort"),
        pytest.param(("ada", "\N{SNOWMAN}" * 342), id="long_sort_in_utf8"),
    ],
)
def test_a_key_that_dynamodb_has_not_is_refused(app: Driver, key: tuple[Any, ...]) -> None:
    with app.bound():
        for call in (todos.get, todos.delete):
            with pytest.raises(InvalidItem):
                call(*key)
        if len(key) == 2:
            with pytest.raises(InvalidItem):
                todos.put(Todo(*key))


def test_the_longest_keys_are_kept(app: Driver) -> None:
    todo = Todo("\N{SNOWMAN}" * 682 + "xx", "\x01" * 1024)
    with app.bound():
        todos.put(todo)
        assert todos.get(todo.owner, todo.id) == todo


def test_a_sort_key_is_refused_where_there_is_none(app: Driver) -> None:
    with app.bound(), pytest.raises(InvalidItem, match="no sort key"):
        stocks.get("a", "b")


def test_whole_numbers_are_keys(app: Driver) -> None:
    with app.bound():
        for tick in (-(2**63), -1, 0, 1, 2**63 - 1):
            readings.put(Reading(1, tick, float(tick % 7)))
        assert [r.tick for r in readings.query(1).items] == [-(2**63), -1, 0, 1, 2**63 - 1]
        assert readings.get(1, -1) == Reading(1, -1, 6.0)
        for wrong in ("1", 1.0, True, 2**63):
            value: Any = wrong
            with pytest.raises(InvalidItem):
                readings.get(1, value)
