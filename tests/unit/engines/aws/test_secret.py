"""Secrets in Secrets Manager: what is read, for how long it is kept, and who sets it. Against moto."""

import uuid
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any, NamedTuple

import pytest

from tests.unit.engines.aws.aws_peer import ACCOUNT, REGION, AwsPeer, clients_of, moto_server
from windlass import System
from windlass.engines.aws.clients import Clients
from windlass.engines.aws.secret import AwsSecret
from windlass.engines.aws.stage import Stage
from windlass.errors import Denied, EngineUnavailable, InvalidItem, InvalidState, SecretNotSet
from windlass.ports.clock import ManualClock


class Stands(NamedTuple):
    """What stands in for AWS: the clients of moto, and those of a peer before it."""

    direct: Clients
    peer: AwsPeer
    through: Clients


class World:
    """A secret in moto, without a value so far, each world's its own. Its calls go through the peer."""

    def __init__(self, stands: Stands) -> None:
        self.peer, self._clients, self.clock = stands.peer.begin(), stands.through, ManualClock()
        self._stage = Stage("shop", f"t{uuid.uuid4().hex[:10]}", REGION, ACCOUNT)
        self.name = self._stage.secret("key")
        self.manager = stands.direct.client("secretsmanager")

    def secret(self, generate: int | None = None, known: Callable[[str], None] | None = None) -> AwsSecret:
        """As another process has it."""
        model = System("shop").secret("key", generate=generate)
        return AwsSecret(model, self._stage, self._clients, self.clock, known)

    def make(self) -> None:
        """As the Terraform makes it."""
        self.manager.create_secret(Name=self.name)

    def calls(self, operation: str) -> int:
        return [name for name, _ in self.peer.asked].count(operation)


@pytest.fixture(scope="module")
def stands() -> Iterator[Stands]:
    with moto_server() as moto:
        peer = AwsPeer(moto)
        with peer.listening() as endpoint:
            yield Stands(clients_of(moto), peer, clients_of(endpoint))


@pytest.fixture
def world(stands: Stands) -> World:
    return World(stands)


@pytest.mark.parametrize("made", [True, False])
def test_a_secret_has_no_value_until_one_is_set(world: World, made: bool) -> None:
    if made:
        world.make()
    secret = world.secret()
    assert not secret.is_set()
    with pytest.raises(SecretNotSet, match="'key' has no value"):
        secret.read()
    secret.write("hunter2")
    assert secret.is_set()
    assert secret.read() == "hunter2"
    assert world.secret().read() == "hunter2"


def test_the_last_value_that_was_set_here_counts_at_once(world: World) -> None:
    secret = world.secret()
    for value in ("first", "second", "łąka 🌾", " spaces\tand\nlines ", "first"):
        secret.write(value)
        assert secret.read() == value


def test_a_value_is_asked_for_once_a_minute(world: World) -> None:
    reading, writing = world.secret(), world.secret()
    writing.write("first")
    assert reading.read() == "first"
    writing.write("second")
    world.clock.advance(timedelta(seconds=59))
    assert reading.read() == "first"
    assert world.calls("GetSecretValue") == 1
    world.clock.advance(timedelta(seconds=1))
    assert reading.read() == "second"
    assert world.calls("GetSecretValue") == 2


def test_a_clock_that_is_set_back_prolongs_nothing(world: World) -> None:
    reading, writing = world.secret(), world.secret()
    writing.write("first")
    assert reading.read() == "first"
    writing.write("second")
    world.clock.set_back(timedelta(hours=1))
    world.clock.advance(timedelta(seconds=60))
    assert reading.read() == "second"


def test_every_value_is_made_known_so_that_no_log_shows_it(world: World) -> None:
    generated, written, read = list[str](), list[str](), list[str]()
    world.secret(32, generated.append).ensure_generated()
    assert generated == [world.secret().read()]
    world.secret(known=written.append).write("hunter2")
    assert world.secret(known=read.append).read() == "hunter2"
    assert (written, read) == (["hunter2"], ["hunter2"])


def test_that_there_is_no_value_is_not_kept(world: World) -> None:
    reading, writing = world.secret(), world.secret()
    with pytest.raises(SecretNotSet):
        reading.read()
    writing.write("first")
    assert reading.read() == "first"


@pytest.mark.parametrize("value", ["x", "x" * 65_536, "ł" * 32_768], ids=len)
def test_a_value_within_the_bounds_is_kept(world: World, value: str) -> None:
    world.secret().write(value)
    assert world.secret().read() == value


@pytest.mark.parametrize("value", ["", "x" * 65_537, "ł" * 32_769, "\ud800"], ids=len)
def test_a_value_out_of_bounds_is_refused(world: World, value: str) -> None:
    with pytest.raises(InvalidItem) as raised:
        world.secret().write(value)
    assert not value or value not in str(raised.value)
    assert world.peer.asked == []


def test_bytes_are_no_value(world: World) -> None:
    world.manager.create_secret(Name=world.name, SecretBinary=b"\x00\xff")
    assert world.secret().is_set()
    with pytest.raises(InvalidState, match=r"holds bytes; set a text there"):
        world.secret().read()


def test_a_value_is_generated_once(world: World) -> None:
    world.make()
    secret = world.secret(generate=32)
    secret.ensure_generated()
    value = secret.read()
    assert len(value) == 43
    secret.ensure_generated()
    world.secret(generate=32).ensure_generated()
    assert world.secret().read() == value


def test_a_value_that_was_set_is_not_generated_over(world: World) -> None:
    world.secret().write("chosen")
    world.secret(generate=32).ensure_generated()
    assert world.secret().read() == "chosen"


def test_nothing_is_generated_unasked(world: World) -> None:
    world.make()
    world.secret().ensure_generated()
    assert world.peer.asked == []


@pytest.mark.parametrize("made", [True, False])
def test_of_two_that_generate_together_one_makes_the_value(world: World, made: bool) -> None:
    """Between the question and the first's value comes the second's."""
    if made:
        world.make()
    others: list[AwsSecret] = []

    def meanwhile(asked: dict[str, Any]) -> None:
        if not others:
            others.append(world.secret(generate=32))
            others[0].ensure_generated()

    world.peer.answers["PutSecretValue" if made else "CreateSecret"] = meanwhile
    first = world.secret(generate=32)
    first.ensure_generated()
    [second] = others
    assert first.read() == second.read() == world.secret().read()
    assert len(world.manager.describe_secret(SecretId=world.name)["VersionIdsToStages"]) == 1


def test_a_value_is_set_though_another_makes_the_secret_meanwhile(world: World) -> None:
    def meanwhile(asked: dict[str, Any]) -> None:
        world.peer.answers.clear()
        world.make()

    world.peer.answers["CreateSecret"] = meanwhile
    world.secret().write("chosen")
    assert world.secret().read() == "chosen"


def test_a_secret_that_is_to_be_deleted_says_so(world: World) -> None:
    world.secret().write("chosen")
    world.manager.delete_secret(SecretId=world.name)
    with pytest.raises(EngineUnavailable, match=r"key\.is_set: .* marked for deletion"):
        world.secret().is_set()
    with pytest.raises(EngineUnavailable, match=r"key\.read: .* marked for deletion, .*\n  fix: aws secretsmanager"):
        world.secret().read()
    # moto sets values of such secrets, AWS does not.
    said = {"__type": "InvalidRequestException", "Message": "the secret was marked for deletion"}
    world.peer.answers["PutSecretValue"] = lambda asked: (400, said)
    with pytest.raises(EngineUnavailable, match=r"key\.write: .* marked for deletion"):
        world.secret().write("new")


def test_a_refusal_by_iam_is_denied(world: World) -> None:
    said = {"__type": "AccessDeniedException", "Message": "arn:aws:iam::123456789012:role/x may not"}
    world.peer.answers["GetSecretValue"] = lambda asked: (400, said)
    with pytest.raises(Denied, match=r"not granted key\.read"):
        world.secret().read()


def test_what_aws_says_else_is_unavailable(world: World) -> None:
    world.peer.answers["GetSecretValue"] = lambda asked: (400, {"__type": "DecryptionFailure", "Message": "key/1234"})
    with pytest.raises(EngineUnavailable, match=r"shop\.key\.read: AWS answered DecryptionFailure$"):
        world.secret().read()
