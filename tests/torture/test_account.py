"""The account finds what is lost, doubled, out of order, miscounted, and what is not where it belongs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import pytest

from tests.torture.account import Posted, Stored, Verdict, judge

MINUTES = ["2024-06-12T09:00:00", "2024-06-12T09:01:00"]


def posted() -> Posted:
    return Posted(
        breaches={"a": ["1"], "b": ["2"]},
        information=["one", "two"],
        unanswered=["three"],
        entries={"good": "good", "bad": "poison", "late": "flaky"},
        steps={"g": 3},
    )


def stored() -> Stored:
    return Stored(
        breaches={"/in/a": ["1"], "/in/b": ["2"]},
        breaches_counted=2,
        information=Counter(["one", "two", "three"]),
        done={"accepted": ["good", "bad", "late"], "recorded": ["good", "late"]},
        totals={"accepted": 3, "recorded": 2, "recorded again": 1},
        dead_entries={"bad": "ValueError: poisoned"},
        steps={"g": 3},
        fired=list(MINUTES),
    )


def test_what_is_as_it_was_promised_is_found_to_be() -> None:
    verdict = judge(posted(), stored(), MINUTES)
    assert verdict.kept, verdict
    assert verdict.acknowledged == 10
    assert next(iter(verdict.lines())) == "acknowledged 10, lost 0 (rate 0), doubled 0"


def test_what_was_killed_at_each_attempt_may_be_dead() -> None:
    found = stored()
    del found.information["one"]
    found.dead_information["one"] = "its handler never came to an end"
    found.done["recorded"].remove("late")
    found.totals["recorded"] = 1
    found.dead_entries["late"] = "TimeoutError: not at the first attempt"
    verdict = judge(posted(), found, MINUTES)
    assert verdict.kept, verdict
    assert verdict.killed_off == 2


@pytest.mark.parametrize(
    ("spoil", "what", "text"),
    [
        pytest.param(lambda s: s.breaches.pop("/in/a"), "lost", "breach a", id="breach_lost"),
        pytest.param(lambda s: s.breaches["/in/a"].append("3"), "doubled", "breach a", id="breach_doubled"),
        pytest.param(lambda s: s.breaches.update({"/in/c": ["3"]}), "misdirected", "/in/c", id="breach_from_nowhere"),
        pytest.param(lambda s: setattr(s, "breaches_counted", 3), "miscounted", "breaches", id="breaches_counted"),
        pytest.param(lambda s: s.information.pop("two"), "lost", "information two", id="information_lost"),
        pytest.param(lambda s: s.information.update(["three"]), "doubled", "three", id="information_doubled"),
        pytest.param(lambda s: s.information.update(["four"]), "misdirected", "four", id="information_from_nowhere"),
        pytest.param(
            lambda s: s.dead_information.update({"two": "KeyError"}), "misdirected", "KeyError", id="information_dead"
        ),
        pytest.param(lambda s: s.done["accepted"].remove("good"), "lost", "good was not noted", id="entry_not_noted"),
        pytest.param(lambda s: s.done["recorded"].remove("good"), "lost", "neither", id="entry_lost"),
        pytest.param(lambda s: s.dead_entries.clear(), "lost", "poison entry bad", id="poison_lost"),
        pytest.param(lambda s: s.done["recorded"].append("bad"), "misdirected", "bad was recorded", id="poison"),
        pytest.param(
            lambda s: s.dead_entries.update({"good": "ValueError: poisoned"}), "misdirected", "good", id="good_poisoned"
        ),
        pytest.param(lambda s: s.totals.update(recorded=3), "miscounted", "recorded: 2 were done, 3", id="total"),
        pytest.param(lambda s: s.steps.update(g=2), "lost", "step g reached 2, posted 3", id="step_lost"),
        pytest.param(lambda s: s.steps.update(g=4), "misdirected", "step g reached 4", id="step_from_nowhere"),
        pytest.param(lambda s: s.done.update({"out of order": ["g 1 3"]}), "disordered", "g 1 3", id="order"),
        pytest.param(lambda s: s.fired.pop(), "lost", "firing at 2024-06-12T09:01:00", id="firing_lost"),
        pytest.param(lambda s: s.fired.append(MINUTES[0]), "doubled", "09:00:00", id="firing_doubled"),
    ],
)
def test_what_is_wrong_is_found(spoil: Callable[[Stored], object], what: str, text: str) -> None:
    found = stored()
    spoil(found)
    verdict: Verdict = judge(posted(), found, MINUTES)
    assert not verdict.kept
    assert any(text in line for line in getattr(verdict, what)), verdict
    assert any(text in line for line in verdict.lines())


def test_an_answer_that_should_never_be_breaks_the_promise() -> None:
    sent = posted()
    sent.surprises.append("/ledger/entries: 500")
    assert not judge(sent, stored(), MINUTES).kept
