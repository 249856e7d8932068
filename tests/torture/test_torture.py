"""A short torture: nothing that was answered is lost, nothing is done twice, and what is poisoned ends up dead."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.torture.torture import Options, torture


@pytest.mark.parametrize(
    "options",
    [
        pytest.param(Options(kills=14, workers=1, seed=20240612), id="process"),
        # Single processes are found in /proc.
        pytest.param(
            Options(kills=6, children=3 if sys.platform == "linux" else 0, workers=2, durability="full", seed=20240622),
            id="processes",
        ),
    ],
)
def test_every_promise_outlives_kill_9(tmp_path: Path, options: Options) -> None:
    said: list[str] = []
    report = torture(tmp_path / "home", options, said.append)
    assert report.kept, "\n".join([*said, str(report)])
    assert report.verdict.acknowledged > 100
    assert report.repeated > 0
