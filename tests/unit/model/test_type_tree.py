"""The types inside a type, and the defaults that msgspec leaves on the class."""

from dataclasses import dataclass, field
from typing import Annotated, Any, Generic, NamedTuple, TypedDict, TypeVar

import msgspec
import pytest

from windlass.model.type_tree import completer, types_within

T = TypeVar("T")


@dataclass
class Inner:
    a: int
    b: str = "b"


@dataclass(frozen=True)
class Frozen:
    inner: Inner
    more: dict[str, list[Inner]] = field(default_factory=dict)
    none: Inner | None = None
    word: str = "w"


@dataclass(slots=True)
class Slots:
    a: int = 1


@dataclass
class HalfSlots(Inner):
    __slots__ = ()
    c: int = 3


class Struct(msgspec.Struct):
    inner: Inner
    a: int = 1


class Node(msgspec.Struct):
    below: "list[Node]" = []
    leaf: Inner | None = None


@dataclass
class Box(Generic[T]):
    content: T
    label: str = "-"


class Pair(NamedTuple):
    left: Inner
    right: int = 0


class Typed(TypedDict):
    inner: Inner


def decoded(kind: Any, text: bytes) -> Any:
    value = msgspec.json.decode(text, type=kind)
    complete = completer(kind)
    assert complete is not None
    complete(value)
    return value


@pytest.mark.parametrize(
    ("kind", "text", "whole"),
    [
        (Inner, b'{"a":1}', b'{"a":1,"b":"b"}'),
        (
            Frozen,
            b'{"inner":{"a":1},"more":{"x":[{"a":2},{"a":3,"b":"c"}]}}',
            b'{"inner":{"a":1,"b":"b"},"more":{"x":[{"a":2,"b":"b"},{"a":3,"b":"c"}]},"none":null,"word":"w"}',
        ),
        (Struct, b'{"inner":{"a":1}}', b'{"inner":{"a":1,"b":"b"},"a":1}'),
        (list[Inner], b'[{"a":1}]', b'[{"a":1,"b":"b"}]'),
        (tuple[int, Inner], b'[1,{"a":1}]', b'[1,{"a":1,"b":"b"}]'),
        (Box[list[Inner]], b'{"content":[{"a":1}]}', b'{"content":[{"a":1,"b":"b"}],"label":"-"}'),
        (Pair, b'[{"a":1}]', b'[{"a":1,"b":"b"},0]'),
        (Typed, b'{"inner":{"a":1}}', b'{"inner":{"a":1,"b":"b"}}'),
        (Inner | None, b'{"a":1}', b'{"a":1,"b":"b"}'),
        (Annotated[Inner, msgspec.Meta(title="x")], b'{"a":1}', b'{"a":1,"b":"b"}'),
        (
            Node,
            b'{"below":[{"below":[{"leaf":{"a":1}}]}]}',
            b'{"below":[{"below":[{"below":[],"leaf":{"a":1,"b":"b"}}],"leaf":null}],"leaf":null}',
        ),
    ],
)
def test_a_decoded_value_gets_its_defaults(kind: Any, text: bytes, whole: bytes) -> None:
    value = decoded(kind, text)
    assert sorted(msgspec.json.encode(value)) == sorted(whole)
    assert msgspec.json.decode(msgspec.json.encode(value)) == msgspec.json.decode(whole)


def test_what_was_sent_stays() -> None:
    assert decoded(Inner, b'{"a":1,"b":"x"}') == Inner(1, "x")


def test_a_class_with_half_its_slots_is_completed() -> None:
    assert msgspec.json.decode(msgspec.json.encode(decoded(HalfSlots, b'{"a":1}'))) == {"a": 1, "b": "b", "c": 3}


@pytest.mark.parametrize("kind", [Slots, int, str | None, list[Slots], dict[str, Any], Any])
def test_nothing_is_done_where_nothing_can_lack(kind: Any) -> None:
    assert completer(kind) is None


def test_every_type_inside_is_found_once() -> None:
    found = list(types_within(msgspec.inspect.type_info(Node)))
    assert len([kind for kind in found if isinstance(kind, msgspec.inspect.StructType)]) == 1
    assert any(isinstance(kind, msgspec.inspect.StrType) for kind in found)
