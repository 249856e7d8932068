from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import settings

from aged_file import AgedFile, make_aged
from hand_clock import HandClock
from peer import Peer

settings.register_profile("collector", deadline=None, derandomize=True, database=None, max_examples=40)
settings.load_profile("collector")


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
