"""Policies: each statement is asked for by a use or a trigger, names exact ARNs, and fits into what IAM takes."""

import json
import re
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest

from windlass import Index, System
from windlass.engines.aws.stage import Stage
from windlass.errors import DeclarationError
from windlass.graph.load import load
from windlass.ports.binding import Grant
from windlass.ports.schedule import Tick
from windlass.synth.policy import MAX_SIZE, Policy, Statement, policies, policy_of

ROOT = Path(__file__).parents[3]
SYSTEMS = [
    pytest.param(load(path), id=path.name)
    for path in (ROOT / "systems/file_sla", ROOT / "systems/presenter", ROOT / "tests/unit/graph/orders")
]


@dataclass
class Job:
    id: str
    day: str = ""


def stage_of(system: System) -> Stage:
    return Stage(system.name, "dev", "eu-west-1", "123456789012")


def statement(policy: Policy, sid: str) -> Statement:
    (found,) = (one for one in policy.statements if one.sid == sid)
    return found


@pytest.mark.parametrize("system", SYSTEMS)
def test_every_statement_is_asked_for_and_every_use_asks(system: System) -> None:
    for handler in system.handlers:
        policy = policy_of(system, handler, stage_of(system))
        assert all(one.asked_by for one in policy.statements)
        asking = {why for one in policy.statements for why in one.asked_by if why.startswith("uses ")}
        asking |= {f"uses {grant}" for grant in policy.free}
        assert asking == {f"uses {grant}" for grant in handler.grants}


@pytest.mark.parametrize("system", SYSTEMS)
def test_a_wildcard_is_only_where_aws_takes_no_arn_or_makes_the_rest_itself(system: System) -> None:
    for policy in policies(system, stage_of(system)).values():
        for one in policy.statements:
            assert not any("*" in action for action in one.actions)
            if one.sid not in ("Logs", "Traces"):
                assert not any("*" in resource for resource in one.resources)
                assert all("?" not in arn or re.search(r":secret:[a-z0-9_/]+-\?{6}\Z", arn) for arn in one.resources)
        assert statement(policy, "Traces").resources == ("*",)
        assert statement(policy, "Logs").resources[0].endswith(f":log-group:/aws/lambda/{policy.function}:*")


@pytest.mark.parametrize("system", SYSTEMS)
def test_documents_are_in_the_grammar_of_iam_and_the_same_every_time(system: System) -> None:
    for name, policy in policies(system, stage_of(system)).items():
        document = json.loads(policy.text())
        assert policy.text() == policies(system, stage_of(system))[name].text()
        assert document["Version"] == "2012-10-17"
        assert list(document) == ["Version", "Statement"]
        sids = [one["Sid"] for one in document["Statement"]]
        assert len({*sids}) == len(sids)
        for one in document["Statement"]:
            assert re.fullmatch(r"[A-Za-z0-9]+", one["Sid"])
            assert one["Effect"] == "Allow"
            assert one["Action"] == sorted(set(one["Action"]))
            assert one["Resource"] == sorted(set(one["Resource"]))
            assert set(one) <= {"Sid", "Effect", "Action", "Resource", "Condition"}


def test_what_is_asked_of_one_arn_is_one_statement() -> None:
    system = System("shop")
    jobs = system.table("jobs", Job, key="id", indexes={"by_day": Index("day")})
    work = system.queue("work", Job)

    @work.consumer(uses=[jobs.put, jobs.get, jobs.index("by_day").query, work.send, jobs.put])
    def do(job: Job) -> None: ...

    policy = policies(system, stage_of(system))["do"]
    assert [one.sid for one in policy.statements] == ["TableJobs", "IndexJobsByDay", "QueueWork", "Logs", "Traces"]
    table = statement(policy, "TableJobs")
    assert table.actions == ("dynamodb:GetItem", "dynamodb:PutItem")
    assert table.asked_by == ("uses jobs.put", "uses jobs.get")
    queue = statement(policy, "QueueWork")
    assert queue.asked_by == ("uses work.send", "consumes work")
    assert queue.actions == (
        "sqs:ChangeMessageVisibility",
        "sqs:DeleteMessage",
        "sqs:GetQueueAttributes",
        "sqs:ReceiveMessage",
        "sqs:SendMessage",
    )


def test_mailers_of_one_domain_keep_their_own_conditions() -> None:
    system = System("shop")
    orders = system.mailer("orders", sender="orders@example.com")
    alerts = system.mailer("alerts", sender="alerts@example.com")
    nightly = system.schedule("nightly", every=timedelta(days=1))

    @nightly.task(uses=[orders.send, alerts.send])
    def tell(tick: Tick) -> None: ...

    policy = policies(system, stage_of(system))["tell"]
    senders = [one.condition for one in policy.statements if one.condition]
    assert senders == [
        {"StringEquals": {"ses:FromAddress": "orders@example.com"}},
        {"StringEquals": {"ses:FromAddress": "alerts@example.com"}},
    ]
    assert policy.document()["Statement"][1]["Condition"] == senders[1]  # type: ignore[index]


def test_names_that_are_one_word_in_camel_case_get_sids_of_their_own() -> None:
    system = System("shop")
    one, other = system.table("a_1", Job, key="id"), system.table("a1", Job, key="id")
    nightly = system.schedule("nightly", every=timedelta(days=1))

    @nightly.task(uses=[one.get, other.get])
    def look(tick: Tick) -> None: ...

    policy = policies(system, stage_of(system))["look"]
    assert [found.sid for found in policy.statements][:2] == ["TableA1", "TableA12"]


def test_only_idempotent_routes_reach_the_table_that_keeps_answers() -> None:
    system = load(ROOT / "systems/file_sla")
    derived = policies(system, stage_of(system))
    keeping = {name for name, policy in derived.items() if "idempotency-keys" in policy.text()}
    assert keeping == {"store"}
    assert statement(derived["store"], "IdempotencyKeys").asked_by == ("POST /file_sla_error is idempotent",)


def test_a_grant_that_needs_no_permission_is_told_with_its_reason() -> None:
    system = load(ROOT / "systems/file_sla")
    policy = policies(system, stage_of(system))["sign_in"]
    assert list(policy.free) == [Grant("users", "sign_in")]
    assert [one.sid for one in policy.statements] == ["Logs", "Traces"]


def test_a_policy_that_iam_would_not_take_is_refused() -> None:
    system = System("shop")
    tables = [system.table(f"table_of_many_{number}", Job, key="id") for number in range(80)]
    nightly = system.schedule("nightly", every=timedelta(days=1))

    @nightly.task(uses=[table.get for table in tables])
    def sweep(tick: Tick) -> None: ...

    with pytest.raises(DeclarationError, match=r"shop\.sweep: its policy has [\d,]+ characters, and IAM takes 10,240"):
        policies(system, stage_of(system))
    assert MAX_SIZE == 10_240
