"""The way of an item to JSON: the quick one gives what the thorough one gives."""

from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from enum import Enum
from typing import Any
from uuid import UUID

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from windlass.errors import InvalidItem, Misuse
from windlass.model.shape import Shape


class Colour(Enum):
    RED = "red"


@dataclass
class Inner:
    sizes: dict[int, str]
    tags: frozenset[str] = frozenset()


@dataclass
class Plain:
    name: str
    count: int = 0
    colour: Colour | None = None
    price: Decimal = Decimal(0)
    id: UUID | None = None
    day: date = date(2026, 1, 1)
    took: timedelta = timedelta(0)
    content: bytes = b""
    inner: list[Inner] = field(default_factory=list)


@dataclass
class Careful:
    at: datetime
    size: float = 0.0


plain = st.builds(
    Plain,
    name=st.text(),
    count=st.integers(-(2**63), 2**64 - 1),
    colour=st.sampled_from([None, Colour.RED]),
    price=st.decimals(allow_nan=False, allow_infinity=False),
    id=st.uuids(),
    day=st.dates(),
    took=st.timedeltas(timedelta(days=-1000), timedelta(days=1000)),
    content=st.binary(max_size=20),
    inner=st.lists(st.builds(Inner, st.dictionaries(st.integers(0, 9), st.text(max_size=3))), max_size=2),
)
careful = st.builds(Careful, st.datetimes(timezones=st.just(UTC)), st.floats(allow_nan=False, allow_infinity=False))


@given(item=plain | careful)
def test_json_is_the_text_of_the_attributes(item: Any) -> None:
    shape: Shape[Any] = Shape(type(item), where="here", noun="queue")
    try:
        expected: Any = msgspec.json.encode(shape.encode(item))
    except ValueError as error:  # a lone surrogate
        with pytest.raises(type(error)):
            shape.json(item)
    else:
        assert shape.json(item) == expected
        assert shape.decode(msgspec.json.decode(shape.json(item))) == item


@pytest.mark.parametrize(
    ("wrong", "error", "says"),
    [
        (Plain(name=1), Misuse, "here cannot hold this Plain: Expected `str`, got `int`"),  # type: ignore[arg-type]
        (Plain("a", inner=[Inner({1: 2})]), Misuse, r"Expected `str`, got `int` - at `\$.inner\[0\].sizes"),  # type: ignore[dict-item]
        (Plain("a", count=object()), InvalidItem, "here cannot hold this value"),  # type: ignore[arg-type]
        (Careful(datetime(2026, 1, 1, tzinfo=UTC)), Misuse, "here holds Plain, not Careful"),
    ],
)
def test_what_does_not_fit_is_refused_as_ever(wrong: Any, error: type[Exception], says: str) -> None:
    shape = Shape(Plain, where="here", noun="queue")
    for way in (shape.json, shape.encode):
        with pytest.raises(error, match=says):
            way(wrong)
