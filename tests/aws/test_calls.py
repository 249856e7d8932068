"""The recordings that `windlass cost` reads are what the systems call today."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.aws.calls import RecordingDriver, item_size, without_times
from tests.aws.scenarios import SCENARIOS
from tests.aws.servers import missing
from tests.aws.shared import shared
from windlass.graph.load import load
from windlass.synth.recording import path_of, read

SYSTEMS = Path(__file__).parents[2] / "systems"
REASON = missing()


@pytest.mark.skipif(REASON is not None, reason=f"it {REASON}")
@pytest.mark.parametrize("name", SCENARIOS)
def test_a_recording_is_what_the_system_calls(name: str) -> None:
    folder = SYSTEMS / name
    system = load(folder)
    kind, scenario = SCENARIOS[name]
    with RecordingDriver(system, shared(kind)) as app:
        scenario(app)
        recorded = app.recording()
    kept = read(path_of(folder), system)
    assert without_times(recorded) == without_times(kept), f"record it again: python -m tests.aws.calls {name}"


def test_an_item_has_the_size_that_dynamodb_counts() -> None:
    # https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/CapacityUnitCalculations.html
    assert item_size({"name": {"S": "héllo"}}) == 4 + 6
    assert item_size({"n": {"N": "1234"}}) == 1 + 3
    assert item_size({"n": {"N": "-120"}}) == 1 + 3
    assert item_size({"b": {"BOOL": True}, "x": {"NULL": True}}) == 4
    assert item_size({"l": {"L": [{"S": "ab"}, {"S": "c"}]}}) == 1 + 3 + (1 + 2) + (1 + 1)
    assert item_size({"m": {"M": {"k": {"S": "v"}}}}) == 1 + 3 + 1 + 1 + 1
