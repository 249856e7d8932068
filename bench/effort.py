"""How long a measurement goes on."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Effort"]


@dataclass(frozen=True, slots=True)
class Effort:
    """`rounds` in which the services take turns, each under load for `seconds`."""

    rounds: int = 5
    seconds: int = 3
