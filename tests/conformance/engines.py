"""The engines under test. An engine is a name and a way to start a system; it never brings tests of its own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from tests.aws.driver import AwsDriver
from tests.aws.shared import shared
from windlass import System
from windlass.testing import Driver

__all__ = ["ENGINES", "Engine"]


@dataclass(frozen=True, slots=True)
class Engine:
    """`start(system, path, seed, clock_start)` runs `system` with its state in `path`. `aws` says that something stands
    in for AWS."""

    name: str
    aws: bool
    start: Callable[[System, Path, int | None, datetime | None], Driver]


def _embedded(system: System, path: Path, seed: int | None, clock_start: datetime | None) -> Driver:
    return system.run_embedded(path, seed=seed, clock_start=clock_start)


def _moto(system: System, path: Path, seed: int | None, clock_start: datetime | None) -> Driver:
    return AwsDriver(system, shared("moto"), str(path), seed=seed, clock_start=clock_start)


def _ministack(system: System, path: Path, seed: int | None, clock_start: datetime | None) -> Driver:
    return AwsDriver(system, shared("ministack"), str(path), seed=seed, clock_start=clock_start)


ENGINES = {
    engine.name: engine
    for engine in (
        Engine("embedded", False, _embedded),
        Engine("moto", True, _moto),
        Engine("ministack", True, _ministack),
    )
}
"""`moto` and `ministack` are the AWS engine, on either of the two that stand in for AWS."""
