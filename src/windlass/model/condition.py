"""How a declaration writes conditions: `between(a, b)` on a sort key, `field("sla") > 20` on an attribute."""

from __future__ import annotations

from typing import Any

from windlass.ports.table import Compare, KeyCondition, KeyValue

__all__ = ["Field", "begins_with", "between", "equal", "field", "greater", "greater_equal", "less", "less_equal"]


def equal(value: KeyValue) -> KeyCondition:
    """The sort key is `value`."""
    return KeyCondition("equal", value)


def less(value: KeyValue) -> KeyCondition:
    """The sort key comes before `value`."""
    return KeyCondition("less", value)


def less_equal(value: KeyValue) -> KeyCondition:
    """The sort key is `value` or comes before it."""
    return KeyCondition("less_equal", value)


def greater(value: KeyValue) -> KeyCondition:
    """The sort key comes after `value`."""
    return KeyCondition("greater", value)


def greater_equal(value: KeyValue) -> KeyCondition:
    """The sort key is `value` or comes after it."""
    return KeyCondition("greater_equal", value)


def between(low: KeyValue, high: KeyValue) -> KeyCondition:
    """The sort key lies from `low` to `high`, both included."""
    return KeyCondition("between", low, high)


def begins_with(prefix: str) -> KeyCondition:
    """The sort key, a text, begins with `prefix`."""
    return KeyCondition("begins_with", prefix)


class Field:
    """A top-level attribute, to be compared: `field("done") == False`, `field("title").contains("tea")`.

    Comparisons give conditions, which combine with `&`, `|` and `~`.
    """

    __slots__ = ("name",)
    __hash__ = None  # type: ignore[assignment]  # it compares to conditions, so it cannot be looked up

    def __init__(self, name: str) -> None:
        self.name = name

    def __eq__(self, value: object) -> Compare:  # type: ignore[override]
        return Compare("eq", self.name, value)

    def __ne__(self, value: object) -> Compare:  # type: ignore[override]
        return Compare("ne", self.name, value)

    def __lt__(self, value: object) -> Compare:
        return Compare("lt", self.name, value)

    def __le__(self, value: object) -> Compare:
        return Compare("le", self.name, value)

    def __gt__(self, value: object) -> Compare:
        return Compare("gt", self.name, value)

    def __ge__(self, value: object) -> Compare:
        return Compare("ge", self.name, value)

    def between(self, low: object, high: object) -> Compare:
        """From `low` to `high`, both included."""
        return Compare("between", self.name, (low, high))

    def begins_with(self, prefix: str) -> Compare:
        """The attribute is a text that begins with `prefix`."""
        return Compare("begins_with", self.name, prefix)

    def contains(self, part: Any) -> Compare:
        """The attribute is a text that holds `part`, or a list with an element equal to it."""
        return Compare("contains", self.name, part)

    def is_in(self, *values: object) -> Compare:
        """The attribute equals one of `values`: 1 to 100 of them, as DynamoDB's IN takes."""
        return Compare("in", self.name, values)

    def exists(self) -> Compare:
        """The item has the attribute."""
        return Compare("exists", self.name)

    def absent(self) -> Compare:
        """The item does not have the attribute."""
        return Compare("absent", self.name)


def field(name: str) -> Field:
    """The attribute `name` of an item, for `where=` and `when=`."""
    return Field(name)
