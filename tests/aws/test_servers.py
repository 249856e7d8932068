"""The servers that stand in for AWS follow the clock that a test sets, and nothing else."""

from __future__ import annotations

import base64
import io
import json
import os
import select
import signal
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.aws.servers import ACCOUNT, KINDS, Kind, Server, missing, moment
from windlass.engines.aws.clients import Clients

pytestmark = pytest.mark.skipif(missing() is not None, reason=str(missing()))

START = datetime(2024, 6, 12, 9, 0, tzinfo=UTC).timestamp()
LATER = datetime(2030, 1, 1, tzinfo=UTC).timestamp()
_END_SECONDS = 20.0


@pytest.fixture(scope="module", params=KINDS)
def started(request: pytest.FixtureRequest) -> Iterator[Server]:
    with Server(request.param) as server:
        yield server


@pytest.fixture
def server(started: Server) -> Server:
    started.reset()
    started.set_clock(START)
    return started


def clients(server: Server, account: str = ACCOUNT) -> Clients:
    return _clients(server.endpoint, account)


@cache
def _clients(endpoint: str, account: str) -> Clients:
    return Clients("eu-west-1", endpoint=endpoint, access_key=account, secret_key="secret")


class Inbox:
    """A queue made for one test."""

    def __init__(self, server: Server, **attributes: str) -> None:
        self._sqs = clients(server).client("sqs")
        name = "inbox.fifo" if "FifoQueue" in attributes else "inbox"
        self.url: str = self._sqs.create_queue(QueueName=name, Attributes=attributes)["QueueUrl"]

    def send(self, body: str, **options: Any) -> None:
        self._sqs.send_message(QueueUrl=self.url, MessageBody=body, **options)

    def received(self) -> list[dict[str, Any]]:
        answer = self._sqs.receive_message(
            QueueUrl=self.url, MaxNumberOfMessages=10, WaitTimeSeconds=0, MessageSystemAttributeNames=["All"]
        )
        found: list[dict[str, Any]] = answer.get("Messages", [])
        return found

    def bodies(self) -> list[str]:
        return [message["Body"] for message in self.received()]


def sent_at(inbox: Inbox) -> float:
    """When the one message was sent that can be received, in seconds since the epoch."""
    [message] = inbox.received()
    return int(message["Attributes"]["SentTimestamp"]) / 1000


def make_table(server: Server, account: str = ACCOUNT) -> Any:
    client = clients(server, account).client("dynamodb")
    client.create_table(
        TableName="things",
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )
    return client


# ---- The clock


@pytest.mark.parametrize("now", [START, START + 0.001, START + 0.25, START + 0.999, LATER, LATER + 0.5, 1e9, 4e9])
def test_a_message_is_sent_at_the_millisecond_that_was_set(server: Server, now: float) -> None:
    inbox = Inbox(server)
    server.set_clock(now)
    inbox.send("tea")
    [message] = inbox.received()
    # moto multiplies first and cuts off then, and so loses one of some.
    assert 0 <= round(now * 1000) - int(message["Attributes"]["SentTimestamp"]) <= 1


@given(st.floats(1e9, 4e9))
def test_a_python_process_under_the_clock_is_never_told_an_earlier_time(now: float) -> None:
    # What Python makes of the nanoseconds that it is told; the seventh digit of a fraction is where a float ends.
    seconds, _, fraction = moment(now).partition(".")
    told = int(seconds + fraction[:9]) / 10**9
    assert now <= told < now + 1e-6


def test_a_received_message_comes_back_when_its_visibility_timeout_is_over(server: Server) -> None:
    inbox = Inbox(server, VisibilityTimeout="30")
    inbox.send("tea")
    assert inbox.bodies() == ["tea"]
    server.set_clock(START + 29.9)
    assert inbox.bodies() == []
    server.set_clock(START + 30.1)
    assert inbox.bodies() == ["tea"]


def test_a_delayed_message_comes_when_its_delay_is_over(server: Server) -> None:
    inbox = Inbox(server)
    inbox.send("tea", DelaySeconds=900)
    server.set_clock(START + 899.9)
    assert inbox.bodies() == []
    server.set_clock(START + 900.1)
    assert inbox.bodies() == ["tea"]


def test_a_fifo_queue_takes_an_identifier_again_after_five_minutes(server: Server) -> None:
    inbox = Inbox(server, FifoQueue="true")
    inbox.send("first", MessageGroupId="a", MessageDeduplicationId="same")
    server.set_clock(START + 299)
    inbox.send("second", MessageGroupId="b", MessageDeduplicationId="same")
    assert inbox.bodies() == ["first"]
    server.set_clock(START + 301)
    inbox.send("third", MessageGroupId="c", MessageDeduplicationId="same")
    assert inbox.bodies() == ["third"]


def test_a_token_is_dated_by_the_clock(server: Server) -> None:
    cognito = clients(server).client("cognito-idp")
    pool = cognito.create_user_pool(PoolName="people")["UserPool"]["Id"]
    client = cognito.create_user_pool_client(
        UserPoolId=pool, ClientName="web", ExplicitAuthFlows=["ALLOW_USER_PASSWORD_AUTH"]
    )["UserPoolClient"]["ClientId"]
    cognito.admin_create_user(UserPoolId=pool, Username="ada")
    cognito.admin_set_user_password(UserPoolId=pool, Username="ada", Password="Analytical1!", Permanent=True)
    server.set_clock(LATER)
    signed_in = cognito.initiate_auth(
        AuthFlow="USER_PASSWORD_AUTH",
        ClientId=client,
        AuthParameters={"USERNAME": "ada", "PASSWORD": "Analytical1!"},
    )["AuthenticationResult"]
    claims = json.loads(base64.urlsafe_b64decode(signed_in["AccessToken"].split(".")[1] + "=="))
    assert (claims["iat"], claims["exp"]) == (LATER, LATER + 3600)


def test_the_clock_goes_back_too(server: Server) -> None:
    inbox = Inbox(server)
    server.set_clock(LATER)
    server.set_clock(START)
    inbox.send("tea")
    assert inbox.received()[0]["Attributes"]["SentTimestamp"] == str(round(START * 1000))


@pytest.mark.parametrize("now", [START, LATER])
def test_a_connection_serves_many_requests_in_any_year(server: Server, now: float) -> None:
    server.set_clock(now)
    client = make_table(server)
    for number in range(50):
        client.put_item(TableName="things", Item={"id": {"S": str(number)}})
    assert client.scan(TableName="things", Select="COUNT")["Count"] == 50


# ---- A clock that flows


@pytest.mark.parametrize("kind", KINDS)
def test_a_clock_that_flows_goes_on_from_where_it_was_set(kind: Kind) -> None:
    with Server(kind, clock=LATER, flows=True) as server:
        inbox = Inbox(server)
        for start in (LATER, START):
            server.set_clock(start)
            inbox.send("tea")
            first = sent_at(inbox)
            assert start - 0.001 <= first < start + _END_SECONDS
            inbox.send("tea")
            # Each answer takes time, by which the clock goes on.
            for _ in range(1000):
                if sent_at(inbox) > first:
                    break
                inbox.send("tea")
            else:
                pytest.fail("the clock stands still")


def test_a_lambda_function_on_ministack_has_the_clock_of_the_server() -> None:
    source = "import time\ndef handle(event, context):\n    time.sleep(0.001)\n    return time.time()\n"
    bundle = io.BytesIO()
    with zipfile.ZipFile(bundle, "w") as file:
        file.writestr("code.py", "")
        file.writestr("telling.py", source)
    with Server("ministack", clock=LATER, flows=True) as server:
        functions = clients(server).client("lambda")
        functions.create_function(
            FunctionName="tell",
            Runtime=f"python3.{sys.version_info.minor}",
            Role=f"arn:aws:iam::{ACCOUNT}:role/tell",
            Handler="telling.handle",
            Code={"ZipFile": bundle.getvalue()},
        )
        for now in (LATER, START, LATER + 0.5):
            server.set_clock(now)
            told = json.load(functions.invoke(FunctionName="tell")["Payload"])
            assert now <= told < now + _END_SECONDS


# ---- State


def test_a_reset_deletes_everything_and_leaves_the_clock(server: Server) -> None:
    make_table(server)
    Inbox(server)
    server.set_clock(LATER)
    server.reset()
    assert clients(server).client("dynamodb").list_tables()["TableNames"] == []
    inbox = Inbox(server)
    inbox.send("tea")
    assert inbox.received()[0]["Attributes"]["SentTimestamp"] == str(round(LATER * 1000))


def test_a_new_account_is_empty(server: Server) -> None:
    for _ in range(3):
        account = server.new_account()
        assert clients(server, account).client("dynamodb").list_tables()["TableNames"] == []
        make_table(server, account)


def test_accounts_of_ministack_do_not_see_each_other() -> None:
    with Server("ministack") as server:
        first, second = server.new_account(), server.new_account()
        make_table(server, first)
        assert clients(server, second).client("dynamodb").list_tables()["TableNames"] == []
        assert clients(server, first).client("dynamodb").list_tables()["TableNames"] == ["things"]


# ---- The process


@pytest.mark.parametrize("kind", KINDS)
def test_a_stopped_server_leaves_nothing_behind(kind: Kind) -> None:
    server = Server(kind)
    memory = [Path(f"/dev/shm/{name}_{server.process.pid}") for name in ("faketime_shm", "sem.faketime_sem")]
    folder = server.folder
    assert folder.exists()
    server.stop()
    assert server.process.returncode == -signal.SIGKILL
    assert [path for path in (*memory, folder) if path.exists()] == []
    with pytest.raises(httpx.ConnectError):
        httpx.get(server.endpoint, trust_env=False)


@pytest.mark.parametrize("kind", KINDS)
def test_a_server_that_does_not_start_says_why(kind: Kind, tmp_path: Path) -> None:
    (tmp_path / f"{kind}.py").write_text("raise ImportError('it is broken here')")
    with pytest.raises(RuntimeError, match=rf"(?s){kind} did not start.*ImportError: it is broken here"):
        Server(kind, environment={"PYTHONPATH": str(tmp_path)})


@pytest.mark.parametrize("kind", KINDS)
def test_a_server_ends_with_the_process_that_started_it(kind: Kind, tmp_path: Path) -> None:
    program = f"from tests.aws.servers import Server; print(Server({kind!r}).process.pid, flush=True); input()"
    with subprocess.Popen(
        [sys.executable, "-c", program],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
        env=os.environ | {"TMPDIR": str(tmp_path)},
    ) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        ended = os.pidfd_open(pid)
        try:
            parent.kill()
            parent.wait()
            over, _, _ = select.select([ended], [], [], _END_SECONDS)
            assert over, "it still runs"
        finally:
            os.close(ended)
