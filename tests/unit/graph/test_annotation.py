"""How annotations are spelled, and what JSON and text can carry."""

from dataclasses import dataclass
from datetime import date, datetime
from enum import Enum
from typing import Annotated, Any, Literal
from uuid import UUID

import pytest
from msgspec import Meta

from windlass.graph.annotation import answer, json_fault, spelled, text_fault, with_article
from windlass.model.api import Reply
from windlass.model.signature import MISSING
from windlass.model.table import Page


@dataclass
class Job:
    id: str


class Colour(Enum):
    RED = "red"


class Opaque:
    pass


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        (str, "str"),
        (Job, "Job"),
        (list[Job], "list[Job]"),
        (Job | None, "Job | None"),
        (Page[Job], "Page[Job]"),
        (dict[str, list[Job]], "dict[str, list[Job]]"),
        (Literal["a.b"], "Literal['a.b']"),
        (Any, "Any"),
        (None, "None"),
        (MISSING, "nothing"),
    ],
    ids=str,
)
def test_a_type_is_spelled_as_it_was_written(kind: Any, text: str) -> None:
    assert spelled(kind) == text


def test_articles() -> None:
    assert [with_article(name) for name in ("Job", "Order", "user_pool", "api")] == [
        "a Job",
        "an Order",
        "a user_pool",
        "an api",
    ]


def test_an_answer_is_what_reply_holds() -> None:
    assert answer(Reply[Job]) is Job
    assert answer(Job | None) == Job | None
    assert answer(Reply) is Any
    assert answer(MISSING) is Any
    assert answer(None) is None


@pytest.mark.parametrize("kind", [Job, Page[Job], None, bytes, Any, dict[str, int], set[UUID], Job | None], ids=str)
def test_json_carries_data(kind: Any) -> None:
    assert json_fault(kind) is None


@pytest.mark.parametrize("kind", [Opaque, list[Opaque], complex, Job | Page[Job]], ids=str)
def test_json_does_not_carry_everything(kind: Any) -> None:
    assert json_fault(kind)


@pytest.mark.parametrize(
    "kind",
    [str, int | None, Annotated[int, Meta(ge=1)], Colour, date | None, datetime, int | str, Literal[1, 2], Any],
    ids=str,
)
def test_text_holds_a_scalar(kind: Any) -> None:
    assert text_fault(kind, many=False) is None
    assert text_fault(list[kind], many=True) is None
    assert text_fault(list[kind] | None, many=True) is None


@pytest.mark.parametrize("kind", [Job, list[str], dict[str, str], str | list[str], tuple[int, str]], ids=str)
def test_text_does_not_hold_more(kind: Any) -> None:
    assert text_fault(kind, many=False) == f"{spelled(kind)} is more than one text can hold"
    assert text_fault(list[kind], many=True) is not None
