"""Mail through SES: what SES is given, and what comes of its refusals. Against moto."""

import base64
import email
import email.policy
from collections.abc import Iterator
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

import pytest

from tests.unit.engines.aws.aws_peer import ACCOUNT, REGION, AwsPeer, clients_of, moto_server
from windlass import System
from windlass.engines.aws.clients import Clients
from windlass.engines.aws.mailer import AwsMailer
from windlass.engines.aws.stage import Stage
from windlass.errors import Denied, EngineUnavailable, InvalidItem
from windlass.ports.clock import ManualClock
from windlass.ports.mailer import Mail

SENDER = "Shop <shop@example.com>"
SEND = "/v2/email/outbound-emails"
NINE = datetime(2024, 6, 12, 9, tzinfo=UTC)


@pytest.fixture(scope="module")
def stands() -> Iterator[tuple[AwsPeer, Clients]]:
    with moto_server() as moto:
        clients_of(moto).client("sesv2").create_email_identity(EmailIdentity="example.com")
        peer = AwsPeer(moto)
        with peer.listening() as endpoint:
            yield peer, clients_of(endpoint)


@pytest.fixture
def peer(stands: tuple[AwsPeer, Clients]) -> AwsPeer:
    return stands[0].begin()


@pytest.fixture
def mailer(stands: tuple[AwsPeer, Clients]) -> AwsMailer:
    return declared(stands[1])


def declared(clients: Clients, sender: str = SENDER) -> AwsMailer:
    model = System("shop").mailer("mails", sender=sender)
    return AwsMailer(model, Stage("shop", "dev", REGION, ACCOUNT), clients, ManualClock(NINE))


def asked_of(peer: AwsPeer) -> tuple[dict[str, Any], Any]:
    """The one request, and the mail in it."""
    [(operation, asked)] = peer.asked
    assert operation == SEND
    raw = base64.b64decode(asked["Content"]["Raw"]["Data"])
    return asked, email.message_from_bytes(raw, policy=email.policy.default)


def test_a_mail_is_sent_and_has_the_id_that_ses_gives(peer: AwsPeer, mailer: AwsMailer) -> None:
    ids = {mailer.send(Mail(SENDER, ("ann@example.org",), "Hello", "Dear Ann")) for _ in range(3)}
    assert len(ids) == 3
    assert all(ids)
    asked, message = asked_of(AwsPeer("", asked=peer.asked[:1]))
    assert asked["FromEmailAddress"] == "shop@example.com"
    assert asked["Destination"] == {"ToAddresses": ["ann@example.org"]}
    assert (message["From"], message["To"], message["Subject"]) == (
        "Shop <shop@example.com>",
        "ann@example.org",
        "Hello",
    )
    assert message.get_content().strip() == "Dear Ann"
    assert parsedate_to_datetime(message["Date"]) == NINE


def test_every_recipient_is_told_to_ses_and_blind_ones_to_nobody_else(peer: AwsPeer, mailer: AwsMailer) -> None:
    mail = Mail(
        SENDER,
        ("Ann Łąka <ann@example.org>", "bob@żółw.example"),
        "Zażółć gęślą jaźń",
        "text",
        "<p>🌾</p>",
        cc=("carol@example.org", "ann@example.org"),
        bcc=("dave@example.org", "dave@example.org"),
        reply_to=("help@example.com",),
    )
    mailer.send(mail)
    asked, message = asked_of(peer)
    assert asked["Destination"] == {
        "ToAddresses": ["ann@example.org", "bob@xn--w-uga1v8h.example"],
        "CcAddresses": ["carol@example.org"],
        "BccAddresses": ["dave@example.org"],
    }
    assert b"dave" not in message.as_bytes()
    assert [address.display_name for address in message["To"].addresses] == ["Ann Łąka", ""]
    assert (message["Subject"], message["Reply-To"]) == ("Zażółć gęślą jaźń", "help@example.com")
    assert message.get_body(("html",)).get_content().strip() == "<p>🌾</p>"


def test_what_cannot_be_sent_is_refused_before_ses_is_asked(peer: AwsPeer, mailer: AwsMailer) -> None:
    for mail, field in (
        (Mail(SENDER, ("ann",), "x", "-"), "to[0]"),
        (Mail(SENDER, ("ann@example.org",), "x\r\nBcc: eve@example.org", "-"), "subject"),
        (Mail(SENDER, (), "x", "-"), "to"),
        (Mail(SENDER, ("ann@example.org",), "x", "x" * (10 * 1024 * 1024)), "text"),
    ):
        with pytest.raises(InvalidItem) as raised:
            mailer.send(mail)
        assert [error.field for error in raised.value.errors] == [field]
    assert peer.asked == []


def test_a_sender_whose_domain_is_not_verified_says_what_to_do(peer: AwsPeer, stands: tuple[AwsPeer, Clients]) -> None:
    mailer = declared(stands[1], "x@example.net")
    with pytest.raises(EngineUnavailable, match=r"verify example\.net in SES in eu-west-1"):
        mailer.send(Mail("x@example.net", ("ann@example.org",), "Hello", "-"))


@pytest.mark.parametrize(
    ("code", "status", "raised", "text"),
    [
        ("BadRequestException", 400, InvalidItem, "SES does not take it"),
        ("MailFromDomainNotVerifiedException", 400, EngineUnavailable, "verify example"),
        ("AccountSuspendedException", 400, EngineUnavailable, "AWS answered AccountSuspendedException"),
        ("SendingPausedException", 400, EngineUnavailable, "AWS answered SendingPausedException"),
        ("AccessDeniedException", 403, Denied, "not granted mails.send"),
    ],
)
def test_what_ses_refuses(
    peer: AwsPeer, mailer: AwsMailer, code: str, status: int, raised: type[Exception], text: str
) -> None:
    peer.answers[SEND] = lambda asked: (status, {"__type": code, "message": "arn:aws:ses:eu-west-1:123456789012"})
    with pytest.raises(raised, match=text) as error:
        mailer.send(Mail(SENDER, ("ann@example.org",), "Hello", "-"))
    assert "arn:aws" not in str(error.value)


def test_ses_keeps_no_mails_to_look_at(mailer: AwsMailer) -> None:
    with pytest.raises(EngineUnavailable, match=r"shop\.mails: SES keeps no mails"):
        mailer.list()
    with pytest.raises(EngineUnavailable, match=r"shop\.mails: SES keeps no mails"):
        mailer.show("id")


def test_a_mail_that_may_have_been_sent_is_not_sent_again(peer: AwsPeer, mailer: AwsMailer) -> None:
    peer.answers[SEND] = lambda asked: (500, {"message": "of account 123456789012"})
    with pytest.raises(EngineUnavailable, match=r"mails\.send: SES did not say whether the mail was sent$"):
        mailer.send(Mail(SENDER, ("ann@example.org",), "Hello", "Dear Ann"))
    assert len(peer.asked) == 1


def test_a_mail_over_the_rate_of_ses_is_sent_later(peer: AwsPeer, stands: tuple[AwsPeer, Clients]) -> None:
    pauses: list[float] = []
    model = System("shop").mailer("mails", sender=SENDER)
    mailer = AwsMailer(model, Stage("shop", "dev", REGION, ACCOUNT), stands[1], ManualClock(NINE), pauses.append)
    left = [(429, {"__type": "TooManyRequestsException", "message": "Maximum sending rate exceeded."})] * 2
    peer.answers[SEND] = lambda asked: left.pop() if left else None
    assert mailer.send(Mail(SENDER, ("ann@example.org",), "Hello", "Dear Ann"))
    assert (len(peer.asked), len(pauses)) == (3, 2)
