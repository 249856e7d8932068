"""Mail through SES, from the identity of the sender's domain.

https://docs.aws.amazon.com/ses/latest/APIReference-V2/API_SendEmail.html
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable
from typing import NoReturn

from windlass.engines.aws.attempt import in_doubt, send_once
from windlass.engines.aws.clients import Clients
from windlass.engines.aws.faults import calling
from windlass.engines.aws.stage import Stage
from windlass.errors import EngineUnavailable, InvalidItem
from windlass.model.mailer import Mailer
from windlass.ports.clock import Clock, SystemClock
from windlass.ports.mailer import Mail

__all__ = ["AwsMailer"]


class AwsMailer:
    """Implements `ports.mailer.MailerOperator`, save that SES keeps no mail that could be listed or shown.

    A mail is the same, byte for byte, as an SMTP server gets it from the embedded engine, but for the date and the
    Message-ID, which SES writes itself (https://docs.aws.amazon.com/ses/latest/dg/header-fields.html). `clock` dates it
    for endpoints that do not. `pause` waits for some seconds before SES is asked again.
    """

    def __init__(
        self,
        model: Mailer,
        stage: Stage,
        clients: Clients,
        clock: Clock | None = None,
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        self.model, self._stage, self._clients, self._pause = model, stage, clients, pause
        self._clock = clock or SystemClock()

    def send(self, mail: Mail) -> str:
        """Returns the id that SES gives it. Raises EngineUnavailable when SES does not send for this account now: the
        domain is not verified, the account is in the sandbox, its quota is used up. When its answer is lost, it is not
        sent once more, and the error says that it may have been sent."""
        # Imported when mail is sent: the email package costs 15 ms.
        from windlass.model import mime

        mime.check(mail)
        sender, _ = mime.envelope(mail)
        ses = self._clients.client("sesv2", once=True)
        request = {
            "FromEmailAddress": sender,
            "Destination": _destination(mail),
            "Content": {"Raw": {"Data": mime.compose(mail, str(uuid.uuid4()), self._clock.now())}},
        }
        with calling(self.model, "send"):
            try:
                answer = send_once(ses.send_email, request, self._pause)
            except ses.exceptions.BadRequestException as error:
                raise InvalidItem("the mail cannot be sent: SES does not take it") from error
            except (ses.exceptions.MessageRejected, ses.exceptions.MailFromDomainNotVerifiedException) as error:
                domain = sender.rpartition("@")[2]
                raise EngineUnavailable(
                    f"{self.model.where}.send: SES rejected a mail from {sender}\n"
                    f"  fix: verify {domain} in SES in {self._stage.region}, and ask for production access: in the "
                    "sandbox SES sends to verified addresses only"
                ) from error
            except Exception as error:
                if not in_doubt(error):
                    raise
                raise EngineUnavailable(
                    f"{self.model.where}.send: SES did not say whether the mail was sent"
                ) from error
        return str(answer["MessageId"])

    def list(self, limit: int = 100) -> NoReturn:
        """Raises EngineUnavailable."""
        self._no_outbox()

    def show(self, mail_id: str) -> NoReturn:
        """Raises EngineUnavailable."""
        self._no_outbox()

    def _no_outbox(self) -> NoReturn:
        raise EngineUnavailable(
            f"{self.model.where}: SES keeps no mails, so none can be shown\n"
            "  fix: look at the sending statistics of SES, or have its events published to CloudWatch or SNS"
        )


def _destination(mail: Mail) -> dict[str, list[str]]:
    """The bare addresses of all recipients, each once."""
    from windlass.model.mime import parse_address

    known: set[str] = set()
    destination: dict[str, list[str]] = {}
    for kind, texts in (("ToAddresses", mail.to), ("CcAddresses", mail.cc), ("BccAddresses", mail.bcc)):
        found = dict.fromkeys(parse_address(text, "to").addr_spec for text in texts)
        if fresh := [address for address in found if address not in known]:
            destination[kind] = fresh
            known.update(fresh)
    return destination
