"""Reservations of idempotency keys and the answers kept under them, in DynamoDB. Against moto."""

import uuid
from collections.abc import Iterator
from datetime import timedelta
from typing import Any, NamedTuple

import pytest

from tests.unit.engines.aws.aws_peer import ACCOUNT, REGION, AwsPeer, clients_of, moto_server
from windlass.engines.aws.clients import Clients
from windlass.engines.aws.idempotency import AwsIdempotency
from windlass.engines.aws.stage import Stage
from windlass.errors import EngineUnavailable
from windlass.ports.api import Response
from windlass.ports.clock import ManualClock
from windlass.ports.idempotency import Fresh, Running, Seen

LATE, ANSWER = Response(200, [], b"late"), Response(201, [("x-a", "b"), ("x-a", "\xe9")], b"\x00\xffanswer")


class Stands(NamedTuple):
    """What stands in for AWS: the clients of moto, and those of a peer before it."""

    direct: Clients
    peer: AwsPeer
    through: Clients


class Keys:
    """One key, and a clock to move."""

    def __init__(self, stands: Stands) -> None:
        self.clock, self.peer = ManualClock(), stands.peer.begin()
        self.stage = Stage("shop", f"t{uuid.uuid4().hex[:10]}", REGION, ACCOUNT)
        self.port = AwsIdempotency(self.stage, stands.through, self.clock)
        self.dynamodb = stands.direct.client("dynamodb")
        self.dynamodb.create_table(
            TableName=self.stage.idempotency_table,
            KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
            AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
            BillingMode="PAY_PER_REQUEST",
        )

    def begin(self, fingerprint: bytes = b"print", scope: str = "scope", key: str = "key") -> Fresh | Running | Seen:
        return self.port.begin(scope, key, fingerprint, 11)

    def reserve(self) -> Fresh:
        begun = self.begin()
        assert isinstance(begun, Fresh)
        return begun

    def finish(self, fresh: Fresh, response: Response, keep: float = 60) -> None:
        self.port.finish("scope", "key", fresh, response, keep)

    def pass_time(self, seconds: float) -> None:
        self.clock.advance(timedelta(seconds=seconds))

    def items(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.dynamodb.scan(TableName=self.stage.idempotency_table)["Items"]
        return found


@pytest.fixture(scope="module")
def stands() -> Iterator[Stands]:
    with moto_server() as moto:
        peer = AwsPeer(moto)
        with peer.listening() as endpoint:
            yield Stands(clients_of(moto), peer, clients_of(endpoint))


@pytest.fixture
def keys(stands: Stands) -> Keys:
    return Keys(stands)


def test_a_key_is_taken_until_its_request_is_answered(keys: Keys) -> None:
    fresh = keys.reserve()
    keys.pass_time(1.5)
    assert keys.begin() == Running(9.5)
    keys.finish(fresh, ANSWER)
    assert keys.begin() == Seen(True, ANSWER)
    assert keys.begin(b"another") == Seen(False, ANSWER)


def test_an_answer_is_kept_as_long_as_was_asked(keys: Keys) -> None:
    keys.finish(keys.reserve(), ANSWER, 60)
    keys.pass_time(59.5)
    assert keys.begin() == Seen(True, ANSWER)
    keys.pass_time(0.5)
    assert isinstance(keys.begin(), Fresh)


def test_keys_of_other_scopes_are_others(keys: Keys) -> None:
    keys.reserve()
    assert isinstance(keys.begin(scope="scope key", key=""), Fresh)
    assert isinstance(keys.begin(scope="", key="scope key"), Fresh)
    assert isinstance(keys.begin(scope="\ud800" * 5000), Fresh)
    assert isinstance(keys.begin(), Running)


def test_a_late_failure_does_not_free_the_key_for_a_third_request(keys: Keys) -> None:
    first = keys.reserve()
    keys.pass_time(11)
    second = keys.reserve()
    keys.port.abandon("scope", "key", first)
    assert isinstance(keys.begin(), Running)
    keys.finish(second, ANSWER)
    assert keys.begin() == Seen(True, ANSWER)


def test_a_late_answer_does_not_replace_another(keys: Keys) -> None:
    first = keys.reserve()
    keys.pass_time(11)
    second = keys.reserve()
    keys.finish(first, LATE)
    assert isinstance(keys.begin(), Running)
    keys.finish(second, ANSWER)
    keys.finish(first, LATE)
    assert keys.begin() == Seen(True, ANSWER)


def test_a_late_answer_is_kept_when_nobody_took_the_key(keys: Keys) -> None:
    first = keys.reserve()
    keys.pass_time(12)
    keys.finish(first, LATE)
    assert keys.begin() == Seen(True, LATE)


def test_who_failed_in_time_frees_the_key(keys: Keys) -> None:
    keys.port.abandon("scope", "key", keys.reserve())
    assert keys.items() == []
    keys.reserve()


def test_an_answer_that_is_kept_is_not_freed(keys: Keys) -> None:
    fresh = keys.reserve()
    keys.finish(fresh, ANSWER)
    keys.port.abandon("scope", "key", fresh)
    assert keys.begin() == Seen(True, ANSWER)


@pytest.mark.parametrize("size", [0, 360 * 1024, 360 * 1024 + 1, 1_000_000])
def test_an_answer_of_any_size_is_kept_whole(keys: Keys, size: int) -> None:
    response = Response(200, [("x-a", "b" * 8000)], bytes(range(256)) * (size // 256) + b"x" * (size % 256))
    keys.finish(keys.reserve(), response)
    assert keys.begin() == Seen(True, response)


def test_an_answer_that_lost_a_part_is_not_given(keys: Keys) -> None:
    keys.finish(keys.reserve(), Response(200, [], b"x" * 500_000))
    (part,) = (item for item in keys.items() if "status" not in item)
    keys.dynamodb.delete_item(TableName=keys.stage.idempotency_table, Key={"id": part["id"]})
    with pytest.raises(EngineUnavailable, match="lost a part"):
        keys.begin()


def test_dynamodb_may_delete_nothing_that_is_still_wanted(keys: Keys) -> None:
    keys.finish(keys.reserve(), Response(200, [], b"x" * 500_000), 60.5)
    assert len(keys.items()) == 2
    for item in keys.items():
        assert float(item["until"]["N"]) == keys.clock.now() + 60.5
        assert item["expires"]["N"].isdigit()
        assert int(item["expires"]["N"]) > keys.clock.now() + 61


def test_the_table_does_not_name_the_caller(keys: Keys) -> None:
    keys.port.begin("shop/create/ada@example.com", "key-of-ada", b"print", 11)
    assert "ada" not in str(keys.items())


def test_a_reservation_that_was_sent_twice_is_found_to_be_ones_own(keys: Keys) -> None:
    lost: list[dict[str, Any]] = []

    def lose_the_first_answer(asked: dict[str, Any]) -> tuple[int, dict[str, Any]] | None:
        if lost:
            return None
        lost.append(asked)
        item = {name: value for name, value in asked["Item"].items() if name != "fingerprint"}
        keys.dynamodb.put_item(TableName=asked["TableName"], Item={**item, "fingerprint": {"B": b"print"}})
        return 500, {"__type": "InternalServerError"}

    keys.peer.answers["PutItem"] = lose_the_first_answer
    fresh = keys.reserve()
    assert [name for name, _ in keys.peer.asked] == ["PutItem", "PutItem"]
    keys.finish(fresh, ANSWER)
    assert keys.begin() == Seen(True, ANSWER)


def test_what_dynamodb_refuses_is_not_shown(stands: Stands) -> None:
    port = AwsIdempotency(Stage("shop", "nowhere", REGION, ACCOUNT), stands.direct, ManualClock())
    with pytest.raises(EngineUnavailable, match=r"idempotency keys: AWS answered ResourceNotFoundException$"):
        port.begin("scope", "key", b"print", 11)


def test_an_answer_that_cannot_be_kept_is_still_the_answer(stands: Stands, caplog: pytest.LogCaptureFixture) -> None:
    port = AwsIdempotency(Stage("shop", "nowhere", REGION, ACCOUNT), stands.direct, ManualClock())
    port.finish("scope", "key", Fresh("one"), ANSWER, 60)
    port.abandon("scope", "key", Fresh("one"))
    kept, freed = (record.getMessage() for record in caplog.records if record.name == "windlass")
    fault = ": the table of idempotency keys: AWS answered ResourceNotFoundException"
    assert kept == f"an answer was not kept, so a request that is repeated runs again{fault}"
    assert freed == f"the key of a request that failed is taken until its time is over{fault}"
