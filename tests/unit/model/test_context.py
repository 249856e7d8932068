"""Ids and the time, as a handler asks for them."""

from __future__ import annotations

import time
import uuid
from itertools import pairwise

import pytest

from windlass import new_id, now
from windlass.errors import NotBound


def test_an_id_is_a_uuid_of_version_7_with_the_time_in_front() -> None:
    before = time.time_ns() // 1_000_000
    text = new_id()
    made = uuid.UUID(text)
    assert (made.version, made.variant) == (7, uuid.RFC_4122)
    assert before <= made.int >> 80 <= time.time_ns() // 1_000_000
    assert text == str(made), "in the canonical form"


def test_ids_differ_and_do_not_go_back_by_a_millisecond() -> None:
    ids = [new_id() for _ in range(10_000)]
    assert len(set(ids)) == len(ids)
    assert all(one[:13] <= other[:13] for one, other in pairwise(ids))


def test_the_time_needs_a_handler() -> None:
    with pytest.raises(NotBound, match="no handler is running here"):
        now()
