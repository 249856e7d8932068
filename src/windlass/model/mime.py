"""What a mail may hold, and its form on the wire (RFC 5322, MIME): the same for SMTP and for SES.

The bounds are those of SES, so that what is accepted here is accepted there:
https://docs.aws.amazon.com/ses/latest/dg/quotas.html and
https://docs.aws.amazon.com/ses/latest/APIReference-V2/API_Destination.html (no SMTPUTF8).
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from email.header import Header
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime, quote
from typing import Any

from windlass.errors import InvalidItem
from windlass.ports.clock import from_epoch
from windlass.ports.mailer import Mail

__all__ = ["MAX_BYTES", "MAX_RECIPIENTS", "check", "compose", "envelope", "parse_address"]

MAX_RECIPIENTS = 50
MAX_BYTES = 10 * 1024 * 1024
_MAX_SUBJECT = 998  # a line's length in RFC 5322, 2.1.1
_MAX_ADDRESS = 500  # RFC 5321 has 254 for the address itself; the parser takes minutes for some long texts

# Every server takes 7-bit lines; not every one takes 8-bit ones.
_POLICY = SMTP.clone(cte_type="7bit")
# `=?` would begin an encoded word (RFC 2047) for a reader that looks for it where none may be.
_LOCAL = re.compile(r"(?!.*=\?)[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(?:\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*")
_DOMAIN = re.compile(
    r"(?!(?:.*\.)?\d+\Z)(?=.{1,253}\Z)(?:[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.)*"
    r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
)
# Where IDNA 2003, which Python has, and IDNA 2008 lead to different domains (RFC 5894, 7.2).
_AMBIGUOUS = frozenset("ßς\u200c\u200d")


def check(mail: Mail) -> None:
    """Raises InvalidItem, which names the field, for a mail that cannot be sent."""
    recipients = len(mail.to) + len(mail.cc) + len(mail.bcc)
    if not 1 <= recipients <= MAX_RECIPIENTS:
        raise InvalidItem(f"a mail has 1 to {MAX_RECIPIENTS} recipients, not {recipients}", field="to")
    if mail.text is None and mail.html is None:
        raise InvalidItem("a mail needs a text or an HTML body", field="text")
    for field, text in (("subject", mail.subject), ("text", mail.text), ("html", mail.html)):
        if text is not None:
            _check_unicode(text, field)
    _check_line(mail.subject, "subject")
    if len(mail.subject) > _MAX_SUBJECT:
        raise InvalidItem(f"has {len(mail.subject):,} characters; {_MAX_SUBJECT} are allowed", field="subject")
    for field, text in _addresses(mail):
        parse_address(text, field)
    size = sum(len(body.encode()) for body in (mail.text, mail.html) if body is not None)
    if size <= MAX_BYTES:
        size = len(compose(mail, "0" * 32, 0.0))
    if size > MAX_BYTES:
        raise InvalidItem(f"the mail has {size:,} bytes as it is sent; {MAX_BYTES:,} are allowed", field="text")


def parse_address(text: str, field: str) -> Address:
    """`ann@example.com` or `Ann <ann@example.com>`. A domain in other letters comes back as the DNS has it
    (`xn--...`). Raises InvalidItem naming `field`."""
    if len(text) > _MAX_ADDRESS:
        raise InvalidItem(f"has {len(text):,} characters; {_MAX_ADDRESS} are allowed", field=field)
    _check_unicode(text, field)
    _check_line(text, field)
    local, _, domain = text.rpartition("@")
    if len(local) <= 64 and _LOCAL.fullmatch(local) and _DOMAIN.fullmatch(domain):
        return Address("", local, domain)  # nearly all are such, and the parser takes its time
    try:
        header: Any = _POLICY.header_factory("to", text)
        groups = header.groups
    except (AttributeError, IndexError, RecursionError, ValueError) as error:  # the parser has all for some input
        raise InvalidItem(f"{text!r} is not a mail address", field=field) from error
    if header.defects or len(groups) != 1 or groups[0].display_name is not None or len(groups[0].addresses) != 1:
        raise InvalidItem(f"{text!r} is not one mail address", field=field)
    found = groups[0].addresses[0]
    # An encoded word (RFC 2047) in a name may hold a line break that the text itself does not show.
    _check_line(found.display_name, field)
    domain = found.domain
    if not domain.isascii() and not _AMBIGUOUS & set(domain):
        try:
            domain = domain.encode("idna").decode()
        except UnicodeError as error:
            raise InvalidItem(f"{text!r} has no valid domain", field=field) from error
    if not _LOCAL.fullmatch(found.username) or len(found.username) > 64:
        raise InvalidItem(f"{text!r} has before the @ what mail servers do not take", field=field)
    if not _DOMAIN.fullmatch(domain):
        raise InvalidItem(f"{text!r} has no valid domain; other letters are written as xn--...", field=field)
    return Address(found.display_name, found.username, domain)


def envelope(mail: Mail) -> tuple[str, tuple[str, ...]]:
    """The bare addresses of the sender and of all recipients, each once (RFC 5321)."""
    recipients = [parse_address(text, "to").addr_spec for text in (*mail.to, *mail.cc, *mail.bcc)]
    return parse_address(mail.sender, "sender").addr_spec, tuple(dict.fromkeys(recipients))


def compose(mail: Mail, mail_id: str, sent_at: float) -> bytes:
    """The mail as it is sent, always the same for the same arguments; `sent_at` is in epoch seconds. Blind
    copies are not in it. Raises InvalidItem for an address that is none."""
    body = EmailMessage(_POLICY)
    if mail.text is not None:
        body.set_content(mail.text, charset="utf-8")
        if mail.html is not None:
            body.add_alternative(mail.html, subtype="html", charset="utf-8")
            body.set_boundary(f"=_{mail_id}")
    elif mail.html is not None:
        body.set_content(mail.html, subtype="html", charset="utf-8")
    # The headers are written here, as EmailMessage loses a space where it folds a long one in other letters
    # (https://github.com/python/cpython/issues/144156), and takes `=?utf-8?q?...?=` in a text for its encoded form.
    sender = parse_address(mail.sender, "sender")
    lines = [f"From: {_mailbox(sender)}"]
    for name, field, texts in (("To", "to", mail.to), ("Cc", "cc", mail.cc), ("Reply-To", "reply_to", mail.reply_to)):
        if texts:
            lines.append(f"{name}: " + ",\r\n ".join(_mailbox(parse_address(text, field)) for text in texts))
    lines += [
        f"Subject: {_words(mail.subject, 'Subject') if _needs_words(mail.subject) else mail.subject}",
        f"Date: {format_datetime(from_epoch(int(sent_at)))}",
        f"Message-ID: <{mail_id}@{sender.domain}>",
    ]
    return "".join(f"{line}\r\n" for line in lines).encode("ascii") + body.as_bytes()


def _mailbox(address: Address) -> str:
    name = address.display_name
    if not name:
        return address.addr_spec
    shown = _words(name, "Reply-To") if _needs_words(name) else f'"{quote(name)}"'
    return f"{shown} <{address.addr_spec}>"


def _needs_words(text: str) -> bool:
    """Whether a header can hold `text` only in encoded words (RFC 2047): other letters, or too much for a line."""
    return not text.isascii() or len(text) > 60 or "=?" in text or text != text.strip()


def _words(text: str, header: str) -> str:
    return Header(text, "utf-8", maxlinelen=75, header_name=header).encode(linesep="\r\n")


def _addresses(mail: Mail) -> Iterator[tuple[str, str]]:
    """Each address with the name of its field: `to[0]`."""
    yield "sender", mail.sender
    for field in ("to", "cc", "bcc", "reply_to"):
        for number, text in enumerate(getattr(mail, field)):
            yield f"{field}[{number}]", text


def _check_unicode(text: str, field: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError:
        raise InvalidItem("is not Unicode text", field=field) from None


def _check_line(text: str, field: str) -> None:
    """Refuses what could end a header's line and begin another one: control characters and line separators."""
    if any(unicodedata.category(sign) in {"Cc", "Cs", "Zl", "Zp"} for sign in text):
        raise InvalidItem("has a line break or another control character", field=field)
