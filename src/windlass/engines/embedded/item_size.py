"""The size of an item as DynamoDB counts it.

https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/CapacityUnitCalculations.html
"""

from __future__ import annotations

from typing import Any

from windlass.errors import InvalidItem

__all__ = ["MAX_ITEM", "check_size", "item_size"]

MAX_ITEM = 400 * 1024

# JSON text is never less than half of what DynamoDB counts for the same item (the worst is a list of one-digit
# numbers: two bytes each here, three there), so shorter texts need no count.
_SURELY_SMALL = MAX_ITEM // 2


def item_size(attributes: dict[str, Any]) -> int:
    """Bytes: names and values of all attributes."""
    return sum(len(name.encode()) + _value_size(value) for name, value in attributes.items())


def _value_size(value: Any) -> int:
    if isinstance(value, str):
        return len(value.encode())
    if value is None or isinstance(value, bool):
        return 1
    if isinstance(value, int | float):
        digits = len(str(value).lstrip("-").replace(".", "").strip("0")) or 1
        return (digits + 1) // 2 + 1 + (value < 0)
    if isinstance(value, list):
        return 3 + sum(1 + _value_size(part) for part in value)
    return 3 + sum(1 + len(name.encode()) + _value_size(part) for name, part in value.items())


def check_size(attributes: dict[str, Any], text: bytes, where: str) -> None:
    """Raises InvalidItem when `attributes`, whose JSON is `text`, are more than 400 KB."""
    if len(text) > _SURELY_SMALL and (size := item_size(attributes)) > MAX_ITEM:
        raise InvalidItem(f"an item of {where} has {size:,} bytes; the most is {MAX_ITEM:,} (400 KB)")
