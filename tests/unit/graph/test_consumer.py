"""What functions take; the refusals are read in test_check.py."""

from dataclasses import dataclass
from typing import Any

import pytest

from windlass.errors import DeclarationError
from windlass.graph.consumer import receives, takes_tick
from windlass.model.queue import Batch, Message
from windlass.ports.schedule import Tick


@dataclass
class Job:
    id: str


def one(job: Job) -> None: ...
def body(body: Job) -> None: ...
def message(job: Message[Job]) -> None: ...
def batch(jobs: Batch[Job]) -> None: ...
def quoted(jobs: "Batch[Job]") -> None: ...
def nothing() -> None: ...
def tick(tick: Tick) -> None: ...
def unresolved(job: "Nowhere") -> None: ...  # type: ignore[name-defined]  # noqa: F821


@pytest.mark.parametrize(
    ("function", "style"),
    [(one, "one"), (body, "one"), (message, "message"), (batch, "batch"), (quoted, "batch")],
    ids=lambda value: getattr(value, "__name__", value),
)
def test_the_annotation_says_how_a_consumer_receives(function: Any, style: str) -> None:
    assert receives(function, Job, "shop.work") == style


def test_a_task_may_take_its_tick() -> None:
    assert not takes_tick(nothing, "shop.work")
    assert takes_tick(tick, "shop.work")


def test_an_annotation_that_cannot_be_read() -> None:
    with pytest.raises(DeclarationError, match="an annotation cannot be read: name 'Nowhere' is not defined"):
        receives(unresolved, Job, "shop.work")
