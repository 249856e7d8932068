"""Conditions evaluated on an item's attributes, as DynamoDB evaluates them: types that differ never compare.

https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Expressions.OperatorsAndFunctions.html
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

from windlass.ports.table import All, AnyOf, Attributes, Condition, Not

__all__ = ["holds"]

_ORDER: dict[str, Callable[[Any, Any], bool]] = {
    "lt": operator.lt,
    "le": operator.le,
    "gt": operator.gt,
    "ge": operator.ge,
}


def holds(condition: Condition, attributes: Attributes) -> bool:
    """Whether `attributes` meet `condition`. A null attribute counts as absent."""
    if isinstance(condition, All):
        return all(holds(part, attributes) for part in condition.parts)
    if isinstance(condition, AnyOf):
        return any(holds(part, attributes) for part in condition.parts)
    if isinstance(condition, Not):
        return not holds(condition.part, attributes)
    held, value, op = attributes.get(condition.name), condition.value, condition.op
    if op == "exists":
        return held is not None
    if op == "absent":
        return held is None
    if op == "ne":
        return not _equal(held, value)
    if held is None:
        return False
    if op == "eq":
        return _equal(held, value)
    if op == "in":
        return any(_equal(held, part) for part in value)
    if op == "between":
        low, high = value
        return _ordered(held, low) and _ordered(held, high) and bool(low <= held <= high)
    if op == "begins_with":
        return isinstance(held, str) and isinstance(value, str) and held.startswith(value)
    if op == "contains":
        if isinstance(held, str):
            return isinstance(value, str) and value in held
        return isinstance(held, list) and any(_equal(part, value) for part in held)
    return _ordered(held, value) and _ORDER[op](held, value)


def _kind(value: Any) -> type:
    if isinstance(value, bool):
        return bool
    return float if isinstance(value, int | float) else type(value)


def _ordered(one: Any, other: Any) -> bool:
    kind = _kind(one)
    return kind is _kind(other) and kind in (str, float)


def _equal(one: Any, other: Any) -> bool:
    if _kind(one) is not _kind(other):
        return False
    if isinstance(one, list):
        return len(one) == len(other) and all(map(_equal, one, other))
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(_equal(one[name], other[name]) for name in one)
    return bool(one == other)
