"""Recordings of calls: reading them, and deliveries between the recorded sizes."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.synth.recordings import call, recorded, recording, shop
from windlass.errors import LoadError, NotFound
from windlass.synth.recording import Recorded, Sample, path_of, read


def of_sizes(*sizes: int) -> Recorded:
    """A handler that has one call a delivery, and one a message."""
    return Recorded(
        samples=[
            Sample(
                messages=size,
                own_ms=1 + size,
                calls=[
                    call("dynamodb", "GetItem", "orders", items=1, bytes=10),
                    call("dynamodb", "PutItem", "orders", count=size, items=size, bytes=20 * size),
                ],
            )
            for size in sizes
        ]
    )


@given(messages=st.floats(1, 10_000), sizes=st.sampled_from([(1, 10), (10, 1), (1, 10, 100), (3, 50)]))
def test_a_delivery_of_another_size_is_on_the_line_through_the_samples(messages: float, sizes: tuple[int, ...]) -> None:
    sample = of_sizes(*sizes).sample(messages)
    once, each = sample.calls
    assert once.count == pytest.approx(1)
    assert once.items == pytest.approx(1)
    assert each.count == pytest.approx(messages)
    assert each.bytes == pytest.approx(20 * messages)
    assert sample.own_ms == pytest.approx(1 + messages)


def test_a_single_sample_is_taken_for_so_much_a_message() -> None:
    found = of_sizes(10).sample(5)
    assert [one.count for one in found.calls] == [0.5, 5]
    assert of_sizes(10).sample(10) == of_sizes(10).samples[0]


def test_a_call_that_only_one_sample_has_grows_from_nothing() -> None:
    samples = [Sample(own_ms=1), Sample(messages=11, own_ms=1, calls=[call("sqs", "SendMessage", "jobs", count=10)])]
    found = Recorded(samples=samples).sample(6)
    assert [one.count for one in found.calls] == [5]


def test_a_recording_is_read_as_it_was_written(tmp_path: Path) -> None:
    file = tmp_path / "calls.json"
    file.write_bytes(recording().encode())
    assert read(file, shop()) == recording()
    assert recording().encode().endswith(b"}\n")


def test_the_file_is_beside_the_declaration(tmp_path: Path) -> None:
    assert path_of(tmp_path) == tmp_path / "calls.json"
    assert path_of(tmp_path / "system.py") == tmp_path / "calls.json"
    assert path_of(tmp_path / "app.py") == tmp_path / "app.calls.json"


def test_a_system_without_a_recording_is_refused_saying_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match=r"no recording of what shop calls: .*\n  fix: record it: tests/aws/calls\.py"):
        read(tmp_path / "calls.json", shop())


@pytest.mark.parametrize(
    ("content", "says"),
    [
        pytest.param(b"{", "is no recording of calls", id="cut_off"),
        pytest.param(b"\xff", "is no recording of calls", id="no_text"),
        pytest.param(b'{"system": "shop"}', "is no recording of calls", id="incomplete"),
        pytest.param(recording().encode().replace(b'"version": 1', b'"version": 2'), "has version 2", id="version"),
        pytest.param(recording().encode().replace(b'"shop"', b'"desk"'), "is of desk, not of shop", id="other_system"),
        pytest.param(recording().encode().replace(b'"pack"', b'"wrap"'), "lacks pack", id="renamed"),
        pytest.param(recording(gone=recorded()).encode(), "has gone, which is gone", id="unknown"),
        pytest.param(recording(pack=Recorded(samples=[])).encode(), "has no samples of pack", id="empty"),
        pytest.param(recording(pack=of_sizes(2, 2)).encode(), "no samples of pack, or two of one size", id="twice"),
        pytest.param(recording(pack=of_sizes(0, 2)).encode(), "or one of no message", id="nothing"),
    ],
)
def test_a_recording_that_does_not_fit_is_refused(tmp_path: Path, content: bytes, says: str) -> None:
    file = tmp_path / "calls.json"
    file.write_bytes(content)
    with pytest.raises(LoadError, match=says) as refused:
        read(file, shop())
    assert "\n  fix: record it" in str(refused.value)
