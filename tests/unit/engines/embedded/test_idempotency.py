"""Reservations of idempotency keys: one that outlived its lease touches nobody else's."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from windlass.engines.embedded.idempotency import EmbeddedIdempotency
from windlass.engines.embedded.namespace import Namespace
from windlass.ports.api import Response
from windlass.ports.clock import ManualClock
from windlass.ports.idempotency import Fresh, Running, Seen

LATE, ANSWER = Response(200, [], b"late"), Response(201, [("x-a", "b")], b"answer")


class Keys:
    """One key, and a clock to move."""

    def __init__(self, home: Path) -> None:
        self.clock = ManualClock()
        self.namespace = Namespace(home, clock=self.clock)
        self.port = EmbeddedIdempotency(self.namespace)

    def begin(self) -> Fresh | Running | Seen:
        return self.port.begin("scope", "key", b"print", 11)

    def reserve(self) -> Fresh:
        begun = self.begin()
        assert isinstance(begun, Fresh)
        return begun

    def pass_time(self, seconds: float) -> None:
        self.clock.advance(timedelta(seconds=seconds))


@pytest.fixture
def keys(tmp_path: Path) -> Iterator[Keys]:
    made = Keys(tmp_path)
    yield made
    made.namespace.close()


def test_a_late_failure_does_not_free_the_key_for_a_third_request(keys: Keys) -> None:
    first = keys.reserve()
    keys.pass_time(11)
    second = keys.reserve()
    keys.port.abandon("scope", "key", first)
    assert isinstance(keys.begin(), Running)
    keys.port.finish("scope", "key", second, ANSWER, 60)
    assert keys.begin() == Seen(True, ANSWER)


def test_a_late_answer_does_not_replace_another(keys: Keys) -> None:
    first = keys.reserve()
    keys.pass_time(11)
    second = keys.reserve()
    keys.port.finish("scope", "key", first, LATE, 60)
    assert isinstance(keys.begin(), Running)
    keys.port.finish("scope", "key", second, ANSWER, 60)
    keys.port.finish("scope", "key", first, LATE, 60)
    assert keys.begin() == Seen(True, ANSWER)


def test_a_late_answer_is_kept_when_nobody_took_the_key(keys: Keys) -> None:
    first = keys.reserve()
    keys.pass_time(12)
    keys.port.finish("scope", "key", first, LATE, 60)
    assert keys.begin() == Seen(True, LATE)


def test_who_failed_in_time_frees_the_key(keys: Keys) -> None:
    keys.port.abandon("scope", "key", keys.reserve())
    keys.reserve()


def test_a_process_that_ended_frees_its_own_keys_only(keys: Keys) -> None:
    other = EmbeddedIdempotency(keys.namespace, "slot-2")
    keys.reserve()
    mine = other.begin("scope", "another", b"print", 11)
    assert isinstance(mine, Fresh)
    other.release("main")
    assert isinstance(other.begin("scope", "another", b"print", 11), Running)
    assert isinstance(other.begin("scope", "key", b"print", 11), Fresh), "the one of the process that ended is free"
    other.release("main")
    assert isinstance(keys.begin(), Running), "it belongs to who took it since"
    keys.port.release_all()
    assert isinstance(keys.begin(), Fresh)


def test_answers_outlive_the_process_that_gave_them(keys: Keys) -> None:
    keys.port.finish("scope", "key", keys.reserve(), ANSWER, 60)
    keys.port.release("main")
    keys.port.release_all()
    assert keys.begin() == Seen(True, ANSWER)
