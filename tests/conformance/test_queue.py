"""What a queue does with messages: at least once each, in time, and aside when they cannot be handled."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.conformance.conftest import Start
from windlass import Batch, InvalidItem, Message, System, new_id, now
from windlass.testing import Driver

VISIBILITY = timedelta(seconds=30)
MOST = 262_144


@dataclass(frozen=True, slots=True)
class Job:
    """Its first `failures` deliveries fail."""

    name: str
    failures: int = 0
    padding: str = ""


@dataclass(frozen=True, slots=True)
class Count:
    name: str
    value: int = 0


@dataclass(frozen=True, slots=True)
class Delivery:
    """One message as a consumer received it; `order` counts all deliveries."""

    queue: str
    order: int
    name: str
    attempt: int
    id: str
    group: str | None
    sent_at: datetime
    batch: int = 1


post = System("post")
counts = post.table("counts", Count, key="name")
deliveries = post.table("deliveries", Delivery, key="queue", sort="order")
jobs = post.queue("jobs", Job, max_attempts=3)
plain = post.queue("plain", Job)
batched = post.queue("batched", Job, max_attempts=3)
windowed = post.queue("windowed", Job)
later = post.queue("later", Job, delay=timedelta(minutes=1))
brief = post.queue("brief", Job, retention=timedelta(minutes=5), max_attempts=1000)
ordered = post.queue("ordered", Job, fifo=True, max_attempts=3)
content = post.queue("content", Job, fifo=True, deduplicate="content")
first = post.queue("first", Job)
second = post.queue("second", Job)


def received(queue: str, message: Message[Job], batch: int = 1) -> bool:
    """Notes a delivery; whether it is to fail."""
    order = counts.update("order", add={"value": 1}, default=Count("order")).value
    body = message.body
    deliveries.put(
        Delivery(queue, order, body.name, message.attempt, message.id, message.group, message.sent_at, batch)
    )
    seen = counts.update(f"{queue}/{body.name}", add={"value": 1}, default=Count(f"{queue}/{body.name}"))
    return seen.value <= body.failures


RECORDS = [counts.update, deliveries.put]


@jobs.consumer(uses=RECORDS)
def work(message: Message[Job]) -> None:
    if received("jobs", message):
        raise ValueError(f"{message.body.name} cannot be done yet")


@plain.consumer(uses=[counts.update])
def work_plainly(job: Job) -> None:
    counts.update(f"plain/{job.name}", add={"value": 1}, default=Count(f"plain/{job.name}"))


@batched.consumer(uses=RECORDS, batch=5)
def work_together(batch: Batch[Job]) -> None:
    for message in batch:
        if received("batched", message, len(batch)):
            if message.body.padding == "raise":
                raise ValueError("the whole batch is lost")
            batch.fail(message, f"{message.body.name} cannot be done yet")


@windowed.consumer(uses=RECORDS, batch=3, window=timedelta(seconds=20))
def work_slowly(batch: Batch[Job]) -> None:
    for message in batch:
        received("windowed", message, len(batch))


@later.consumer(uses=RECORDS)
def work_later(message: Message[Job]) -> None:
    received("later", message)


@brief.consumer(uses=RECORDS)
def work_briefly(message: Message[Job]) -> None:
    if received("brief", message):
        raise ValueError("not yet")


@ordered.consumer(uses=RECORDS, batch=1)
def work_in_order(message: Message[Job]) -> None:
    if received("ordered", message):
        raise ValueError("not yet")


@content.consumer(uses=RECORDS, batch=10)
def work_by_content(message: Message[Job]) -> None:
    received("content", message)


@first.consumer(uses=[*RECORDS, second.send])
def pass_on(message: Message[Job]) -> None:
    failing = received("first", message)
    second.send(Job(f"{message.body.name}, attempt {message.attempt}"))
    if failing:
        raise ValueError("after it was passed on")


@second.consumer(uses=RECORDS)
def take_over(message: Message[Job]) -> None:
    received("second", message)


@pytest.fixture
def app(start: Start) -> Driver:
    return start(post)


def noted(app: Driver, queue: str) -> list[Delivery]:
    with app.bound():
        return deliveries.query(queue, limit=1000).items


def names(app: Driver, queue: str) -> list[str]:
    return [delivery.name for delivery in noted(app, queue)]


def attempts(app: Driver, queue: str) -> list[tuple[str, int]]:
    return [(delivery.name, delivery.attempt) for delivery in noted(app, queue)]


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
    [line] = [line for line in app.logs if "work failed on a message of jobs" in line.message]
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

    unpack.__annotations__["message"] = Message[kind]
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


# FIFO


def send_in_order(group: str, *messages: Job) -> None:
    for message in messages:
        ordered.send(message, group=group, dedupe=new_id())


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
