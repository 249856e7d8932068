"""Conditions as DynamoDB's expressions, with placeholders for every name and value.

https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Expressions.OperatorsAndFunctions.html

An attribute that is null counts as absent, and what DynamoDB refuses to compare (a list with `<`, a BETWEEN whose ends
are the wrong way round) holds of nothing, so that a condition means the same on every engine.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any

import msgspec

from windlass.engines.aws.attributes import Typed, typed
from windlass.errors import InvalidItem
from windlass.model.keys import condition_fields
from windlass.ports.table import All, AnyOf, Compare, Condition, KeyCondition, Not

__all__ = ["Expressions", "both", "split"]

_SIGNS = {"lt": "<", "le": "<=", "gt": ">", "ge": ">="}
_KEY_SIGNS = {"equal": "=", "less": "<", "less_equal": "<=", "greater": ">", "greater_equal": ">="}

_encode = msgspec.json.Encoder().encode


class Expressions:
    """The expressions of one call, which share the names and values that their placeholders stand for.

    `solid` are the attributes that are never null: the keys.
    """

    def __init__(self, solid: Collection[str] = ()) -> None:
        self._solid = frozenset(solid)
        self._names: dict[str, str] = {}
        self._values: dict[str, Typed] = {}
        self._marks: dict[bytes, str] = {}

    def name(self, attribute: str) -> str:
        """The placeholder of an attribute's name: `#0`."""
        return self._names.setdefault(attribute, f"#{len(self._names)}")

    def value(self, value: Any) -> str:
        """The placeholder of a value: `:0`. Raises InvalidItem for a number that DynamoDB cannot hold, and for text
        that is not Unicode."""
        held = typed(value)
        try:
            text = _encode(held)
        except ValueError as error:
            raise InvalidItem(f"a value cannot be compared or stored: {error}") from None
        mark = self._marks.setdefault(text, f":{len(self._marks)}")
        self._values[mark] = held
        return mark

    def parameters(self) -> dict[str, Any]:
        """What a call takes beside the expressions: the names and the values, where there are any."""
        given: dict[str, Any] = {}
        if self._names:
            given["ExpressionAttributeNames"] = {mark: name for name, mark in self._names.items()}
        if self._values:
            given["ExpressionAttributeValues"] = dict(self._values)
        return given

    def condition(self, condition: Condition) -> str:
        """A ConditionExpression or FilterExpression. Raises InvalidItem as `value` does."""
        return self._condition(condition)[0]

    def update(self, set: Mapping[str, Any], add: Mapping[str, float], remove: Iterable[str]) -> str:
        """An UpdateExpression; no attribute is in two of its parts. Raises InvalidItem as `value` does."""
        clauses = {
            "SET": [f"{self.name(name)} = {self.value(value)}" for name, value in set.items()],
            "ADD": [f"{self.name(name)} {self.value(step)}" for name, step in add.items()],
            "REMOVE": [self.name(name) for name in remove],
        }
        return " ".join(f"{word} {', '.join(parts)}" for word, parts in clauses.items() if parts)

    def key_condition(self, partition: str, value: Any, sort: str | None, condition: KeyCondition | None) -> str:
        """A KeyConditionExpression: the partition, and what the sort key must be where there is a condition on it."""
        text = f"{self.name(partition)} = {self.value(value)}"
        if sort is None or condition is None:
            return text
        name, low = self.name(sort), self.value(condition.low)
        if condition.op == "between":
            return f"{text} AND {name} BETWEEN {low} AND {self.value(condition.high)}"
        if condition.op == "begins_with":
            return f"{text} AND begins_with({name}, {low})"
        return f"{text} AND {name} {_KEY_SIGNS[condition.op]} {low}"

    # DynamoDB refuses redundant parentheses, so each text is told with whether it needs them inside a larger one.

    def _condition(self, condition: Condition) -> tuple[str, bool]:
        if isinstance(condition, Not):
            if isinstance(condition.part, Not):
                return self._condition(condition.part.part)
            return f"NOT ({self.condition(condition.part)})", True
        if isinstance(condition, All):
            return self._joined("AND", condition.parts)
        if isinstance(condition, AnyOf):
            return self._joined("OR", condition.parts)
        return self._compare(condition)

    def _joined(self, word: str, parts: Iterable[Condition]) -> tuple[str, bool]:
        made = [self._condition(part) for part in parts]
        if len(made) == 1:
            return made[0]
        return f" {word} ".join(f"({text})" if whole else text for text, whole in made), True

    def _compare(self, compare: Compare) -> tuple[str, bool]:
        op, value, name = compare.op, compare.value, self.name(compare.name)
        if op in ("exists", "absent"):
            return self._exists(name, compare.name, op == "exists")
        if op == "ne":
            if value is None:
                return self._exists(name, compare.name, True)
            return f"NOT ({self._equals(name, value)[0]})", True
        if op == "eq":
            return self._never(name) if value is None else self._equals(name, value)
        if op == "in":
            # The null attribute is never among them, though DynamoDB finds null equal to null.
            marks = dict.fromkeys(self.value(part) for part in value if part is not None)
            return (f"{name} IN ({', '.join(marks)})", False) if marks else self._never(name)
        if op == "between":
            low, high = value
            kind = _ordered(low)
            if kind is None or kind != _ordered(high) or low > high:
                return self._never(name)
            return self._of_type(name, kind, f"({name} BETWEEN {self.value(low)} AND {self.value(high)})")
        if op == "begins_with":
            if not isinstance(value, str):
                return self._never(name)
            if not value:
                return self._type(name, "S"), False
            return f"begins_with({name}, {self.value(value)})", False
        if op == "contains":
            found = f"contains({name}, {self.value(value)})"
            return (f"{self._type(name, 'S')} OR {found}", True) if value == "" else (found, False)
        kind = _ordered(value)
        if kind is None:
            return self._never(name)
        return self._of_type(name, kind, f"{name} {_SIGNS[op]} {self.value(value)}")

    # The type is asked for beside the value: where types differ DynamoDB's comparisons are false, but not everything
    # that speaks its protocol tells false from 0, or compares a text with a number at all.

    def _equals(self, name: str, value: Any) -> tuple[str, bool]:
        test = f"{name} = {self.value(value)}"
        if isinstance(value, bool):
            return self._of_type(name, "BOOL", test)
        return self._of_type(name, "N", test) if isinstance(value, int | float) else (test, False)

    def _exists(self, name: str, attribute: str, exists: bool) -> tuple[str, bool]:
        if attribute in self._solid:
            return f"attribute_exists({name})" if exists else f"attribute_not_exists({name})", False
        null = self._type(name, "NULL")
        if exists:
            return f"attribute_exists({name}) AND NOT ({null})", True
        return f"attribute_not_exists({name}) OR {null}", True

    def _type(self, name: str, kind: str) -> str:
        return f"attribute_type({name}, {self.value(kind)})"

    def _of_type(self, name: str, kind: str, test: str) -> tuple[str, bool]:
        return f"{self._type(name, kind)} AND {test}", True

    def _never(self, name: str) -> tuple[str, bool]:
        return f"attribute_exists({name}) AND attribute_not_exists({name})", True


def _ordered(value: Any) -> str | None:
    """The type under which values have an order, None for a value without one."""
    if isinstance(value, str):
        return "S"
    return "N" if isinstance(value, int | float) and not isinstance(value, bool) else None


def both(*conditions: Condition | None) -> Condition | None:
    """All of `conditions` that are not None."""
    parts = tuple(condition for condition in conditions if condition is not None)
    return All(parts) if len(parts) > 1 else parts[0] if parts else None


def split(condition: Condition | None, keys: Collection[str]) -> tuple[Condition | None, Condition | None]:
    """A query's filter as what DynamoDB can test, and what is left to be tested here: it takes no filter on `keys`,
    by which it has found the items."""
    if condition is None:
        return None, None
    there: list[Condition] = []
    here: list[Condition] = []
    for part in _conjuncts(condition):
        (there if condition_fields(part).isdisjoint(keys) else here).append(part)
    return both(*there), both(*here)


def _conjuncts(condition: Condition) -> Iterable[Condition]:
    if not isinstance(condition, All):
        return [condition]
    return [conjunct for part in condition.parts for conjunct in _conjuncts(part)]
