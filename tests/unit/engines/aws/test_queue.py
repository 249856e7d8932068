"""Queues on SQS: what SQS is asked for, and what comes of its answers. Against moto."""

import json
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.engines.aws.aws_peer import ACCOUNT, REGION, AwsPeer, clients_of, moto_server
from windlass import System
from windlass.dispatch.metrics import Metrics
from windlass.engines.aws.clients import Clients
from windlass.engines.aws.queue import AwsQueue, trace_header, trace_in
from windlass.engines.aws.stage import Stage
from windlass.errors import Denied, EngineUnavailable, InvalidItem
from windlass.model.queue import Queue
from windlass.ports.binding import Invocation, invoked
from windlass.ports.clock import ManualClock
from windlass.ports.queue import Outgoing
from windlass.ports.telemetry import Origin

TRACE, SPAN = "5840652" + "0a006649127e371903a2de979", "4c721bf33e3caf8f"


@dataclass
class Job:
    name: str


class Stands(NamedTuple):
    """What stands in for AWS: the clients of moto, and those of a peer before it."""

    direct: Clients
    peer: AwsPeer
    through: Clients


class World:
    """A queue and its dead-letter queue in moto, each world's its own. Its calls go through the peer."""

    def __init__(self, stands: Stands, **options: Any) -> None:
        self.peer, self.clients = stands.peer.begin(), stands.through
        self.system = System("shop")
        self.model: Queue[Job] = self.system.queue("jobs", Job, **options)
        self.clock, self.pauses = ManualClock(datetime.now(UTC)), list[float]()
        self.metrics = Metrics(self.clock)
        made = stands.direct.client("sqs")
        stage = Stage("shop", f"t{uuid.uuid4().hex[:10]}", REGION, ACCOUNT)
        fifo = {"FifoQueue": "true"} if self.model.fifo else {}
        self.dead = made.create_queue(
            QueueName=stage.queue("jobs", fifo=self.model.fifo, dead=True), Attributes={**fifo}
        )["QueueUrl"]
        arn = made.get_queue_attributes(QueueUrl=self.dead, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
        redrive = json.dumps({"deadLetterTargetArn": arn, "maxReceiveCount": self.model.max_attempts})
        self.url = made.create_queue(
            QueueName=stage.queue("jobs", fifo=self.model.fifo), Attributes={"RedrivePolicy": redrive, **fifo}
        )["QueueUrl"]
        told = {"WINDLASS_JOBS_URL": self.url, "WINDLASS_JOBS_DEADURL": self.dead}
        self.stage = Stage("shop", stage.name, REGION, ACCOUNT, told)
        self.sqs = made
        self.queue = AwsQueue(self.model, self.stage, self.clients, self.clock, self.metrics, pause=self.pauses.append)

    def received(self, count: int = 10) -> list[Any]:
        answer = self.sqs.receive_message(
            QueueUrl=self.url, MaxNumberOfMessages=count, VisibilityTimeout=0, MessageSystemAttributeNames=["All"]
        )
        return list(answer.get("Messages", []))

    def kill(self, *names: str) -> None:
        """Puts letters into the dead-letter queue."""
        for name in names:
            more = {"MessageGroupId": "g", "MessageDeduplicationId": name} if self.model.fifo else {}
            self.sqs.send_message(QueueUrl=self.dead, MessageBody=json.dumps({"name": name}), **more)


@pytest.fixture(scope="module")
def stands() -> Iterator[Stands]:
    with moto_server() as moto:
        peer = AwsPeer(moto)
        with peer.listening() as endpoint:
            yield Stands(clients_of(moto), peer, clients_of(endpoint))


@pytest.fixture
def world(stands: Stands) -> World:
    return World(stands)


@pytest.fixture
def fifo(stands: Stands) -> World:
    return World(stands, fifo=True)


def out(*names: str) -> list[Outgoing]:
    return [Outgoing(json.dumps({"name": name}).encode()) for name in names]


def names_of(messages: Sequence[Any]) -> list[str]:
    return [json.loads(message.body)["name"] for message in messages]


def failing(*codes: tuple[str, str, bool]) -> Callable[[dict[str, Any]], tuple[int, dict[str, Any]] | None]:
    """An answer of SQS that takes no message: `codes` has the entry's id, the code and whose fault it is; the rest
    pass."""
    left = list(codes)

    def answer(asked: dict[str, Any]) -> tuple[int, dict[str, Any]] | None:
        if not left:
            return None
        refused = {id: {"Id": id, "Code": code, "SenderFault": sender} for id, code, sender in left}
        left.clear()
        done = [
            {"Id": entry["Id"], "MessageId": f"id of {entry['Id']}"}
            for entry in asked["Entries"]
            if entry["Id"] not in refused
        ]
        return 200, {"Successful": done, "Failed": list(refused.values())}

    return answer


# Sending


def test_messages_are_sent_in_tens_and_their_ids_are_in_order(world: World) -> None:
    ids = world.queue.send(out(*map(str, range(23))))
    assert [len(asked["Entries"]) for _, asked in world.peer.asked] == [10, 10, 3]
    found: dict[str, str] = {}
    while len(found) < 23:
        messages = world.sqs.receive_message(QueueUrl=world.url, MaxNumberOfMessages=10)["Messages"]
        found |= {message["MessageId"]: json.loads(message["Body"])["name"] for message in messages}
    assert [found[id] for id in ids] == [str(number) for number in range(23)]
    assert world.metrics.value("messages_sent", system="shop", queue="jobs") == 23


def test_a_request_has_256_kib_at_most(world: World) -> None:
    world.queue.send(out(*["x" * 100_000] * 5, "y" * (262_144 - len('{"name": ""}'))))
    sizes = [sum(len(entry["MessageBody"]) for entry in asked["Entries"]) for _, asked in world.peer.asked]
    assert [len(asked["Entries"]) for _, asked in world.peer.asked] == [2, 2, 1, 1]
    assert max(sizes) == 262_144


def test_more_than_is_bearable_at_once_is_refused_and_nothing_is_sent(world: World) -> None:
    many = [Outgoing(b"x" * 262_144)] * 101
    with pytest.raises(InvalidItem, match="in parts of at most 25 MiB"):
        world.queue.send(many)
    assert world.queue.stats().waiting == 0


@pytest.mark.parametrize(("delay", "seconds"), [(0.0, 0), (0.2, 1), (90.0, 90), (899.5, 900)])
def test_a_delay_is_in_whole_seconds_that_are_not_less(world: World, delay: float, seconds: int) -> None:
    world.queue.send([Outgoing(b"{}", delay), Outgoing(b"{}")])
    [(_, asked)] = world.peer.asked
    assert [entry.get("DelaySeconds") for entry in asked["Entries"]] == [seconds, None]


def test_a_fifo_message_has_its_group_and_what_it_is_known_by(fifo: World) -> None:
    fifo.queue.send([Outgoing(b"{}", None, "g", "d"), Outgoing(b"[]", None, "h", "e")])
    [(_, asked)] = fifo.peer.asked
    assert asked["Entries"] == [
        {"Id": "0", "MessageBody": "{}", "MessageGroupId": "g", "MessageDeduplicationId": "d"},
        {"Id": "1", "MessageBody": "[]", "MessageGroupId": "h", "MessageDeduplicationId": "e"},
    ]


def test_a_single_message_is_sent_by_itself(world: World) -> None:
    [id] = world.queue.send([Outgoing(b"{}", 0.0)])
    asked = {"QueueUrl": world.url, "MessageBody": "{}", "DelaySeconds": 0}
    assert world.peer.asked == [("SendMessage", asked)]
    assert [message["MessageId"] for message in world.received()] == [id]
    assert world.metrics.value("messages_sent", queue="jobs") == 1


def test_what_sends_it_goes_with_a_message(world: World) -> None:
    with invoked(Invocation("shop", "create", {}, world.clock, b"", TRACE, SPAN)):
        world.queue.send(out("a", "b"))
        world.queue.send(out("c"))
    world.queue.send(out("d"))
    many, one, without = (asked for _, asked in world.peer.asked)
    header = "Root=1-58406520-a006649127e371903a2de979;Parent=4c721bf33e3caf8f;Sampled=0"
    told = {"AWSTraceHeader": {"DataType": "String", "StringValue": header}}
    assert [entry["MessageSystemAttributes"] for entry in many["Entries"]] == [told, told]
    assert one["MessageSystemAttributes"] == told
    assert "MessageSystemAttributes" not in without
    found = {message["Body"]: message["Attributes"].get("AWSTraceHeader") for message in world.received()}
    assert (found['{"name": "c"}'], found['{"name": "d"}']) == (header, None)


@pytest.mark.parametrize(
    ("told", "sampled"),
    [
        ("Root=1-58406520-a006649127e371903a2de979;Parent=53995c3f42cd8ad8;Sampled=1;Lineage=1:a87bd80c:0", 1),
        ("Root=1-58406520-a006649127e371903a2de979;Parent=53995c3f42cd8ad8;Sampled=0", 0),
        ("Root=1-58406520-a006649127e371903a2de979", 0),
        ("Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1", 0),
        ("", 0),
    ],
    ids=["recorded", "not_recorded", "not_decided", "another_trace", "unknown"],
)
def test_a_message_says_whether_x_ray_records_its_senders_trace(
    world: World, monkeypatch: pytest.MonkeyPatch, told: str, sampled: int
) -> None:
    monkeypatch.setenv("_X_AMZN_TRACE_ID", told)
    with invoked(Invocation("shop", "create", {}, world.clock, b"", TRACE, SPAN)):
        world.queue.send(out("a"))
    [message] = world.received()
    assert message["Attributes"]["AWSTraceHeader"].endswith(f"Parent={SPAN};Sampled={sampled}")


def test_signs_that_sqs_does_not_take_are_sent_as_json_escapes(world: World) -> None:
    text = "a\ufffeb\uffffc\U0001f33e\u2028"
    world.queue.send([Outgoing(json.dumps({"name": text}, ensure_ascii=False).encode())])
    [message] = world.received()
    assert "\ufffe" not in message["Body"]
    assert "\uffff" not in message["Body"]
    assert json.loads(message["Body"]) == {"name": text}


def test_a_message_that_the_escapes_make_too_long_is_refused(world: World) -> None:
    body = '{"name":"' + "\uffff" * 80_000 + '"}'
    with pytest.raises(InvalidItem, match="480,011 bytes in SQS; the most is 262,144"):
        world.queue.send([Outgoing(body.encode())])


def test_messages_that_sqs_failed_to_take_are_sent_again(world: World) -> None:
    world.peer.answers["SendMessageBatch"] = failing(("1", "InternalError", False), ("2", "KmsThrottled", False))
    ids = world.queue.send(out("a", "b", "c", "d"))
    assert [[entry["Id"] for entry in asked["Entries"]] for _, asked in world.peer.asked] == [
        ["0", "1", "2", "3"],
        ["1", "2"],
    ]
    assert (ids[0], ids[3]) == ("id of 0", "id of 3")
    assert {message["MessageId"] for message in world.received()} == {ids[1], ids[2]}
    assert len(world.pauses) == 1
    assert world.metrics.value("messages_sent", queue="jobs") == 4


def test_what_sqs_goes_on_refusing_is_unavailable_and_the_rest_is_counted(world: World) -> None:

    def refuse(asked: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        answer = failing(("1", "InternalError", False))(asked)
        assert answer is not None
        return answer

    world.peer.answers["SendMessageBatch"] = refuse
    with pytest.raises(EngineUnavailable, match="SQS did not take 1 of 3: InternalError"):
        world.queue.send(out("a", "b", "c"))
    assert len(world.peer.asked) == 5
    assert world.pauses == sorted(world.pauses)
    assert sum(world.pauses) < 1
    assert world.metrics.value("messages_sent", queue="jobs") == 2


def test_what_the_sender_is_to_blame_for_is_refused_at_once(world: World) -> None:
    said = {"__type": "com.amazonaws.sqs#InvalidMessageContents", "message": "invalid characters"}
    world.peer.answers["SendMessageBatch"] = failing(("0", "InvalidMessageContents", True))
    world.peer.answers["SendMessage"] = lambda asked: (400, said)
    for names in ("ab", "a"):
        with pytest.raises(InvalidItem, match=r"shop\.jobs: SQS does not take the message: InvalidMessageContents"):
            world.queue.send(out(*names))
    assert len(world.peer.asked) == 2


@pytest.mark.parametrize("names", ["a", "ab"])
def test_a_refusal_by_iam_is_denied(world: World, names: str) -> None:
    said = {"__type": "com.amazonaws.sqs#AccessDeniedException", "message": "arn:aws:iam::123456789012:role/x may not"}
    world.peer.answers["SendMessageBatch"] = world.peer.answers["SendMessage"] = lambda asked: (403, said)
    with pytest.raises(Denied, match=r"not granted jobs\.send") as raised:
        world.queue.send(out(*names))
    assert "arn:aws" not in str(raised.value)


def test_a_queue_that_is_gone_is_unavailable(world: World) -> None:
    world.sqs.delete_queue(QueueUrl=world.url)
    with pytest.raises(EngineUnavailable, match=r"shop\.jobs\.send: AWS answered"):
        world.queue.send(out("a"))


def test_a_function_that_was_not_told_of_a_queue_says_so(world: World) -> None:
    bare = Stage("shop", "dev", REGION, ACCOUNT)
    queue = AwsQueue(world.model, bare, world.clients, world.clock, world.metrics)
    with pytest.raises(EngineUnavailable, match="lacks WINDLASS_JOBS_URL"):
        queue.send(out("a"))


# Looking


def test_stats_count_what_waits_is_delayed_in_flight_and_dead(world: World) -> None:
    world.queue.send([*out("a", "b", "c"), Outgoing(b"{}", 600.0)])
    world.sqs.receive_message(QueueUrl=world.url, MaxNumberOfMessages=1, VisibilityTimeout=600)
    world.kill("d", "e")
    stats = world.queue.stats()
    assert (stats.waiting, stats.in_flight, stats.delayed, stats.dead) == (2, 1, 1, 2)
    assert stats.oldest_age == 0.0


def test_the_age_is_cloudwatchs_newest(world: World) -> None:
    dimension = {"Name": "QueueName", "Value": world.stage.queue("jobs", fifo=False)}
    for minutes, value in ((3, 100.0), (2, 160.0), (1, 40.0), (30, 1.0)):
        world.clients.client("cloudwatch").put_metric_data(
            Namespace="AWS/SQS",
            MetricData=[
                {
                    "MetricName": "ApproximateAgeOfOldestMessage",
                    "Dimensions": [dimension],
                    "Timestamp": datetime.fromtimestamp(world.clock.now(), UTC) - timedelta(minutes=minutes),
                    "Value": value,
                }
            ],
        )
    assert world.queue.stats().oldest_age == 0.0, "nothing waits"
    world.queue.send(out("a"))
    assert world.queue.stats().oldest_age == 40.0


def test_peek_shows_messages_and_gives_them_back(world: World) -> None:
    ids = world.queue.send(out(*map(str, range(15))))
    seen = world.queue.peek(12, dead=False)
    assert {message.id for message in seen} <= set(ids)
    assert len(seen) == 12
    assert {message.attempts for message in seen} == {0}
    assert [message.sent_at for message in seen] == sorted(message.sent_at for message in seen)
    assert abs(seen[0].sent_at - world.clock.now()) < 60
    stats = world.queue.stats()
    assert (stats.waiting, stats.in_flight) == (15, 0)
    assert world.queue.peek(0, dead=False) == []


def test_a_peek_counts_as_an_attempt(world: World) -> None:
    world.queue.send(out("a"))
    assert [world.queue.peek(1, dead=False)[0].attempts for _ in range(3)] == [0, 1, 2]


def test_a_dead_letter_keeps_the_attempts_that_it_had(stands: Stands) -> None:
    world = World(stands, max_attempts=2)
    [id] = world.queue.send(out("a"))
    for _ in range(3):
        world.received()
    seen = [world.queue.peek(10, dead=True)[0] for _ in range(4)]
    assert {(message.id, message.attempts, message.reason) for message in seen} == {(id, 2, None)}


def test_peek_of_a_group_is_in_its_order(fifo: World) -> None:
    fifo.queue.send([Outgoing(json.dumps({"name": n}).encode(), None, "g", n) for n in "abc"])
    seen = fifo.queue.peek(10, dead=False)
    assert names_of(seen) == ["a", "b", "c"]
    assert {message.group for message in seen} == {"g"}
    assert names_of(fifo.queue.peek(10, dead=False)) == ["a", "b", "c"]


def test_peek_of_nothing_comes_to_an_end(world: World, fifo: World) -> None:
    assert world.queue.peek(10, dead=False) == []
    assert fifo.queue.peek(10, dead=True) == []


# Mending


def test_redrive_moves_dead_letters_with_all_their_attempts(world: World) -> None:
    world.kill(*map(str, range(14)))
    assert world.queue.redrive(3) == 3
    assert world.queue.stats().dead == 11
    assert world.queue.redrive() == 11
    assert world.queue.redrive() == 0
    stats = world.queue.stats()
    assert (stats.waiting, stats.dead, stats.in_flight) == (14, 0, 0)
    moved = world.queue.peek(20, dead=False)
    assert {message.attempts for message in moved} == {0}
    assert sorted(names_of(moved), key=int) == [str(number) for number in range(14)]
    assert world.metrics.value("messages_sent", queue="jobs") == 0


def test_redrive_does_not_wait_for_the_queues_own_delay(world: World) -> None:
    world.sqs.set_queue_attributes(QueueUrl=world.url, Attributes={"DelaySeconds": "600"})
    world.kill("a")
    assert world.queue.redrive() == 1
    assert (world.queue.stats().waiting, world.queue.stats().delayed) == (1, 0)


def test_redrive_keeps_the_order_of_a_group_and_is_no_duplicate(fifo: World) -> None:
    fifo.queue.send([Outgoing(b'{"name":"a"}', None, "g", "a")])
    fifo.queue.purge(dead=False)
    fifo.kill("a", "b", "c")
    assert fifo.queue.redrive() == 3
    assert names_of(fifo.queue.peek(10, dead=False)) == ["a", "b", "c"]


def test_redrive_takes_the_trace_along(world: World) -> None:
    header = trace_header(Origin(TRACE, SPAN), sampled=True)
    told = {"AWSTraceHeader": {"DataType": "String", "StringValue": header}}
    world.sqs.send_message(QueueUrl=world.dead, MessageBody="{}", MessageSystemAttributes=told)
    assert [message.trace for message in world.queue.peek(1, dead=True)] == [f"{TRACE}-{SPAN}"]
    assert world.queue.redrive() == 1
    [asked] = [asked for operation, asked in world.peer.asked if operation == "SendMessageBatch"]
    assert asked["Entries"][0]["MessageSystemAttributes"] == told


def test_a_letter_that_dies_again_meanwhile_is_not_moved_for_ever(stands: Stands) -> None:
    world = World(stands, max_attempts=1)

    def die(asked: dict[str, Any]) -> None:
        """Consumes as soon as something has been sent, and fails."""
        world.received()
        world.received()

    world.peer.answers["ReceiveMessage"] = die
    world.kill("a", "b")
    assert world.queue.redrive() == 2
    stats = world.queue.stats()
    assert (stats.waiting, stats.dead) == (0, 2)
    assert sorted(names_of(world.queue.peek(10, dead=True))) == ["a", "b"]


def test_what_was_sent_again_is_deleted_though_the_rest_fails(world: World) -> None:
    world.peer.answers["SendMessageBatch"] = failing(("1", "InvalidMessageContents", True))
    world.kill("a", "b", "c")
    with pytest.raises(InvalidItem):
        world.queue.redrive()
    deleted = [len(asked["Entries"]) for operation, asked in world.peer.asked if operation == "DeleteMessageBatch"]
    assert deleted == [2]


def test_a_letter_that_cannot_be_deleted_is_told_of(world: World) -> None:
    fault = {"Id": "0", "Code": "InternalError", "SenderFault": False}
    world.peer.answers["DeleteMessageBatch"] = lambda asked: (200, {"Successful": [], "Failed": [fault]})
    world.kill("a")
    with pytest.raises(EngineUnavailable, match="1 dead letters were sent again and are still in the dead-letter"):
        world.queue.redrive()


def test_a_purge_removes_all_messages_of_one_side(world: World) -> None:
    world.queue.send([*out("a", "b"), Outgoing(b"{}", 600.0)])
    world.kill("c")
    assert world.queue.purge(dead=False) == 3
    stats = world.queue.stats()
    assert (stats.waiting, stats.delayed, stats.dead) == (0, 0, 1)
    assert world.queue.purge(dead=True) == 1
    assert world.queue.stats().dead == 0


def test_a_purge_right_after_another_says_to_wait(world: World) -> None:
    world.queue.purge(dead=False)
    with pytest.raises(EngineUnavailable, match="was purged a moment ago"):
        world.queue.purge(dead=False)


# Traces


@settings(max_examples=50)
@given(
    trace=st.text("0123456789abcdef", min_size=32, max_size=32),
    span=st.text("0123456789abcdef", min_size=16, max_size=16),
)
def test_a_header_says_what_it_was_made_of(trace: str, span: str) -> None:
    assert trace_in(trace_header(Origin(trace, span), sampled=True)) == f"{trace}-{span}"
    assert trace_in(trace_header(Origin(trace, ""), sampled=False)) == trace


@pytest.mark.parametrize(
    ("header", "trace"),
    [
        ("Root=1-58406520-a006649127e371903a2de979", TRACE),
        (
            f"Self=1-0-0; Root=1-58406520-a006649127e371903a2de979; Parent={SPAN};Sampled=0;Lineage=a:1",
            f"{TRACE}-{SPAN}",
        ),
        ("Root=1-58406520-a006649127e371903a2de979;Parent=none", TRACE),
        ("Root=2-58406520-a006649127e371903a2de979", None),
        ("Parent=" + SPAN, None),
        ("nonsense", None),
        ("", None),
        (None, None),
    ],
    ids=["no_span", "more", "bad_span", "other_version", "no_root", "nonsense", "empty", "none"],
)
def test_a_header_of_others_is_read_as_far_as_it_goes(header: str | None, trace: str | None) -> None:
    assert trace_in(header) == trace


@given(st.text())
def test_any_text_is_a_header_or_none(text: str) -> None:
    trace_in(text)


def test_what_is_no_trace_makes_no_header() -> None:
    with pytest.raises(ValueError, match="32 hexadecimal digits"):
        trace_header(Origin("x", SPAN), sampled=False)
