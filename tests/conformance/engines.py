"""The engines under test. An engine is a name and a way to start a system; it never brings tests of its own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from windlass import System
from windlass.testing import Driver

__all__ = ["ENGINES", "Engine"]


@dataclass(frozen=True, slots=True)
class Engine:
    """`start(system, path, seed, clock_start)` runs `system` with its state in `path`."""

    name: str
    start: Callable[[System, Path, int | None, datetime | None], Driver]


def _embedded(system: System, path: Path, seed: int | None, clock_start: datetime | None) -> Driver:
    return system.run_embedded(path, seed=seed, clock_start=clock_start)


ENGINES = {"embedded": Engine("embedded", _embedded)}
