"""Where an engine differs from what the suite asks, each with its reason. Empty: none does.

A row is a strict expected failure: a test that passes in spite of its row fails the suite, so that rows go when
their reasons go.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["DIVERGENCES", "Divergence"]


@dataclass(frozen=True, slots=True)
class Divergence:
    """`engine` fails `test` (its name, without parameters) with `raises`, because of `reason`."""

    engine: str
    test: str
    raises: type[BaseException]
    reason: str


DIVERGENCES: tuple[Divergence, ...] = ()
