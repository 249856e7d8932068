"""What a queue does with messages: at least once each, in time, and aside when they cannot be handled."""

from collections import Counter
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest

from tests.conformance.plugin import Start
from tests.conformance.post import (
    VISIBILITY,
    Count,
    Job,
    attempts,
    batched,
    brief,
    counts,
    first,
    jobs,
    later,
    names,
    noted,
    ordered,
    plain,
    post,
    windowed,
)
from windlass import InvalidItem, Message, System, now
from windlass.testing import Driver

MOST = 262_144


@pytest.fixture
def app(start: Start) -> Driver:
    return start(post)


# Delivery


def test_a_message_is_delivered_with_what_is_known_of_it(app: Driver) -> None:
    with app.bound():
        sent_at = now()
        id = jobs.send(Job("a"))
    assert noted(app, "jobs") == []
    app.settle()
    [delivery] = noted(app, "jobs")
    assert (delivery.name, delivery.attempt, delivery.id, delivery.group) == ("a", 1, id, None)
    assert abs(delivery.sent_at - sent_at) < timedelta(seconds=2)
    app.advance(timedelta(days=1))
    assert len(noted(app, "jobs")) == 1


def test_a_consumer_may_take_the_message_itself(app: Driver) -> None:
    with app.bound():
        plain.send(Job("a"))
    app.settle()
    with app.bound():
        assert counts.get("plain/a") == Count("plain/a", 1)


def test_many_are_sent_at_once_and_each_is_delivered(app: Driver) -> None:
    with app.bound():
        ids = jobs.send_many([Job(f"{n}") for n in range(25)])
        assert jobs.send_many([]) == []
    assert len(set(ids)) == 25
    app.settle()
    assert {(d.name, d.id) for d in noted(app, "jobs")} == {(f"{n}", id) for n, id in enumerate(ids)}


def test_a_batch_has_at_most_its_size(app: Driver) -> None:
    with app.bound():
        batched.send_many([Job(f"{n}") for n in range(12)])
    app.settle()
    seen = noted(app, "batched")
    assert {delivery.name for delivery in seen} == {f"{n}" for n in range(12)}
    assert max(delivery.batch for delivery in seen) <= 5


def test_a_message_may_be_any_text(app: Driver) -> None:
    text = 'quote " backslash \\ NUL \x00 snowman \N{SNOWMAN} clef \N{MUSICAL SYMBOL G CLEF} line\u2028'
    with app.bound():
        jobs.send(Job(text))
    app.settle()
    assert names(app, "jobs") == [text]


# Time


def test_a_delay_hides_a_message_first(app: Driver) -> None:
    with app.bound():
        jobs.send(Job("in two minutes"), delay=timedelta(minutes=2))
        jobs.send_many([Job("in three")], delay=timedelta(minutes=3))
        later.send(Job("as the queue says"))
        later.send(Job("at once"), delay=timedelta(0))
    app.settle()
    assert names(app, "jobs") == []
    assert names(app, "later") == ["at once"]
    app.advance(timedelta(seconds=61))
    assert names(app, "later") == ["at once", "as the queue says"]
    assert names(app, "jobs") == []
    app.advance(timedelta(seconds=60))
    assert names(app, "jobs") == ["in two minutes"]
    app.advance(timedelta(seconds=60))
    assert names(app, "jobs") == ["in two minutes", "in three"]


def test_a_failed_message_comes_again_after_the_visibility_timeout(app: Driver) -> None:
    with app.bound():
        id = jobs.send(Job("a", failures=2))
    app.settle()
    app.advance(VISIBILITY - timedelta(seconds=1))
    assert attempts(app, "jobs") == [("a", 1)]
    app.advance(timedelta(seconds=2))
    assert attempts(app, "jobs") == [("a", 1), ("a", 2)]
    app.advance(timedelta(hours=1))
    assert attempts(app, "jobs") == [("a", 1), ("a", 2), ("a", 3)]
    assert {delivery.id for delivery in noted(app, "jobs")} == {id}
    assert app.queue("jobs").stats().dead == 0


def test_a_window_gathers_a_batch(app: Driver) -> None:
    with app.bound():
        windowed.send_many([Job("a"), Job("b")])
    app.settle()
    assert names(app, "windowed") == []
    app.advance(timedelta(seconds=21))
    assert [(d.name, d.batch) for d in noted(app, "windowed")] == [("a", 2), ("b", 2)]
    with app.bound():
        windowed.send_many([Job("c"), Job("d"), Job("e")])
    app.settle()
    assert {(d.name, d.batch) for d in noted(app, "windowed")[2:]} == {("c", 3), ("d", 3), ("e", 3)}


def test_a_message_older_than_the_retention_is_dropped(app: Driver) -> None:
    with app.bound():
        brief.send(Job("a", failures=1000))
    app.advance(timedelta(minutes=4))
    before = len(noted(app, "brief"))
    assert before >= 4
    app.advance(timedelta(hours=1))
    assert before <= len(noted(app, "brief")) <= before + 2
    assert app.queue("brief").peek(10, dead=False) == []
    assert app.queue("brief").peek(10, dead=True) == []


# Failures


def test_a_poison_message_goes_to_the_dead_letter_queue(app: Driver) -> None:
    with app.bound():
        id = jobs.send(Job("poison", failures=99))
        jobs.send(Job("good"))
    app.advance(timedelta(hours=1))
    assert sorted(attempts(app, "jobs")) == [("good", 1), ("poison", 1), ("poison", 2), ("poison", 3)]
    queue = app.queue("jobs")
    assert (queue.stats().dead, queue.stats().waiting) == (1, 0)
    [dead] = queue.peek(10, dead=True)
    assert b'"poison"' in dead.body
    assert dead.id == id
    assert dead.attempts == 3
    assert dead.reason is not None
    assert "poison cannot be done yet" in dead.reason


def test_dead_letters_are_redriven_with_all_their_attempts(app: Driver) -> None:
    with app.bound():
        jobs.send_many([Job("a", failures=5), Job("b", failures=3)])
    app.advance(timedelta(hours=1))
    queue = app.queue("jobs")
    assert queue.stats().dead == 2
    assert queue.redrive(1) == 1
    assert queue.redrive(None) == 1
    assert queue.redrive(None) == 0
    app.advance(timedelta(hours=1))
    assert queue.stats().dead == 0
    seen = attempts(app, "jobs")
    assert [attempt for name, attempt in seen if name == "a"] == [1, 2, 3, 1, 2, 3]
    assert [attempt for name, attempt in seen if name == "b"] == [1, 2, 3, 1]


def test_only_the_failed_messages_of_a_batch_come_again(app: Driver) -> None:
    with app.bound():
        batched.send_many([Job("a"), Job("b", failures=1), Job("c"), Job("d", failures=9)])
    app.advance(timedelta(hours=1))
    seen = Counter(names(app, "batched"))
    assert seen == {"a": 1, "b": 2, "c": 1, "d": 3}
    [dead] = app.queue("batched").peek(10, dead=True)
    assert dead.reason == "d cannot be done yet"


def test_a_batch_that_raises_comes_again_as_a_whole(app: Driver) -> None:
    with app.bound():
        batched.send_many([Job("a"), Job("b", failures=1, padding="raise")])
    app.settle()
    assert app.queue("batched").stats().waiting == 0
    app.advance(timedelta(hours=1))
    assert all(count == 2 for count in Counter(names(app, "batched")).values())
    assert app.queue("batched").stats().dead == 0


def test_a_failure_is_logged_with_its_trace(app: Driver) -> None:
    with app.bound():
        jobs.send(Job("a", failures=1))
    app.settle()
    [line] = [line for line in app.logs if "work failed on message" in line.message]
    assert "ValueError: a cannot be done yet" in line.message
    assert line.trace_id


@dataclass
class Old:
    count: int


@dataclass
class New:
    count: str


def depot(kind: type[Any]) -> tuple[System, Any]:
    """A system whose messages are `kind`: what the one sent, the other cannot read."""
    system = System("depot")
    inbox = system.queue("inbox", kind, max_attempts=2)
    kept = system.table("kept", Count, key="name")

    def unpack(message: Message[Any]) -> None:
        kept.put(Count(str(message.body.count)))

    unpack.__annotations__["message"] = Message[kind]  # type: ignore[valid-type]
    inbox.consumer(uses=[kept.put])(unpack)
    return system, inbox


def test_a_message_that_cannot_be_read_harms_no_other(start: Start) -> None:
    old, inbox = depot(Old)
    before = start(old)
    with before.bound():
        inbox.send(Old(1), delay=timedelta(minutes=1))
    before.close()
    new, inbox = depot(New)
    after = start(new)
    with after.bound():
        inbox.send(New("fine"), delay=timedelta(minutes=1))
    after.advance(timedelta(hours=1))
    with after.bound():
        assert new.resources["kept"].scan().items == [Count("fine")]  # type: ignore[attr-defined]
    [dead] = after.queue("inbox").peek(10, dead=True)
    assert dead.body == b'{"count":1}'
    assert dead.reason is not None
    assert "the message is not a New" in dead.reason


# Operating


def test_stats_count_what_waits_is_delayed_in_flight_and_dead(app: Driver) -> None:
    queue = app.queue("jobs")
    with app.bound():
        jobs.send_many([Job("a"), Job("b")])
        jobs.send(Job("c"), delay=timedelta(minutes=10))
    stats = queue.stats()
    assert (stats.waiting, stats.delayed, stats.in_flight, stats.dead) == (2, 1, 0, 0)
    app.settle()
    with app.bound():
        jobs.send(Job("d", failures=99))
    app.settle()
    stats = queue.stats()
    # A failed message is in flight until its visibility timeout ends.
    assert (stats.waiting, stats.delayed, stats.in_flight, stats.dead) == (0, 1, 1, 0)
    app.advance(timedelta(hours=1))
    stats = queue.stats()
    assert (stats.waiting, stats.delayed, stats.in_flight, stats.dead, stats.oldest_age) == (0, 0, 0, 1, 0.0)


def test_peek_shows_messages_and_receives_none(app: Driver) -> None:
    with app.bound():
        ids = later.send_many([Job("a"), Job("b"), Job("c")])
    seen = app.queue("later").peek(2, dead=False)
    assert [(message.id, message.attempts) for message in seen] == [(id, 0) for id in ids[:2]]
    assert b'"a"' in seen[0].body
    assert app.queue("later").stats().delayed == 3
    app.advance(timedelta(minutes=2))
    assert sorted(attempts(app, "later")) == [("a", 1), ("b", 1), ("c", 1)]


def test_a_purge_removes_all_messages_of_one_side(app: Driver) -> None:
    with app.bound():
        jobs.send(Job("dead", failures=99))
    app.advance(timedelta(hours=1))
    with app.bound():
        jobs.send_many([Job("a"), Job("b")], delay=timedelta(minutes=1))
    queue = app.queue("jobs")
    assert queue.purge(dead=False) == 2
    assert queue.stats().dead == 1
    app.advance(timedelta(minutes=5))
    assert set(names(app, "jobs")) == {"dead"}
    assert queue.purge(dead=True) == 1
    assert queue.redrive(None) == 0


# What may be sent


def test_a_message_may_have_256_kib_and_not_a_byte_more(app: Driver) -> None:
    room = MOST - len('{"name":"a","failures":0,"padding":""}')
    with app.bound():
        jobs.send(Job("a", padding="\N{SNOWMAN}" * (room // 3) + "x" * (room % 3)))
        with pytest.raises(InvalidItem, match="262,145 bytes"):
            jobs.send(Job("b", padding="x" * (room + 1)))
        with pytest.raises(InvalidItem):
            jobs.send_many([Job("c"), Job("d", padding="x" * (room + 1))])
    app.settle()
    assert names(app, "jobs") == ["a"]


@pytest.mark.parametrize(
    ("queue", "options"),
    [
        pytest.param(jobs, {"delay": timedelta(minutes=15, seconds=1)}, id="long_delay"),
        pytest.param(jobs, {"delay": timedelta(seconds=-1)}, id="negative_delay"),
        pytest.param(jobs, {"group": "g"}, id="group_without_fifo"),
        pytest.param(jobs, {"dedupe": "d"}, id="dedupe_without_fifo"),
        pytest.param(ordered, {}, id="no_group"),
        pytest.param(ordered, {"group": "g"}, id="no_dedupe"),
        pytest.param(ordered, {"group": "", "dedupe": "d"}, id="empty_group"),
        pytest.param(ordered, {"group": "g" * 129, "dedupe": "d"}, id="long_group"),
        pytest.param(ordered, {"group": "g", "dedupe": "d" * 129}, id="long_dedupe"),
        pytest.param(ordered, {"group": "g", "dedupe": ""}, id="empty_dedupe"),
        pytest.param(ordered, {"group": "g", "dedupe": "d", "delay": timedelta(0)}, id="delay_with_fifo"),
        pytest.param(ordered, {"group": "g h", "dedupe": "d"}, id="group_with_a_space"),
        pytest.param(ordered, {"group": "g", "dedupe": "\N{SNOWMAN}"}, id="dedupe_beyond_ascii"),
    ],
)
def test_what_sqs_does_not_take_is_refused(app: Driver, queue: Any, options: dict[str, Any]) -> None:
    with app.bound(), pytest.raises(InvalidItem):
        queue.send(Job("a"), **options)


def test_a_message_of_another_type_is_refused(app: Driver) -> None:
    wrong: Any = Count("a")
    number: Any = 1
    with app.bound():
        with pytest.raises(InvalidItem, match="holds Job, not Count"):
            jobs.send(wrong)
        with pytest.raises(InvalidItem, match="str"):
            jobs.send(Job(number))
        with pytest.raises(InvalidItem):
            jobs.send(Job("\ud800"))


# Chains


def test_a_consumer_may_send_on(app: Driver) -> None:
    with app.bound():
        first.send_many([Job("a"), Job("b")])
    app.settle()
    assert sorted(names(app, "second")) == ["a, attempt 1", "b, attempt 1"]


def test_what_a_consumer_sent_before_it_failed_is_sent(app: Driver) -> None:
    with app.bound():
        first.send(Job("a", failures=1))
    app.settle()
    assert names(app, "second") == ["a, attempt 1"]
    app.advance(timedelta(minutes=1))
    assert names(app, "second") == ["a, attempt 1", "a, attempt 2"]


# What stays


def test_messages_outlive_the_engine(start: Start) -> None:
    before = start(post)
    with before.bound():
        jobs.send(Job("a"))
        jobs.send(Job("b", failures=1))
        later.send(Job("c"))
    before.close()
    after = start(post)
    after.advance(timedelta(hours=1))
    assert Counter(names(after, "jobs")) == {"a": 1, "b": 2}
    assert names(after, "later") == ["c"]
