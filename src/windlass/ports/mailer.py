"""The port of a mailer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol

__all__ = ["Mail", "MailerOperator", "MailerPort", "SentMail"]


@dataclass(frozen=True, slots=True)
class Mail:
    """A mail to send: addresses as RFC 5322 writes them, at least one recipient, at least one of the bodies."""

    sender: str
    to: tuple[str, ...]
    subject: str
    text: str | None = None
    html: str | None = None
    cc: tuple[str, ...] = ()
    bcc: tuple[str, ...] = ()
    reply_to: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class SentMail:
    """A mail in the inbox. `state`: `kept` (no SMTP server is configured), `waiting`, `sent`, or `failed`, then
    `reason` says why. `sent_at` is in epoch seconds."""

    id: str
    mail: Mail
    sent_at: float
    state: Literal["kept", "waiting", "sent", "failed"]
    attempts: int = 0
    reason: str | None = None


class MailerPort(Protocol):
    def send(self, mail: Mail) -> str:
        """Accepts the mail for delivery and returns its id. Raises InvalidItem."""
        ...


class MailerOperator(MailerPort, Protocol):
    def list(self, limit: int = 100) -> list[SentMail]:
        """The newest first."""
        ...

    def show(self, mail_id: str) -> SentMail:
        """Raises NotFound."""
        ...
