"""The mails that SES has accepted, as a test reads them: neither of the stand-ins shows a mail whole."""

from __future__ import annotations

import email.policy
from collections.abc import Sequence
from email import message_from_bytes
from email.message import EmailMessage, MIMEPart
from typing import Any

from windlass.ports.mailer import Mail

__all__ = ["Outbox"]


class Outbox:
    """Listens to a client of SES; `mails` are those that were accepted, the oldest first."""

    def __init__(self) -> None:
        self.mails: list[Mail] = []
        self._asked: dict[str, Any] = {}

    def listen(self, client: Any) -> None:
        """From now on."""
        client.meta.events.register("before-parameter-build.sesv2.SendEmail", self._begun)
        client.meta.events.register("after-call.sesv2.SendEmail", self._ended)

    def _begun(self, params: dict[str, Any], **_: Any) -> None:
        self._asked = params

    def _ended(self, parsed: dict[str, Any], **_: Any) -> None:
        if "MessageId" in parsed:
            destination = self._asked["Destination"]
            self.mails.append(_mail(self._asked["Content"]["Raw"]["Data"], destination.get("BccAddresses", [])))


def _mail(raw: bytes, hidden: Sequence[str]) -> Mail:
    message = message_from_bytes(raw, policy=email.policy.default)
    assert isinstance(message, EmailMessage)
    text, html = message.get_body(("plain",)), message.get_body(("html",))
    return Mail(
        sender=str(message["from"]),
        to=_addresses(message, "to"),
        subject=str(message["subject"]),
        text=None if text is None else _content(text),
        html=None if html is None else _content(html),
        cc=_addresses(message, "cc"),
        bcc=tuple(hidden),
        reply_to=_addresses(message, "reply-to"),
    )


def _addresses(message: EmailMessage, header: str) -> tuple[str, ...]:
    found = message.get(header)
    return () if found is None else tuple(str(address) for address in found.addresses)


def _content(part: MIMEPart) -> str:
    """What was written: on the wire, lines end in CRLF, the last one too."""
    return str(part.get_content()).replace("\r\n", "\n").removesuffix("\n")
