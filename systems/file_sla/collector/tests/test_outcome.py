from __future__ import annotations

import json

import pytest

from file_sla_collector.outcome import ExitCode, Outcome, SetAside
from file_sla_collector.scan import Unreadable
from hand_clock import START


def outcome(**fields: object) -> Outcome:
    return Outcome(START, START, **fields)  # type: ignore[arg-type]


# In the order in which one hides the next.
CONDITIONS: list[tuple[dict[str, object], ExitCode]] = [
    ({"spool_error": "full"}, ExitCode.NOT_SPOOLED),
    ({"sign_in_error": "no"}, ExitCode.SIGN_IN),
    ({"unavailable": "down", "pending": 1}, ExitCode.SPOOLED),
    ({"set_aside": [SetAside("x.json", 422, "no")]}, ExitCode.REJECTED),
    ({"unreadable": [Unreadable("in", "/in", "no")]}, ExitCode.UNREADABLE),
    ({"late_files": 3, "sent": 1}, ExitCode.SENT),
]


@pytest.mark.parametrize("first", range(len(CONDITIONS)))
def test_the_exit_code_is_that_of_the_widest_effect(first: int) -> None:
    fields: dict[str, object] = {}
    for condition, _ in CONDITIONS[first:]:
        fields |= condition
    assert outcome(**fields).exit_code == CONDITIONS[first][1]


def test_the_json_of_a_run_has_a_fixed_shape() -> None:
    found = outcome(
        set_aside=[SetAside("x.json", None, "damaged")],
        unreadable=[Unreadable("in", "/in", "no")],
        warnings=["w"],
    ).as_json()
    assert json.loads(json.dumps(found)) == {
        "exit_code": 6,
        "exit": "rejected",
        "started": "2026-03-01T12:00:00.000000Z",
        "finished": "2026-03-01T12:00:00.000000Z",
        "folders": 0,
        "files_checked": 0,
        "late_folders": 0,
        "late_files": 0,
        "files_held_back": 0,
        "posts_spooled": 0,
        "posts_not_spooled": 0,
        "posts_sent": 0,
        "posts_pending": 0,
        "set_aside": [{"name": "x.json", "status": None, "reason": "damaged"}],
        "set_aside_discarded": 0,
        "unreadable": [{"folder": "in", "path": "/in", "reason": "no"}],
        "warnings": ["w"],
        "error": None,
    }


def test_every_problem_has_a_line() -> None:
    lines = outcome(discarded=2, not_spooled=3, spool_error="full", unavailable="down").problems()
    assert lines == [
        "deleted 2 of the oldest files that were set aside",
        "3 posts were not stored; the next run finds their files again",
        "full",
        "down",
    ]
