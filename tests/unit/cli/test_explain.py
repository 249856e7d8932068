"""windlass explain."""

import json

from tests.unit.cli.terminal import Run
from windlass.engines.aws.stage import Stage
from windlass.model.system import System
from windlass.synth.policy import policies


def test_each_statement_stands_below_the_use_that_asked_for_it(run: Run) -> None:
    lines = run("explain", "desk", "reply").stdout.splitlines()
    at = lines.index("  uses notices.send")
    assert lines[at + 1 : at + 5] == [
        "    ses:SendEmail",
        "    ses:SendRawEmail",
        "      on arn:aws:ses:eu-west-1:123456789012:identity/example.com",
        "      if ses:FromAddress StringEquals desk@example.com",
    ]
    assert "  consumes replies" in lines
    assert "      on arn:aws:sqs:eu-west-1:123456789012:desk-dev-replies" in lines


def test_all_handlers_are_explained_unless_one_is_named(run: Run, desk: System) -> None:
    whole = run("explain", "desk").stdout
    assert [line.partition(",")[0] for line in whole.splitlines()[1:] if line and line[0] != " "] == [
        handler.name for handler in desk.handlers
    ]
    one = run("explain", "desk", "reply").stdout
    assert "reply, started by queue replies: function desk-dev-reply" in one
    assert "open_ticket" not in one


def test_a_placeholder_for_the_account_is_called_one(run: Run) -> None:
    assert "account 123456789012, a placeholder: say --account\n" in run("explain", "desk").stdout
    said = run("explain", "desk", "--account", "210987654321", "--stage", "prod", "--region", "us-gov-west-1").stdout
    assert said.startswith("desk on AWS: stage prod in us-gov-west-1, account 210987654321\n")
    assert "placeholder" not in said
    assert "      on arn:aws-us-gov:dynamodb:us-gov-west-1:210987654321:table/desk-prod-tickets" in said


def test_json_holds_the_policies_as_iam_takes_them(run: Run, desk: System) -> None:
    said = json.loads(run("explain", "desk", "--json").stdout)
    derived = policies(desk, Stage("desk", "dev", "eu-west-1", "123456789012"))
    assert (said["stage"], said["account_is_placeholder"]) == ("dev", True)
    assert {one["handler"]: one["policy"] for one in said["handlers"]} == {
        name: policy.document() for name, policy in derived.items()
    }
    (put_away,) = (one for one in said["handlers"] if one["handler"] == "put_away")
    assert put_away["trigger"] == "queue archive"
    assert put_away["asked_by"]["TableTickets"] == ["uses tickets.delete"]
    assert put_away["size"] == len(json.dumps(put_away["policy"], separators=(",", ":")))


def test_an_unknown_handler_is_answered_with_the_nearest_or_with_all(run: Run) -> None:
    near = run("explain", "desk", "repli")
    assert (near.exit_code, near.stdout) == (1, "")
    assert near.stderr == "error: desk has no handler 'repli'\n  fix: did you mean 'reply'?\n"
    far = run("explain", "desk", "zzz").stderr
    assert "fix: name one of its handlers: open_ticket, reply, put_away" in far


def test_what_cannot_be_an_account_a_region_or_a_stage_is_refused(run: Run) -> None:
    account = run("explain", "desk", "--account", "1234")
    assert account.exit_code == 2
    assert "'1234' is not the number of an account, which has twelve digits" in account.stderr
    region = run("explain", "desk", "--region", "Europe")
    assert region.exit_code == 2
    assert "'Europe' is not the name of a region, such as eu-west-1" in region.stderr
    stage = run("explain", "desk", "--stage", "a b")
    assert stage.exit_code == 1
    assert "'a b' cannot name a stage" in stage.stderr


def test_a_system_with_faults_is_not_explained(run: Run) -> None:
    result = run("explain", "broken")
    assert result.exit_code == 1
    assert "broken.jobs: nobody handles the messages of this queue" in result.stderr
