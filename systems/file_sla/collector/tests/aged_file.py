"""Files of a certain age at the start of the tests' clock."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Protocol

from hand_clock import START


class AgedFile(Protocol):
    """Makes a file, and the folders above it, last modified so many minutes before the clock's start."""

    def __call__(self, file: Path, minutes: float) -> Path: ...


def make_aged(file: Path, minutes: float) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(b"x")
    moment = START.timestamp() - minutes * 60
    os.utime(file, (moment, moment))
    return file
