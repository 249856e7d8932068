"""Declaring a queue and its consumer: what is refused, and with which words."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest

from windlass import System
from windlass.errors import DeclarationError, InvalidItem
from windlass.model.queue import Queue


@dataclass
class Job:
    name: str
    count: int = 1


def queue(**options: Any) -> Queue[Any]:
    settings: dict[str, Any] = {"message": Job, **options}
    return System("shop").queue("jobs", **settings)


def work(job: Job) -> None: ...


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (
            {"visibility": 30},
            "visibility=30 is not a timedelta\n"
            "  fix: say of what: visibility=timedelta(seconds=...), or minutes=, from datetime",
        ),
        ({"visibility": timedelta(0)}, "visibility=0:00:00 is out of range\n  fix: give 1 second to 12 hours"),
        ({"visibility": timedelta(hours=13)}, "visibility=13:00:00 is out of range\n  fix: give 1 second to 12 hours"),
        ({"max_attempts": 0}, "max_attempts=0 is out of range\n  fix: give 1 to 1000"),
        ({"max_attempts": 1001}, "max_attempts=1001 is out of range\n  fix: give 1 to 1000"),
        ({"retention": timedelta(seconds=59)}, "retention=0:00:59 is out of range\n  fix: give 1 minute to 14 days"),
        ({"delay": timedelta(minutes=16)}, "delay=0:16:00 is out of range\n  fix: give 0 to 15 minutes"),
        ({"deduplicate": "content"}, "deduplicate='content' does not fit\n  fix: fifo=True, deduplicate=\"content\""),
        (
            {"message": str},
            "<class 'str'> cannot be the type of a queue\n"
            "  fix: declare a @dataclass (or a msgspec.Struct) with a type for each field",
        ),
    ],
)
def test_what_is_refused_is_explained(options: dict[str, Any], text: str) -> None:
    with pytest.raises(DeclarationError) as raised:
        queue(**options)
    assert str(raised.value) == f"shop.jobs: {text}"


@pytest.mark.parametrize(
    ("options", "consumer", "text"),
    [
        ({}, {"batch": 0}, "batch=0 is out of range\n  fix: give 1 to 10,000, for a FIFO queue 1 to 10"),
        ({"fifo": True}, {"batch": 11}, "batch=11 is out of range\n  fix: give 1 to 10,000, for a FIFO queue 1 to 10"),
        (
            {},
            {"window": timedelta(seconds=301)},
            "window=0:05:01 is out of range\n  fix: give up to 300 seconds, for FIFO none",
        ),
        (
            {"fifo": True},
            {"window": timedelta(seconds=1)},
            "window=0:00:01 is out of range\n  fix: give up to 300 seconds, for FIFO none",
        ),
        (
            {},
            {"window": 5},
            "window=5 is not a timedelta\n"
            "  fix: say of what: window=timedelta(seconds=...), or minutes=, from datetime",
        ),
        ({}, {"concurrency": 0}, "concurrency=0 is out of range\n  fix: give 1 to 1000"),
    ],
)
def test_what_a_consumer_may_not_is_explained(options: dict[str, Any], consumer: dict[str, Any], text: str) -> None:
    with pytest.raises(DeclarationError) as raised:
        queue(**options).consumer(**consumer)(work)
    assert str(raised.value) == f"shop.jobs consumer: {text}"


@pytest.mark.parametrize("seconds", [0, -1, 31])
def test_a_consumer_ends_within_the_visibility_timeout(seconds: int) -> None:
    with pytest.raises(DeclarationError, match=r"shop\.work: timeout=.* is out of range"):
        queue().consumer(timeout=timedelta(seconds=seconds))(work)


def test_the_visibility_timeout_is_the_consumers_own_up_to_lambdas_limit() -> None:
    made = queue(visibility=timedelta(minutes=2))
    made.consumer()(work)
    assert made.consumers[0].handler.timeout == 120
    made = queue(visibility=timedelta(hours=12))
    made.consumer()(work)
    assert made.consumers[0].handler.timeout == 900


@pytest.mark.parametrize("body", [b"", b"{", b'{"count":1}', b'{"name":1}', b'{"name":"\xff"}', b"[" * 100_000])
def test_a_message_that_does_not_fit_is_refused(body: bytes) -> None:
    with pytest.raises(InvalidItem, match=r"shop\.jobs: the message is not a Job"):
        queue().decode(body)


def test_a_message_has_its_defaults() -> None:
    assert vars(queue().decode(b'{"name":"a","unknown":1}')) == {"name": "a", "count": 1}
