"""The order of a FIFO queue, and the disorder of the others: groups, duplicates, seeds."""

from collections.abc import Sequence
from datetime import timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.conformance.plugin import Start
from tests.conformance.post import Job, attempts, content, jobs, names, noted, ordered, post, send_in_order
from windlass import new_id
from windlass.testing import Driver


@pytest.fixture
def app(start: Start) -> Driver:
    return start(post)


# FIFO


def test_a_group_waits_for_its_failing_head_and_no_other_does(app: Driver) -> None:
    with app.bound():
        send_in_order("a", Job("a1", failures=2), Job("a2"))
        send_in_order("b", Job("b1"), Job("b2"))
    app.settle()
    assert sorted(names(app, "ordered")) == ["a1", "b1", "b2"]
    app.advance(timedelta(hours=1))
    assert [name for name in names(app, "ordered") if name.startswith("a")] == ["a1", "a1", "a1", "a2"]
    assert {delivery.group for delivery in noted(app, "ordered")} == {"a", "b"}


def test_a_dead_head_lets_its_group_go_on(app: Driver) -> None:
    with app.bound():
        send_in_order("a", Job("a1", failures=99), Job("a2"))
    app.advance(timedelta(hours=1))
    assert attempts(app, "ordered") == [("a1", 1), ("a1", 2), ("a1", 3), ("a2", 1)]
    assert app.queue("ordered").stats().dead == 1


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=25)
@given(plan=st.lists(st.tuples(st.sampled_from("ab"), st.integers(0, 2)), max_size=8))
def test_a_group_is_handled_in_the_order_of_sending(app: Driver, plan: Sequence[tuple[str, int]]) -> None:
    run = new_id()
    with app.bound():
        for number, (group, failures) in enumerate(plan):
            send_in_order(run + group, Job(f"{run}{number}", failures))
    app.advance(timedelta(hours=1))
    for group in "ab":
        wanted = [f"{run}{n}" for n, (g, failures) in enumerate(plan) if g == group for _ in range(failures + 1)]
        assert [d.name for d in noted(app, "ordered") if d.group == run + group] == wanted


def test_a_duplicate_within_five_minutes_is_dropped(app: Driver) -> None:
    with app.bound():
        id = ordered.send(Job("a"), group="g", dedupe="d")
        assert ordered.send(Job("again"), group="g", dedupe="d") == id
        assert ordered.send(Job("b"), group="g", dedupe="e") != id
    app.settle()
    app.advance(timedelta(minutes=4))
    with app.bound():
        assert ordered.send(Job("handled already"), group="g", dedupe="d") == id
    app.advance(timedelta(minutes=1, seconds=1))
    with app.bound():
        assert ordered.send(Job("c"), group="g", dedupe="d") != id
    app.settle()
    assert names(app, "ordered") == ["a", "b", "c"]


def test_the_same_content_is_a_duplicate_where_the_queue_says_so(app: Driver) -> None:
    with app.bound():
        id = content.send(Job("a"), group="g")
        assert content.send(Job("a"), group="g") == id
        assert content.send(Job("a"), group="g", dedupe="d") != id
        ids = content.send_many([Job("b"), Job("a"), Job("b")], group="g")
        assert ids[1] == id
        assert ids[0] == ids[2]
    app.settle()
    assert names(app, "content") == ["a", "a", "b"]


# Under a seed


def run_with(start: Start, seed: int | None, state: str) -> list[str]:
    app = start(post, seed=seed, state=state)
    with app.bound():
        jobs.send_many([Job(f"{n}") for n in range(60)])
    app.advance(timedelta(minutes=5))
    assert app.queue("jobs").stats().dead == 0
    return names(app, "jobs")


def test_a_seed_shuffles_and_repeats_deliveries(start: Start) -> None:
    seen = run_with(start, 7, "seeded")
    sent = [f"{n}" for n in range(60)]
    assert set(seen) == set(sent)
    assert len(seen) > len(sent)
    assert list(dict.fromkeys(seen)) != sent


def test_the_same_seed_does_the_same(start: Start) -> None:
    assert run_with(start, 7, "one") == run_with(start, 7, "two")
    assert run_with(start, 8, "three") != run_with(start, 7, "four")


def test_a_seed_leaves_the_order_of_a_group(start: Start) -> None:
    app = start(post, seed=3)
    with app.bound():
        for number in range(12):
            send_in_order("ab"[number % 2], Job(f"{number:02}", failures=number % 3))
    app.advance(timedelta(hours=1))
    for group in "ab":
        seen = [delivery.name for delivery in noted(app, "ordered") if delivery.group == group]
        assert seen == sorted(seen)
