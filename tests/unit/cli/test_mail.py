"""windlass mail."""

import json
import re
from pathlib import Path

import pytest

from tests.unit.cli.terminal import Run, running
from windlass.model.mailer import Mailer
from windlass.model.system import System


def ids(run: Run) -> list[str]:
    return [mail["id"] for mail in json.loads(run("mail", "list", "desk", "--json").output)]


def test_mails_are_listed_the_newest_first(run: Run, used: Path) -> None:
    result = run("mail", "list", "desk")
    assert re.sub(r"[0-9a-f-]{36}", "ID", result.output).splitlines()[1:] == [
        "ID  2024-06-12 09:01:00Z  notices  kept   ada@example.com  Ticket 2",
        "ID  2024-06-12 09:00:00Z  notices  kept   ada@example.com  Ticket 1",
    ]
    assert re.sub(r"[0-9a-f-]{36}", "ID", run("mail", "list", "desk", "--limit", "1").output).count("Ticket") == 1
    assert run("mail", "list", "desk", "--mailer", "notices").output == result.output


def test_the_list_as_json(run: Run, used: Path) -> None:
    newest, _ = json.loads(run("mail", "list", "desk", "--json").output)
    assert newest.pop("id")
    assert newest == {
        "mailer": "notices",
        "sent_at": "2024-06-12T09:01:00.000000Z",
        "state": "kept",
        "attempts": 0,
        "reason": None,
        "sender": "desk@example.com",
        "to": ["ada@example.com"],
        "subject": "Ticket 2",
        "text": "About: Screen",
        "html": "<p>About: Screen</p>",
        "cc": [],
        "bcc": [],
        "reply_to": [],
    }


def test_one_mail(run: Run, used: Path) -> None:
    newest, oldest = ids(run)
    assert run("mail", "show", "desk", oldest).output == (
        "From:      desk@example.com\n"
        "To:        ada@example.com\n"
        "Subject:   Ticket 1\n"
        "Date:      2024-06-12 09:00:00Z\n"
        "State:     kept\n"
        "\n"
        "About: Printer\n"
    )
    assert run("mail", "show", "desk", newest, "--html").output == "<p>About: Screen</p>\n"
    assert json.loads(run("mail", "show", "desk", newest, "--json").output)["subject"] == "Ticket 2"
    assert run("mail", "show", "desk", newest, "--json", "--html").exit_code == 2


def test_what_a_terminal_would_obey_is_written_out(run: Run, desk: System, used: Path) -> None:
    with running(desk, used):
        mailer = desk.resources["notices"]
        assert isinstance(mailer, Mailer)
        mailer.send("ada@example.com", subject="tidy", html="<p>\x1b[2J</p>")
        mailer.send("ada@example.com", subject="tidy", text="\x1b[2Jgone\n")
    for mail_id in ids(run)[:2]:
        assert "\x1b" not in run("mail", "show", "desk", mail_id, color=True).output.replace("\x1b[1m", "").replace(
            "\x1b[0m", ""
        )
    assert any("\\x1b[2Jgone\n" in run("mail", "show", "desk", mail_id).output for mail_id in ids(run))
    assert any("only HTML: see it with --html" in run("mail", "show", "desk", mail_id).output for mail_id in ids(run))


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["show", "desk", "4711"], "desk has no mail '4711'\n  fix: see which there are: windlass mail list desk"),
        (["list", "desk", "--mailer", "news"], "desk has no mailer 'news'\n  fix: name one of its mailers: notices"),
    ],
    ids=["mail", "mailer"],
)
def test_errors_are_told_with_their_fix(run: Run, used: Path, arguments: list[str], said: str) -> None:
    result = run("mail", *arguments)
    assert (result.exit_code, result.stdout, result.stderr) == (1, "", f"error: {said}\n")


def test_a_mail_without_html_says_so(run: Run, used: Path) -> None:
    oldest = ids(run)[-1]
    result = run("mail", "show", "desk", oldest, "--html")
    assert result.exit_code == 1
    assert result.stderr == f"error: the mail {oldest} has no HTML body\n  fix: show its text, without --html\n"


def test_an_empty_inbox_says_so(run: Run) -> None:
    run("users", "add", "desk", "ada")
    assert run("mail", "list", "desk").output == "no mails\n"
