"""A measured figure and its target."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Result"]


@dataclass(frozen=True, slots=True)
class Result:
    """`value` in `unit`, to be at least `at_least` or at most `at_most`; without either it is told for
    information."""

    what: str
    value: float
    unit: str
    at_least: float | None = None
    at_most: float | None = None

    @property
    def met(self) -> bool:
        """Whether the target is met."""
        return (self.at_least is None or self.value >= self.at_least) and (
            self.at_most is None or self.value <= self.at_most
        )

    def __str__(self) -> str:
        figure = f"{self.what}: {self.value:.2f} {self.unit}"
        if self.at_least is None and self.at_most is None:
            return f"       {figure} (no target)"
        target = f"at least {self.at_least:g}" if self.at_least is not None else f"at most {self.at_most:g}"
        return f"{'ok    ' if self.met else 'MISSED'} {figure} (target: {target})"
