"""A trace, put together from spans that lie in any order, and through the links of batches."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec
import pytest

from windlass.engines.embedded.recorder import span_reader, telemetry_folder
from windlass.engines.embedded.segments import SegmentWriter
from windlass.engines.embedded.trace_tree import Trace, find_trace, is_begin
from windlass.errors import NotFound
from windlass.ports.telemetry import Span

A, B, C, D = (letter * 32 for letter in "abcd")
Write = Callable[..., None]


def span(name: str, trace: str, at: float, parent: str = "", **more: Any) -> Span:
    fields: dict[str, Any] = {"kind": "call", "system": "shop", "seconds": 0.001, "id": name}
    return Span(name=name, trace=trace, start=at, parent=parent, **(fields | more))


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def written(*spans: Span) -> None:
        folder = telemetry_folder(tmp_path)
        with closing(SegmentWriter(folder, "spans", most_bytes=1 << 24, most_seconds=1e6)) as writer:
            writer.write(msgspec.json.Encoder().encode_lines(spans))

    return written


def found(path: Path, wanted: str) -> Trace:
    trace = find_trace(span_reader(path), wanted)
    assert trace is not None
    return trace


def drawn(trace: Trace) -> list[str]:
    return [before + span.name for before, span in trace.lines()]


def test_the_tree_of_a_request_and_its_delivery(tmp_path: Path, write: Write) -> None:
    write(
        span("put", A, 5, "queue"),
        span("send", A, 2, "post"),
        span("post", A, 1, kind="request"),
        span("get", A, 3, "post"),
        span("queue", A, 4, "post", kind="delivery"),
        span("other", B, 1, kind="request"),
    )
    assert drawn(found(tmp_path, A)) == ["post", "├─ send", "├─ get", "└─ queue", "   └─ put"]


def test_a_batch_is_shown_in_each_trace_that_it_comes_from(tmp_path: Path, write: Write) -> None:
    write(span("first", A, 1, kind="request"), span("second", B, 2, kind="request"))
    links = [f"{A}-first", f"{B}-second"]
    write(span("batch", C, 3, kind="delivery", links=links), span("put", C, 4, "batch"))
    write(span("far", D, 5, kind="delivery", links=[f"{C}-batch", "malformed"]))
    assert drawn(found(tmp_path, A)) == ["first", "└─ batch", "   ├─ put", "   └─ far"]
    assert drawn(found(tmp_path, B)) == ["second", "└─ batch", "   ├─ put", "   └─ far"]
    batch = found(tmp_path, C)
    assert drawn(batch) == ["batch", "├─ put", "└─ far"]
    assert batch.causes == links
    assert found(tmp_path, A).causes == []


def test_a_span_whose_cause_is_not_here_stands_by_itself(tmp_path: Path, write: Write) -> None:
    write(span("late", A, 2, "gone"), span("post", A, 1, "of another service", kind="request"))
    assert drawn(found(tmp_path, A)) == ["post", "late"]


def test_spans_that_cause_each_other_are_shown_once(tmp_path: Path, write: Write) -> None:
    write(span("a", A, 1, "b"), span("b", A, 2, "a"), span("self", A, 3, "self"))
    assert drawn(found(tmp_path, A)) == ["a", "└─ b", "self"]


def test_a_very_deep_tree_is_shown(tmp_path: Path, write: Write) -> None:
    write(*(span(f"{number}", A, number, f"{number - 1}") for number in range(3000)))
    assert len(found(tmp_path, A).lines()) == 3000


def test_the_beginning_of_an_id_will_do(tmp_path: Path, write: Write) -> None:
    write(span("one", "abc1" * 8, 1), span("two", "abd1" * 8, 1))
    assert found(tmp_path, "abc").id == "abc1" * 8
    with pytest.raises(NotFound, match="2 traces begin with ab"):
        find_trace(span_reader(tmp_path), "ab")
    assert find_trace(span_reader(tmp_path), "ffff") is None


def test_no_more_traces_are_followed_than_one_can_read(tmp_path: Path, write: Write) -> None:
    write(span("post", A, 0, kind="request"))
    write(*(span(f"{n}", f"{n:032}", n, kind="delivery", links=[f"{A}-post"]) for n in range(1, 100)))
    trace = found(tmp_path, A)
    assert trace.cut_off
    assert len(trace.spans) == 50


def test_what_begins_a_trace() -> None:
    assert is_begin(span("post", A, 1, "elsewhere", kind="request"))
    assert is_begin(span("tick", A, 1, kind="tick"))
    assert is_begin(span("batch", A, 1, kind="delivery", links=[f"{B}-x"]))
    assert not is_begin(span("queue", A, 1, "post", kind="delivery"))
    assert not is_begin(span("get", A, 1))
