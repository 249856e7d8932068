"""windlass queue."""

import json
import re
from pathlib import Path

import pytest

from tests.unit.cli.terminal import Run, running
from windlass.model.system import System


def test_queues_are_listed_with_what_is_in_them(run: Run, used: Path) -> None:
    result = run("queue", "list", "desk")
    head, replies, archive = result.output.splitlines()
    assert head == "NAME     WAITING  IN FLIGHT  DELAYED  DEAD  OLDEST (s)"
    assert re.fullmatch(r"replies        1          0        0     1 +\d+", replies)
    # On the machine's clock the delay of five minutes has passed since.
    assert re.fullmatch(r"archive        2          0        0     0 +\d+", archive)


def test_the_list_as_json(run: Run, used: Path) -> None:
    replies, archive = json.loads(run("queue", "list", "desk", "--json").output)
    assert replies.pop("oldest_age") > 0
    assert replies == {"name": "replies", "waiting": 1, "in_flight": 0, "delayed": 0, "dead": 1}
    assert (archive["name"], archive["waiting"]) == ("archive", 2)


def test_a_message_is_shown_as_a_terminal_can_bear_it(run: Run, used: Path) -> None:
    result = run("queue", "peek", "desk", "replies")
    assert re.sub(r"[0-9a-f-]{32,36}", "ID", result.output) == (
        'ID  sent 2024-06-12 09:02:00Z  attempts 0  trace ID\n  {"id":"4","subject":"Mouse\\u001b[31m"}\n'
    )


def test_a_dead_letter_says_why(run: Run, used: Path) -> None:
    result = run("queue", "peek", "desk", "replies", "--dead")
    assert re.sub(r"[0-9a-f-]{32,36}", "ID", result.output) == (
        "ID  sent 2024-06-12 09:01:00Z  attempts 1  trace ID\n"
        "  failed: ValueError: a ticket without a subject\n"
        '  {"id":"3","subject":""}\n'
    )


def test_a_message_as_json(run: Run, used: Path) -> None:
    (message,) = json.loads(run("queue", "peek", "desk", "replies", "--dead", "--json").output)
    assert list(message) == ["id", "sent_at", "visible_at", "attempts", "group", "trace", "reason", "body"]
    assert message["sent_at"] == "2024-06-12T09:01:00.000000Z"
    assert message["reason"] == "ValueError: a ticket without a subject"
    assert message["body"] == {"id": "3", "subject": ""}


def test_peek_shows_the_oldest_and_no_more_than_asked_for(run: Run, used: Path) -> None:
    (message,) = json.loads(run("queue", "peek", "desk", "archive", "--limit", "1", "--json").output)
    assert message["body"] == {"id": "1", "subject": "Printer"}
    assert run("queue", "peek", "desk", "archive", "--limit", "0").exit_code == 2


def test_dead_letters_go_back_and_are_tried_again(run: Run, desk: System, used: Path) -> None:
    assert run("queue", "redrive", "desk", "replies").output == "1 message moved back to desk.replies.\n"
    assert run("queue", "peek", "desk", "replies", "--dead").output == "desk.replies has no dead letter\n"
    assert json.loads(run("queue", "redrive", "desk", "replies", "--json").output) == {"name": "replies", "moved": 0}


def test_what_is_redriven_reaches_a_driver_that_runs(run: Run, desk: System, used: Path) -> None:
    with running(desk, used) as driver:
        driver.settle()
        assert driver.queue("replies").stats().dead == 1
        run("queue", "purge", "desk", "replies", "--dead", "--yes")
        assert driver.queue("replies").stats().dead == 0
        run("secret", "set", "desk", "bank_key", stdin="s3cret")
        assert driver.secret("bank_key").read() == "s3cret"


def test_a_purge_asks_first(run: Run, used: Path) -> None:
    refused = run("queue", "purge", "desk", "archive", stdin="y\n")
    assert refused.exit_code == 2
    assert refused.stderr.endswith("Remove 2 messages from desk.archive? Nobody can be asked here: add --yes.\n")
    assert len(json.loads(run("queue", "peek", "desk", "archive", "--json").output)) == 2


def test_a_purge_removes_messages_or_dead_letters(run: Run, used: Path) -> None:
    result = run("queue", "purge", "desk", "replies", "--dead", "--yes")
    assert result.output == "1 message removed from the dead-letter queue of desk.replies.\n"
    assert len(json.loads(run("queue", "peek", "desk", "replies", "--json").output)) == 1
    purged = run("queue", "purge", "desk", "archive", "--yes", "--json")
    assert json.loads(purged.output) == {"name": "archive", "removed": 2}
    assert run("queue", "purge", "desk", "archive").output == "0 messages removed from desk.archive.\n"
    assert run("queue", "peek", "desk", "archive").output == "desk.archive has no message\n"


@pytest.mark.parametrize("command", ["peek", "redrive", "purge"])
def test_an_unknown_queue_is_answered_with_those_there_are(run: Run, used: Path, command: str) -> None:
    result = run("queue", command, "desk", "reply")
    assert result.exit_code == 1
    assert result.stderr == ("error: desk has no queue 'reply'\n  fix: name one of its queues: replies, archive\n")


def test_where_nothing_was_started_there_is_nothing_to_redrive(run: Run, here: Path) -> None:
    result = run("queue", "redrive", "desk", "replies")
    assert result.exit_code == 1
    assert result.stderr.startswith("error: nothing has been started in .windlass/default yet\n  fix: ")


def test_a_system_without_queues_says_so(run: Run) -> None:
    run("users", "add", "twin_pools", "ada", "--pool", "hosts")
    assert run("queue", "list", "twin_pools").output == "twin_pools declares no queue\n"
