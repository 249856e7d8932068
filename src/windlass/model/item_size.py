"""The limits of an item as DynamoDB has them: its size, and the digits of its numbers.

https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Constraints.html and
https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/CapacityUnitCalculations.html
"""

from __future__ import annotations

import math
import re
from decimal import Decimal
from typing import Any

from windlass.errors import InvalidItem

__all__ = ["MAX_ITEM", "check_numbers", "check_size", "holdable", "item_size"]

MAX_ITEM = 400 * 1024

# JSON text is never less than half of what DynamoDB counts for the same item (the worst is a list of one-digit
# numbers: two bytes each here, three there), so shorter texts need no count.
_SURELY_SMALL = MAX_ITEM // 2

MAX_DIGITS = 38
_EXPONENTS = range(-130, 126)

# Few texts hold what may be a number out of range; only those are looked at number by number.
_SUSPECT = re.compile(rb"\d{39}|\de[+-]?\d{3}[,}\]]")


def item_size(attributes: dict[str, Any]) -> int:
    """Bytes: names and values of all attributes."""
    return sum(len(name.encode()) + _value_size(value) for name, value in attributes.items())


def _value_size(value: Any) -> int:
    if isinstance(value, str):
        return len(value.encode())
    if value is None or isinstance(value, bool):
        return 1
    if isinstance(value, int | float):
        digits = len(_digits(value)) or 1
        return (digits + 1) // 2 + 1 + (value < 0)
    if isinstance(value, list):
        return 3 + sum(1 + _value_size(part) for part in value)
    return 3 + sum(1 + len(name.encode()) + _value_size(part) for name, part in value.items())


def _digits(value: float) -> str:
    """The significant digits of a number; none of 0."""
    return "".join(map(str, _decimal(value).as_tuple().digits)).strip("0")


def _decimal(value: int | float) -> Decimal:
    """A float as its shortest text, a whole number exactly."""
    return Decimal(repr(value)) if isinstance(value, float) else Decimal(value)


def holdable(number: int | float) -> bool:
    """Whether DynamoDB can hold a number: of at most 38 significant digits, and from 1E-130 to 9.9E+125 or 0."""
    if not number or isinstance(number, bool):
        return True
    if isinstance(number, float) and not math.isfinite(number):
        return False
    return len(_digits(number)) <= MAX_DIGITS and _decimal(number).adjusted() in _EXPONENTS


def check_numbers(attributes: dict[str, Any], text: bytes, where: str) -> None:
    """Raises InvalidItem when `attributes`, whose JSON is `text`, hold a number of more than 38 significant digits
    or beyond 1E-130 to 9.9E+125."""
    if _SUSPECT.search(text):
        for value in attributes.values():
            _check_number(value, where)


def _check_number(value: Any, where: str) -> None:
    if isinstance(value, dict | list):
        for part in value.values() if isinstance(value, dict) else value:
            _check_number(part, where)
    elif isinstance(value, int | float) and not holdable(value):
        raise InvalidItem(
            f"an item of {where} has a number that is too large or has too many digits: {str(value)[:60]}"
        )


def check_size(attributes: dict[str, Any], text: bytes, where: str) -> None:
    """Raises InvalidItem when `attributes`, whose JSON is `text`, are more than 400 KB."""
    if len(text) > _SURELY_SMALL and (size := item_size(attributes)) > MAX_ITEM:
        raise InvalidItem(f"an item of {where} has {size:,} bytes; the most is {MAX_ITEM:,} (400 KB)")
