"""One mail to one SMTP server, with the standard library's client (RFC 5321, RFC 3207, RFC 8314)."""

from __future__ import annotations

import ipaddress
import smtplib
import socket
import ssl
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Literal
from urllib.parse import SplitResult, parse_qs, unquote, urlsplit

from windlass.errors import DeclarationError

__all__ = ["Outcome", "SmtpSettings", "deliver"]

Tls = Literal["starttls", "implicit", "none"]

_EXAMPLE = "smtp://user:password@mail.example.com:587?tls=starttls (tls is starttls, implicit or none)"
_ENCODE = "write / ? # and @ in a user or a password as %2F %3F %23 %40"
_PORTS: Mapping[str, int] = {"starttls": 587, "implicit": 465, "none": 25}
# Permanent by their number, yet about how we sign in, not about the mail (RFC 4954): an operator can mend it.
_SIGN_IN_REFUSED = frozenset({530, 534, 535, 538})
_LONGEST_REASON = 300


@dataclass(frozen=True, slots=True)
class SmtpSettings:
    """Where mail goes. `tls`: `starttls` upgrades the connection, `implicit` is TLS from the first byte, `none` is
    plain text. The server's certificate is verified, against `ca_file` where one is given. `timeout` is in seconds,
    for each exchange with the server."""

    host: str
    port: int
    tls: Tls = "starttls"
    user: str | None = None
    password: str | None = field(default=None, repr=False)
    ca_file: str | None = None
    timeout: float = 20.0

    @classmethod
    def parse(cls, url: str, *, where: str = "WINDLASS_SMTP_URL") -> SmtpSettings:
        """The settings in a URL, `smtp://user:password@host:587?tls=starttls`; `tls` is `implicit` for port 465 and
        `starttls` otherwise, and `ca=/path.pem` names who vouches for the server. Raises DeclarationError, which
        never shows the URL: it may hold a password."""

        def refuse(summary: str, fix: str = _EXAMPLE) -> DeclarationError:
            return DeclarationError(summary, where=where, fix=fix)

        try:
            parts = urlsplit(url.strip())
            host, port = parts.hostname, parts.port
        except ValueError:
            raise refuse("the host or the port is not one", f"{_ENCODE}, as in {_EXAMPLE}") from None
        if parts.scheme != "smtp":
            raise refuse("it does not begin with smtp://")
        if parts.fragment or parts.path not in ("", "/"):
            raise refuse("it has a path or a fragment", _ENCODE)
        if not host:
            raise refuse("it names no host")
        options = _options(parts)
        if options is None or not set(options) <= {"tls", "ca"}:
            raise refuse("after the ? there is something other than tls= and ca=, or one of them twice")
        tls = options.get("tls", "implicit" if port == 465 else "starttls")
        if tls not in _PORTS:
            raise refuse("tls= is not starttls, implicit or none")
        if (parts.username is None) != (parts.password is None):
            raise refuse("it has a user without a password, or a password without a user")
        user = unquote(parts.username) if parts.username else None
        password = unquote(parts.password) if parts.password else None
        if not f"{user}{password}".isascii():
            raise refuse("SMTP's ways to sign in (RFC 4954) take ASCII only, and the user or the password has more")
        if password is not None and tls == "none" and not _is_this_machine(host):
            raise refuse("tls=none would send the password readable for all on the way", "use tls=starttls or implicit")
        return cls(host, port or _PORTS[tls], tls, user, password, options.get("ca"))  # type: ignore[arg-type]

    def context(self) -> ssl.SSLContext:
        """How the server's certificate is verified. Raises OSError when `ca_file` cannot be read."""
        return ssl.create_default_context(cafile=self.ca_file)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of an attempt: the recipients to try again, and why; those refused for good, and why."""

    retry: Mapping[str, str] = field(default_factory=dict)
    refused: Mapping[str, str] = field(default_factory=dict)

    @property
    def reason(self) -> str | None:
        """What to tell an operator; None when all went well."""
        said: dict[str, list[str]] = {}
        for address, why in (*self.refused.items(), *self.retry.items()):
            said.setdefault(why, []).append(address)
        return "; ".join(f"{why} ({', '.join(addresses)})" for why, addresses in said.items()) or None


def deliver(settings: SmtpSettings, sender: str, recipients: Sequence[str], message: bytes) -> Outcome:
    """Hands `message` to the server for `recipients`. Whatever goes wrong is in the outcome: an answer of 5xx to
    the mail or to a recipient is for good (RFC 5321, 4.2.1); all else (the connection, TLS, signing in, 4xx) may
    go well another time."""

    def failed(why: str, *, for_good: bool = False) -> Outcome:
        each = dict.fromkeys(recipients, why[:_LONGEST_REASON])
        return Outcome(refused=each) if for_good else Outcome(retry=each)

    try:
        failures = _send(settings, sender, recipients, message)
    except smtplib.SMTPRecipientsRefused as error:
        # A server that says 421 ends the conversation: it has not even heard of those that are not in here.
        unsaid = (421, b"the SMTP server ended the conversation")
        failures = {address: error.recipients.get(address, unsaid) for address in recipients}
    except smtplib.SMTPAuthenticationError as error:
        return failed(f"the SMTP server refused to sign us in: {_answer(error.smtp_code, error.smtp_error)}")
    except (smtplib.SMTPSenderRefused, smtplib.SMTPDataError) as error:
        why = _answer(error.smtp_code, error.smtp_error)
        return failed(why, for_good=_is_permanent(error.smtp_code))
    except smtplib.SMTPResponseException as error:  # its greeting, or its answer to EHLO or STARTTLS
        return failed(f"the SMTP server said {_answer(error.smtp_code, error.smtp_error)}")
    except ssl.SSLCertVerificationError as error:
        return failed(f"the SMTP server's certificate is not trusted: {error.verify_message}")
    except smtplib.SMTPException as error:
        return failed(f"the SMTP server cannot be used: {_clean(str(error))}")
    except OSError as error:
        return failed(f"no connection to {settings.host}:{settings.port}: {_clean(str(error))}")
    except ValueError as error:  # a host name that cannot be one, an answer that is no SMTP
        return failed(f"the SMTP server cannot be used: {_clean(str(error))}")
    retry: dict[str, str] = {}
    refused: dict[str, str] = {}
    for address, (code, text) in failures.items():
        (refused if _is_permanent(code) else retry)[address] = _answer(code, text)
    return Outcome(retry, refused)


def _send(
    settings: SmtpSettings, sender: str, recipients: Sequence[str], message: bytes
) -> Mapping[str, tuple[int, bytes]]:
    """What the server said to those recipients that it refused, where it took the mail for others."""
    client = _connect(settings)
    try:
        if settings.user is not None and settings.password is not None:
            client.login(settings.user, settings.password)
        return client.sendmail(sender, recipients, message)
    finally:
        # Whatever the server answers to QUIT, it does not take back what it said to the mail.
        with suppress(smtplib.SMTPException, OSError):
            client.quit()
        client.close()


def _connect(settings: SmtpSettings) -> smtplib.SMTP:
    # smtplib would look up this machine's own name, which may take longer than the delivery.
    name = socket.gethostname()
    name = name if "." in name else "[127.0.0.1]"
    if settings.tls == "implicit":
        return smtplib.SMTP_SSL(
            settings.host, settings.port, name, timeout=settings.timeout, context=settings.context()
        )
    client = smtplib.SMTP(settings.host, settings.port, name, timeout=settings.timeout)
    if settings.tls == "starttls":
        try:
            client.starttls(context=settings.context())  # raises where the server has none: never go on in the clear
            client.ehlo()
        except BaseException:
            client.close()
            raise
    return client


def _options(parts: SplitResult) -> dict[str, str] | None:
    """The query's options; None when one is there twice, or has no value."""
    try:
        found = parse_qs(parts.query, strict_parsing=bool(parts.query), keep_blank_values=True)
    except ValueError:
        return None
    return {name: values[0] for name, values in found.items()} if all(len(v) == 1 for v in found.values()) else None


def _is_this_machine(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _is_permanent(code: int) -> bool:
    return 500 <= code <= 599 and code not in _SIGN_IN_REFUSED


def _answer(code: int, text: bytes | str) -> str:
    said = text.decode(errors="replace") if isinstance(text, bytes) else text
    return f"{code} {_clean(said)}"[:_LONGEST_REASON] if code >= 0 else _clean(said)[:_LONGEST_REASON]


def _clean(text: str) -> str:
    """What a server said, on one line."""
    return " ".join("".join(sign if sign.isprintable() else " " for sign in text).split())
