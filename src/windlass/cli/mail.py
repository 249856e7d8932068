"""`windlass mail`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click
import msgspec

from windlass.cli.declared import chosen, system_argument
from windlass.cli.document import json_option, print_json
from windlass.cli.home import home_options
from windlass.cli.listing import harmless, moment, print_listing
from windlass.cli.state import State, open_state
from windlass.errors import NotFound
from windlass.model.mailer import Mailer
from windlass.model.system import System
from windlass.ports.clock import iso
from windlass.ports.mailer import SentMail

__all__ = ["mail"]


@click.group(
    epilog="""\b
Examples:
  windlass mail list shop
  windlass mail show shop 3f0c3f3e-7a52-4d4f-9a55-0d2f3f6c1b1a"""
)
def mail() -> None:
    """Read the mails that a system has sent.

    They are kept here, those of its alarms too, whose mailer is `alarms`; an SMTP server gets them too where
    `windlass up` was given one, in WINDLASS_SMTP_URL.
    """


@mail.command(
    "list",
    epilog="""\b
Examples:
  windlass mail list shop
  windlass mail list shop --mailer notices --limit 100 --json""",
)
@system_argument
@click.option("--mailer", metavar="MAILER", help="Of this mailer only.")
@click.option("--limit", type=click.IntRange(min=1), default=20, show_default=True, help="How many at most.")
@json_option
@home_options
def list_(system: System, mailer: str | None, limit: int, as_json: bool, home: Path, namespace: str) -> None:
    """List mails, the newest first."""
    with open_state(system, home, namespace) as state:
        models = [model for model in state.mailers if mailer in (None, model.name)]
        if mailer is not None and not models:
            models = [chosen(system, Mailer, mailer)]
        found = [(model, sent) for model in models for sent in state.mailer(model).list(limit)]
    found = sorted(found, key=lambda pair: pair[1].sent_at, reverse=True)[:limit]
    if as_json:
        print_json([_document(model, sent) for model, sent in found])
        return
    rows = [
        [sent.id, moment(sent.sent_at), model.name, sent.state, ", ".join(sent.mail.to), sent.mail.subject]
        for model, sent in found
    ]
    print_listing(["ID", "SENT", "MAILER", "STATE", "TO", "SUBJECT"], rows, empty="no mails")


@mail.command(
    epilog="""\b
Examples:
  windlass mail show shop 3f0c3f3e-7a52-4d4f-9a55-0d2f3f6c1b1a
  windlass mail show shop 3f0c3f3e-7a52-4d4f-9a55-0d2f3f6c1b1a --html > mail.html"""
)
@system_argument
@click.argument("mail_id", metavar="ID")
@click.option("--html", is_flag=True, help="Print the HTML body, and nothing else.")
@json_option
@home_options
def show(system: System, mail_id: str, html: bool, as_json: bool, home: Path, namespace: str) -> None:
    """Show one mail: who got it, what became of it, and its text."""
    if html and as_json:
        raise click.UsageError("--html and --json exclude each other")
    with open_state(system, home, namespace) as state:
        model, sent = _found(state, system, mail_id)
    if as_json:
        print_json(_document(model, sent))
    elif html:
        if sent.mail.html is None:
            raise NotFound(f"the mail {mail_id} has no HTML body\n  fix: show its text, without --html")
        # A file or a browser gets it as it was sent.
        click.echo(harmless(sent.mail.html) if sys.stdout.isatty() else sent.mail.html)
    else:
        _print(sent)


def _found(state: State, system: System, mail_id: str) -> tuple[Mailer, SentMail]:
    for model in state.mailers:
        try:
            return model, state.mailer(model).show(mail_id)
        except NotFound:
            continue
    raise NotFound(
        f"{system.name} has no mail {mail_id!r}\n  fix: see which there are: windlass mail list {system.name}"
    )


def _print(sent: SentMail) -> None:
    head = {
        "From": sent.mail.sender,
        "To": ", ".join(sent.mail.to),
        "Cc": ", ".join(sent.mail.cc),
        "Bcc": ", ".join(sent.mail.bcc),
        "Reply-To": ", ".join(sent.mail.reply_to),
        "Subject": sent.mail.subject,
        "Date": moment(sent.sent_at),
        "State": f"{sent.state} ({sent.reason})" if sent.reason else sent.state,
    }
    for name, value in head.items():
        if value:
            click.secho(f"{name}:", bold=True, nl=False)
            click.echo(" " * (10 - len(name)) + harmless(value))
    click.echo()
    if sent.mail.text is not None:
        click.echo(harmless(sent.mail.text), nl=not sent.mail.text.endswith("\n"))
    else:
        click.echo("(It has no text, only HTML: see it with --html.)")


def _document(model: Mailer, sent: SentMail) -> dict[str, Any]:
    return {
        "id": sent.id,
        "mailer": model.name,
        "sent_at": iso(sent.sent_at),
        "state": sent.state,
        "attempts": sent.attempts,
        "reason": sent.reason,
        **msgspec.to_builtins(sent.mail),
    }
