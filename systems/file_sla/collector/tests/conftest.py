from __future__ import annotations

from collections.abc import Iterator

import pytest

from aged_file import AgedFile, make_aged
from hand_clock import HandClock
from peer import Peer


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
