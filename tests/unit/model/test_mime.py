"""What a mail may hold, and what it looks like on the wire."""

from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default

import pytest
from hypothesis import given
from hypothesis import strategies as st

from windlass.errors import InvalidItem
from windlass.model.mime import MAX_BYTES, check, compose, envelope, parse_address
from windlass.ports.mailer import Mail

ID = "0b5f2a7e-5a44-4a0e-8f6e-6d1f3f0c9a11"


def mail(
    to: tuple[str, ...] = ("ann@example.com",),
    subject: str = "hello",
    text: str | None = "hello",
    html: str | None = None,
    *,
    sender: str = "shop@example.com",
    cc: tuple[str, ...] = (),
    bcc: tuple[str, ...] = (),
    reply_to: tuple[str, ...] = (),
) -> Mail:
    return Mail(sender, to, subject, text, html, cc, bcc, reply_to)


def sent(given: Mail) -> EmailMessage:
    """The mail as its reader's program sees it."""
    check(given)
    raw = compose(given, ID, 1_718_182_800.0)
    raw.decode("ascii")
    assert all(len(line) <= 998 for line in raw.split(b"\r\n"))
    assert b"\n" not in raw.replace(b"\r\n", b"")
    read = message_from_bytes(raw, policy=default)
    assert isinstance(read, EmailMessage)
    return read


def content(part: object) -> str:
    assert isinstance(part, EmailMessage)
    found = part.get_content()
    assert isinstance(found, str)
    return found.replace("\r\n", "\n")


def test_a_text() -> None:
    read = sent(mail())
    assert dict(read.items()) == {
        "From": "shop@example.com",
        "To": "ann@example.com",
        "Subject": "hello",
        "Date": "Wed, 12 Jun 2024 09:00:00 +0000",
        "Message-ID": f"<{ID}@example.com>",
        "Content-Type": 'text/plain; charset="utf-8"',
        "Content-Transfer-Encoding": "7bit",
        "MIME-Version": "1.0",
    }
    assert content(read) == "hello\n"


def test_text_and_html_are_alternatives_the_richer_last() -> None:
    read = sent(mail(text="Zażółć", html="<p>gęślą</p>"))
    assert read.get_content_type() == "multipart/alternative"
    assert [part.get_content_type() for part in read.iter_parts()] == ["text/plain", "text/html"]
    assert [content(part) for part in read.iter_parts()] == ["Zażółć\n", "<p>gęślą</p>\n"]


def test_html_alone() -> None:
    read = sent(mail(text=None, html="<p>gęślą jaźń</p>"))
    assert read.get_content_type() == "text/html"
    assert content(read) == "<p>gęślą jaźń</p>\n"


def test_unicode_in_names_subject_and_domain() -> None:
    given = mail(
        ("Zoë 🌾 <zoe@łąka.pl>", '"Żółw, Łukasz" <l@example.com>'), "Zażółć gęślą jaźń " * 20, sender="Ł <a@b.de>"
    )
    read = sent(given)
    assert read["Subject"] == given.subject
    assert [(one.display_name, one.addr_spec) for one in read["To"].addresses] == [
        ("Zoë 🌾", "zoe@xn--ka-ola7v.pl"),
        ("Żółw, Łukasz", "l@example.com"),
    ]
    assert envelope(given) == ("a@b.de", ("zoe@xn--ka-ola7v.pl", "l@example.com"))


def test_blind_copies_stay_blind() -> None:
    given = mail(cc=("bob@example.com",), bcc=("eve@example.com", "ann@example.com"), reply_to=("help@example.com",))
    read = sent(given)
    assert (read["Cc"], read["Reply-To"]) == ("bob@example.com", "help@example.com")
    assert "eve@" not in read.as_string()
    assert envelope(given)[1] == ("ann@example.com", "bob@example.com", "eve@example.com")


def test_the_same_mail_is_composed_the_same() -> None:
    given = mail(html="<p>hello</p>")
    assert compose(given, ID, 5.5) == compose(given, ID, 5.5)


INJECTIONS = [
    "x\r\nBcc: eve@example.com",
    "x\nBcc: eve@example.com",
    "x\rBcc: eve@example.com",
    "x\x00",
    "x\x0bBcc: eve@example.com",
    "x\x85Bcc: eve@example.com",
    "x\u2028Bcc: eve@example.com",
    "\ud800",
]
# A line break that shows only where an encoded word (RFC 2047) is read.
ENCODED = ["=?utf-8?q?x=0D=0ABcc:_eve=40example.com?=", "=?utf-8?b?eA0KQmNjOiBldmVAZXhhbXBsZS5jb20=?="]


@pytest.mark.parametrize("attack", INJECTIONS)
def test_no_subject_begins_another_header(attack: str) -> None:
    with pytest.raises(InvalidItem) as raised:
        check(mail(subject=attack))
    assert raised.value.errors[0].field == "subject"


@pytest.mark.parametrize("subject", [*ENCODED, "=?utf-8?q?evil?=", "=?", "x" * 998, "a b " * 200, " x  y "])
def test_a_subject_is_shown_as_it_was_written(subject: str) -> None:
    assert sent(mail(subject=subject))["Subject"] == subject


@pytest.mark.parametrize("attack", [*INJECTIONS, *ENCODED])
@pytest.mark.parametrize("form", ["{} <ann@example.com>", "ann@example.com{}", '"{}" <ann@example.com>', "{}@b.de"])
def test_no_address_begins_another_header(attack: str, form: str) -> None:
    for field in ("to", "cc", "bcc", "reply_to"):
        addresses = {"to": ("bob@example.com",)} | {field: ("bob@example.com", form.format(attack))}
        with pytest.raises(InvalidItem) as raised:
            check(mail(**addresses))  # type: ignore[arg-type]
        assert raised.value.errors[0].field == f"{field}[1]"


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "ann",
        "ann@",
        "@example.com",
        "ann@example.com, bob@example.com",
        "ann@example.com bob@example.com",
        "Ann, Bob <ann@example.com>",
        "Ann <ann@example.com",
        "everybody: ann@example.com, bob@example.com;",
        "undisclosed-recipients:;",
        "<@relay.example.com:ann@example.com>",
        "ann@example.com> <bob@example.com",
        "ann@b@example.com",
        "ann..b@example.com",
        ".ann@example.com",
        '"ann b"@example.com',
        "łąka@example.com",
        "ann@[127.0.0.1]",
        "ann@127.0.0.1",
        "ann@example..com",
        "ann@-example.com",
        "ann@exam_ple.com",
        "ann@straße.de",
        "ann@" + "x" * 64 + ".com",
        "ann@" + "x." * 127 + "com",
        "a" * 65 + "@example.com",
        "=?utf-8?q?ann=40evil.com?=@example.com",
        "(" * 400 + "ann@example.com",
        '"' * 499,
        "ann@" + "b." * 50_000,
    ],
)
def test_what_is_not_one_address_is_refused(text: str) -> None:
    with pytest.raises(InvalidItem):
        parse_address(text, "to")


@pytest.mark.parametrize(
    "text",
    [
        "ann@example.com",
        "ann@localhost",
        "Ann <ann@example.com>",
        "<ann@example.com>",
        "a.b+c=d'e@x-y.example",
        "a@1.de",
    ],
)
def test_what_is_one_address_is_taken(text: str) -> None:
    assert parse_address(text, "to").addr_spec in text


@pytest.mark.parametrize(
    ("given", "field"),
    [
        (mail(to=()), "to"),
        (mail(to=("a@b.de",) * 51), "to"),
        (mail(to=("a@b.de",) * 25, cc=("a@b.de",) * 25, bcc=("a@b.de",)), "to"),
        (mail(text=None), "text"),
        (mail(text="\ud800"), "text"),
        (mail(html="\udfff"), "html"),
        (mail(text="x" * (MAX_BYTES + 1)), "text"),
        (mail(text="ł" * (MAX_BYTES // 2)), "text"),
        (mail(sender="shop"), "sender"),
        (mail(subject="x" * 999), "subject"),
        (mail(to=("x" * 500 + " <a@b.de>",)), "to[0]"),
    ],
)
def test_what_cannot_be_sent_is_refused(given: Mail, field: str) -> None:
    with pytest.raises(InvalidItem) as raised:
        check(given)
    assert raised.value.errors[0].field == field


def test_the_bounds_are_within() -> None:
    check(mail(to=("a@b.de",) * 50))
    check(mail(to=(), bcc=("a@b.de",)))
    check(mail(subject="", text=""))
    check(mail(text="x" * 70 + "\n" + ("x" * 70 + "\n") * 140_000))


@given(st.text(max_size=40), st.text(max_size=40))
def test_an_accepted_mail_has_the_headers_it_should_have(subject: str, name: str) -> None:
    given = mail((f"{name} <ann@example.com>",), subject)
    try:
        check(given)
    except InvalidItem:
        return
    assert [header.lower() for header in sent(given)] == [
        "from",
        "to",
        "subject",
        "date",
        "message-id",
        "content-type",
        "content-transfer-encoding",
        "mime-version",
    ]
    assert sent(given)["Subject"] == subject
    assert [one.addr_spec for one in sent(given)["To"].addresses] == ["ann@example.com"]
    assert envelope(given) == ("shop@example.com", ("ann@example.com",))


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=2000))
def test_a_body_arrives_line_by_line(text: str) -> None:
    lines = [line.rstrip("\r\n") for line in text.replace("\r\n", "\n").replace("\r", "\n").split("\n")]
    read = content(sent(mail(text=text)))
    assert read.removesuffix("\n").split("\n") == (lines[:-1] if lines[-1] == "" and len(lines) > 1 else lines)
