"""Events that are not what AWS's documentation says of their kind."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import msgspec

from windlass.errors import WindlassError

__all__ = ["MalformedEvent", "reader", "text_bytes"]

T = TypeVar("T")


class MalformedEvent(WindlassError):
    """An event that cannot be read. Its text names the part at fault, and never what it holds."""


def reader(kind: type[T], name: str) -> Callable[[object], T]:
    """Reads events of a kind, which are `name` in what MalformedEvent says."""

    def read(event: object) -> T:
        try:
            return msgspec.convert(event, kind)
        except (msgspec.ValidationError, RecursionError) as error:
            raise MalformedEvent(f"the event is not {name}: {_said(error)}") from None

    return read


def _said(error: Exception) -> str:
    return "it is nested too deeply" if isinstance(error, RecursionError) else str(error)[:300]


def text_bytes(text: str) -> bytes:
    """A text of an event as UTF-8. What is not Unicode (half a surrogate pair, which JSON can carry) becomes invalid
    UTF-8, for who decodes it to refuse."""
    return text.encode(errors="surrogatepass")
