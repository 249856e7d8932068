"""One mail to one server: what is for good and what may go well another time, TLS, and the URL of the server."""

import datetime
import ipaddress
import ssl
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.engines.embedded.smtp_peer import Answer, SmtpPeer, serving
from windlass.engines.embedded.smtp import Outcome, SmtpSettings, deliver
from windlass.errors import DeclarationError

MESSAGE = b"From: shop@example.com\r\nSubject: hi\r\n\r\nhello\r\n.\r\n..\r\nbye\r\n"
BOTH = ("ann@example.com", "bob@example.com")


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A PEM file with a key and a certificate for 127.0.0.1, signed by itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "peer.test")])
    now = datetime.datetime.now(datetime.UTC)
    signed = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    path = tmp_path_factory.mktemp("tls") / "peer.pem"
    path.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        + signed.public_bytes(serialization.Encoding.PEM)
    )
    return path


def with_tls(certificate: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    return context


def plain(peer: SmtpPeer) -> SmtpSettings:
    return SmtpSettings("127.0.0.1", peer.port, "none", timeout=5)


def always(answer: str) -> Answer:
    return lambda _: answer


def test_a_mail_arrives_as_it_is() -> None:
    with serving(SmtpPeer()) as peer:
        outcome = deliver(plain(peer), "shop@example.com", BOTH, MESSAGE)
    assert outcome == Outcome()
    assert outcome.reason is None
    assert [(taken.sender, tuple(taken.recipients)) for taken in peer.taken] == [("shop@example.com", BOTH)]
    assert peer.taken[0].message == MESSAGE
    assert peer.commands[-1] == "QUIT"


@pytest.mark.parametrize("verb", ["MAIL", "RCPT", "DATA", "."])
@pytest.mark.parametrize(("answer", "for_good"), [("451 try later", False), ("550 never", True), ("552 full", True)])
def test_the_answer_says_whether_it_is_for_good(verb: str, answer: str, for_good: bool) -> None:
    with serving(SmtpPeer(answers={verb: always(answer)})) as peer:
        outcome = deliver(plain(peer), "shop@example.com", BOTH, MESSAGE)
    each = dict.fromkeys(BOTH, answer)
    assert outcome == (Outcome(refused=each) if for_good else Outcome(retry=each))
    assert outcome.reason == f"{answer} (ann@example.com, bob@example.com)"
    assert peer.taken == []


def test_each_recipient_is_taken_or_refused_by_itself() -> None:
    answers = {"ann": None, "bob": "550 no such user", "eve": "450 mailbox busy"}
    peer = SmtpPeer(answers={"RCPT": lambda line: next(said for name, said in answers.items() if name in line)})
    with serving(peer):
        outcome = deliver(plain(peer), "shop@example.com", [f"{name}@example.com" for name in answers], MESSAGE)
    assert outcome.refused == {"bob@example.com": "550 no such user"}
    assert outcome.retry == {"eve@example.com": "450 mailbox busy"}
    assert peer.taken[0].recipients == ["ann@example.com"]


def test_a_server_that_ends_the_conversation_has_taken_nothing() -> None:
    peer = SmtpPeer(answers={"RCPT": lambda line: "421 going down" if "bob" in line else None})
    with serving(peer):
        outcome = deliver(plain(peer), "shop@example.com", [*BOTH, "eve@example.com"], MESSAGE)
    assert set(outcome.retry) == {*BOTH, "eve@example.com"}
    assert not outcome.refused
    assert peer.taken == []


@pytest.mark.parametrize("verb", ["GREETING", "MAIL", "."])
def test_a_broken_conversation_may_go_well_another_time(verb: str) -> None:
    with serving(SmtpPeer(answers={verb: always("close")})) as peer:
        outcome = deliver(plain(peer), "shop@example.com", BOTH, MESSAGE)
    assert set(outcome.retry) == set(BOTH)


@pytest.mark.parametrize("answer", ["500 what?", "close", "221-\x00 bye"])
def test_what_is_said_after_the_mail_was_taken_does_not_count(answer: str) -> None:
    with serving(SmtpPeer(answers={"QUIT": always(answer)})) as peer:
        assert deliver(plain(peer), "shop@example.com", BOTH, MESSAGE) == Outcome()
    assert len(peer.taken) == 1


def test_an_unfriendly_greeting_is_about_the_server_not_the_mail() -> None:
    with serving(SmtpPeer(answers={"GREETING": always("554 no service")})) as peer:
        outcome = deliver(plain(peer), "shop@example.com", BOTH, MESSAGE)
    assert outcome.retry["ann@example.com"] == "the SMTP server said 554 no service"


def test_what_a_server_says_is_kept_short_and_on_one_line() -> None:
    said = "550-one\r\n550-" + "x" * 900 + "\r\n550 \x1b[2Jthree"
    with serving(SmtpPeer(answers={"MAIL": always(said)})) as peer:
        outcome = deliver(plain(peer), "shop@example.com", BOTH[:1], MESSAGE)
    (why,) = outcome.refused.values()
    assert len(why) <= 300
    assert why.startswith("550 one xxx")
    assert why.isprintable()


def test_a_refused_connection_may_go_well_another_time() -> None:
    with serving(SmtpPeer()) as peer:
        settings = plain(peer)
    outcome = deliver(settings, "shop@example.com", BOTH, MESSAGE)  # nobody listens any more
    assert f"no connection to 127.0.0.1:{peer.port}: " in outcome.retry["ann@example.com"]


@pytest.mark.parametrize("host", ["no-such-host.invalid", "a..b", "x" * 300])
def test_a_host_that_is_none_may_be_one_another_time(host: str) -> None:
    assert set(deliver(SmtpSettings(host, 25, "none"), "shop@example.com", BOTH, MESSAGE).retry) == set(BOTH)


# TLS


@pytest.mark.parametrize("implicit", [False, True], ids=["starttls", "implicit"])
def test_tls(certificate: Path, implicit: bool) -> None:
    peer = SmtpPeer(tls=with_tls(certificate), implicit=implicit, extensions=["AUTH PLAIN"])
    with serving(peer):
        url = f"smtp://shop:p%40ss@127.0.0.1:{peer.port}?tls={'implicit' if implicit else 'starttls'}&ca={certificate}"
        outcome = deliver(SmtpSettings.parse(url), "shop@example.com", BOTH, MESSAGE)
    assert outcome == Outcome()
    assert peer.encrypted
    assert len(peer.taken) == 1
    assert any(command.startswith("AUTH PLAIN") for command in peer.commands)


@pytest.mark.parametrize("implicit", [False, True], ids=["starttls", "implicit"])
def test_a_certificate_is_verified(certificate: Path, implicit: bool) -> None:
    peer = SmtpPeer(tls=with_tls(certificate), implicit=implicit)
    with serving(peer):
        settings = SmtpSettings("127.0.0.1", peer.port, "implicit" if implicit else "starttls", timeout=5)
        outcome = deliver(settings, "shop@example.com", BOTH, MESSAGE)
    assert "certificate is not trusted" in outcome.retry["ann@example.com"]
    assert peer.taken == []


def test_without_starttls_nothing_is_said_in_the_clear() -> None:
    with serving(SmtpPeer()) as peer:
        settings = SmtpSettings("127.0.0.1", peer.port, "starttls", "shop", "hunter2", timeout=5)
        outcome = deliver(settings, "shop@example.com", BOTH, MESSAGE)
    assert "STARTTLS" in outcome.retry["ann@example.com"]
    assert not any(command.startswith(("AUTH", "MAIL")) for command in peer.commands)


@pytest.mark.parametrize("answer", ["535 wrong password", "454 later"])
def test_a_refused_sign_in_can_be_mended(answer: str) -> None:
    peer = SmtpPeer(extensions=["AUTH PLAIN"], answers={"AUTH": always(answer)})
    with serving(peer):
        settings = SmtpSettings("127.0.0.1", peer.port, "none", "shop", "hunter2", timeout=5)
        outcome = deliver(settings, "shop@example.com", BOTH, MESSAGE)
    assert outcome.retry["ann@example.com"] == f"the SMTP server refused to sign us in: {answer}"


def test_a_server_that_wants_a_sign_in_can_be_mended() -> None:
    with serving(SmtpPeer(answers={"MAIL": always("530 sign in first")})) as peer:
        outcome = deliver(plain(peer), "shop@example.com", BOTH, MESSAGE)
    assert set(outcome.retry) == set(BOTH)


# The URL


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("smtp://mail.example.com", SmtpSettings("mail.example.com", 587, "starttls")),
        ("smtp://mail.example.com:465", SmtpSettings("mail.example.com", 465, "implicit")),
        ("smtp://mail.example.com/?tls=implicit", SmtpSettings("mail.example.com", 465, "implicit")),
        ("smtp://localhost:1025?tls=none", SmtpSettings("localhost", 1025, "none")),
        ("smtp://[::1]?tls=none", SmtpSettings("::1", 25, "none")),
        ("smtp://u:p@127.0.0.1:25?tls=none", SmtpSettings("127.0.0.1", 25, "none", "u", "p")),
        (
            "smtp://shop%40example.com:p%2F%3F%23%40@h:2525?tls=starttls&ca=/etc/ca.pem",
            SmtpSettings("h", 2525, "starttls", "shop@example.com", "p/?#@", "/etc/ca.pem"),
        ),
    ],
)
def test_a_url_is_read(url: str, expected: SmtpSettings) -> None:
    assert SmtpSettings.parse(url) == expected


@pytest.mark.parametrize(
    ("url", "fault"),
    [
        ("", "does not begin with smtp://"),
        ("mail.example.com:25", "does not begin with smtp://"),
        ("https://u:hunter2@mail.example.com", "does not begin with smtp://"),
        ("smtp://", "names no host"),
        ("smtp://u:hunter2@", "names no host"),
        ("smtp://u:hunter2@host:port", "host or the port"),
        ("smtp://u:hunter2@host:99999", "host or the port"),
        ("smtp://u:hunter2@[::1", "host or the port"),
        ("smtp://u:hunter2#x@host", "host or the port"),
        ("smtp://host#hunter2", "path or a fragment"),
        ("smtp://u:hunter2@host/inbox", "path or a fragment"),
        ("smtp://u:hunter2@host?tls=maybe", "tls="),
        ("smtp://u:hunter2@host?tls", "after the ?"),
        ("smtp://u:hunter2@host?tls=none&tls=starttls", "after the ?"),
        ("smtp://u:hunter2@host?verify=no", "after the ?"),
        ("smtp://u@host", "without a password"),
        ("smtp://u:łhunter2@host", "ASCII only"),
        ("smtp://u:hunter2@mail.example.com?tls=none", "readable for all"),
    ],
)
def test_a_url_that_is_none_is_explained_without_the_password(url: str, fault: str) -> None:
    with pytest.raises(DeclarationError, match="WINDLASS_SMTP_URL") as raised:
        SmtpSettings.parse(url)
    assert fault in raised.value.summary
    assert raised.value.fix
    assert "hunter2" not in str(raised.value)
    assert raised.value.__suppress_context__ or raised.value.__context__ is None


def test_the_password_is_not_shown() -> None:
    settings = SmtpSettings.parse("smtp://shop:hunter2@mail.example.com")
    assert settings.password == "hunter2"
    assert "hunter2" not in repr(settings)
    assert "hunter2" not in str(settings)


@given(st.text())
def test_any_url_is_read_or_refused(text: str) -> None:
    for url in (text, f"smtp://{text}", f"smtp://u:p@h?{text}"):
        try:
            settings = SmtpSettings.parse(url)
        except DeclarationError:
            continue
        assert settings.host
