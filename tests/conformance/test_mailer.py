"""What a mailer does with a mail."""

from collections.abc import Callable
from typing import Any

import pytest

from tests.conformance.plugin import Start
from windlass import InvalidItem, Mailer, NotFound, System, TemplateFault
from windlass.ports.mailer import Mail


def declared(sender: str = "Shop <shop@example.com>") -> tuple[System, Mailer]:
    system = System("shop")
    return system, system.mailer("mails", sender=sender)


def test_a_mail_is_sent(start: Start) -> None:
    system, mails = declared()
    app = start(system)
    with app.bound():
        mails.send("ann@example.com", subject="Hello", text="Dear Ann")
    assert app.outbox == [Mail("Shop <shop@example.com>", ("ann@example.com",), "Hello", "Dear Ann")]


def test_every_kind_of_recipient(start: Start) -> None:
    system, mails = declared()
    app = start(system)
    with app.bound():
        mails.send(
            ["Ann <ann@example.com>", "bob@example.com"],
            subject="Zażółć gęślą jaźń",
            html="<p>🌾</p>",
            cc=["carol@example.com"],
            bcc="dave@example.com",
            reply_to="help@example.com",
        )
    (mail,) = app.outbox
    assert mail.to == ("Ann <ann@example.com>", "bob@example.com")
    assert (mail.cc, mail.bcc, mail.reply_to) == (
        ("carol@example.com",),
        ("dave@example.com",),
        ("help@example.com",),
    )
    assert (mail.subject, mail.text, mail.html) == ("Zażółć gęślą jaźń", None, "<p>🌾</p>")


def test_mails_keep_their_order(start: Start) -> None:
    system, mails = declared()
    app = start(system)
    with app.bound():
        for number in range(5):
            mails.send("ann@example.com", subject=str(number), text="-")
    assert [mail.subject for mail in app.outbox] == ["0", "1", "2", "3", "4"]


def test_an_operator_finds_a_mail_by_its_id(start: Start) -> None:
    system, mails = declared()
    app = start(system)
    with app.bound():
        first = mails.send("ann@example.com", subject="one", text="-")
        second = mails.send("ann@example.com", subject="two", text="-")
    operator = app.mailer("mails")
    assert [sent.id for sent in operator.list()] == [second, first]
    assert [sent.id for sent in operator.list(1)] == [second]
    assert operator.show(first).mail.subject == "one"
    assert operator.show(first).sent_at == app.clock.now()
    with pytest.raises(NotFound):
        operator.show("no-such-mail")


def test_mails_are_still_there_after_a_restart(start: Start) -> None:
    system, mails = declared()
    first = start(system)
    with first.bound():
        mails.send("ann@example.com", subject="Hello", text="-")
    first.close()
    assert [mail.subject for mail in start(system).outbox] == ["Hello"]


# Templates


def test_a_template_writes_the_mail(start: Start) -> None:
    system, mails = declared()
    welcome = mails.template(
        "welcome",
        subject="Welcome, {{ name }}",
        text="Dear {{ name }},\nyou ordered {{ items | join(', ') }}.",
        html="<p>Dear {{ name }}</p>",
    )
    app = start(system)
    with app.bound():
        mails.send("ann@example.com", welcome, {"name": "Ann <3", "items": ["tea", "milk"]})
    (mail,) = app.outbox
    assert mail.subject == "Welcome, Ann <3"
    assert mail.text == "Dear Ann <3,\nyou ordered tea, milk."
    assert mail.html == "<p>Dear Ann &lt;3</p>"


def test_a_template_lacks_nothing(start: Start) -> None:
    system, mails = declared()
    welcome = mails.template("welcome", subject="Welcome", text="Dear {{ name }}")
    app = start(system)
    with app.bound(), pytest.raises(TemplateFault, match="'name' is undefined"):
        mails.send("ann@example.com", welcome, {})
    assert app.outbox == []


def test_a_template_belongs_to_its_mailer(start: Start) -> None:
    system, mails = declared()
    other = system.mailer("other", sender="other@example.com")
    welcome = other.template("welcome", subject="Welcome", text="-")
    app = start(system)
    with app.bound(), pytest.raises(InvalidItem, match="belongs to other"):
        mails.send("ann@example.com", welcome)


@pytest.mark.parametrize("extra", [{"subject": "x"}, {"text": "x"}, {"html": "x"}])
def test_a_mail_has_one_writer(start: Start, extra: dict[str, str]) -> None:
    system, mails = declared()
    welcome = mails.template("welcome", subject="Welcome", text="-")
    app = start(system)
    with app.bound(), pytest.raises(InvalidItem, match="not both"):
        mails.send("ann@example.com", welcome, {}, **extra)
    with app.bound(), pytest.raises(InvalidItem, match="data is for a template"):
        mails.send("ann@example.com", data={"name": "Ann"}, text="-")
    assert app.outbox == []


# What is refused

Send = Callable[[Mailer], object]

REFUSED: dict[str, tuple[str, Send]] = {
    "no recipient": ("to", lambda m: m.send([], text="-")),
    "too many": ("to", lambda m: m.send(["a@example.com"] * 30, cc=["b@example.com"] * 21, text="-")),
    "no body": ("text", lambda m: m.send("a@example.com", subject="x")),
    "too large": ("text", lambda m: m.send("a@example.com", text="x" * (10 * 1024 * 1024))),
    "no address": ("to[0]", lambda m: m.send("ann", text="-")),
    "two addresses": ("to[0]", lambda m: m.send("a@example.com, b@example.com", text="-")),
    "no domain": ("cc[1]", lambda m: m.send("a@example.com", cc=["a@example.com", "b@"], text="-")),
    "local part": ("bcc[0]", lambda m: m.send("a@example.com", bcc=["łąka@example.com"], text="-")),
    "reply": ("reply_to[0]", lambda m: m.send("a@example.com", reply_to=["nobody"], text="-")),
    "line in subject": ("subject", lambda m: m.send("a@example.com", subject="x\r\nBcc: e@example.com", text="-")),
    "line in address": ("to[0]", lambda m: m.send("a@example.com\nBcc: e@example.com", text="-")),
    "line in name": ("to[0]", lambda m: m.send("A\r\nBcc: e@example.com <a@example.com>", text="-")),
    "nul in subject": ("subject", lambda m: m.send("a@example.com", subject="x\x00", text="-")),
    "no text": ("text", lambda m: m.send("a@example.com", text="\ud800")),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_sent_is_refused(start: Start, case: str) -> None:
    system, mails = declared()
    app = start(system)
    field, send = REFUSED[case]
    with app.bound(), pytest.raises(InvalidItem) as raised:
        send(mails)
    assert [error.field for error in raised.value.errors] == [field]
    assert app.outbox == []


def test_the_bounds_are_within(start: Start) -> None:
    system, mails = declared()
    app = start(system)
    with app.bound():
        mails.send(["a@example.com"] * 25, cc=["b@example.com"] * 25, text="-")
        mails.send("a@example.com", text="x" * 70 + "\n" + ("y" * 70 + "\n") * 140_000)
        mails.send("a@example.com", text="")
    assert len(app.outbox) == 3


def test_a_subject_that_looks_encoded_stays_as_it_is(start: Start) -> None:
    system, mails = declared()
    app = start(system)
    with app.bound():
        mails.send("ann@example.com", subject="=?utf-8?q?x=0D=0ABcc:_e=40example.com?=", text="-")
    assert app.outbox[0].subject == "=?utf-8?q?x=0D=0ABcc:_e=40example.com?="


def test_sending_needs_a_grant(start: Start) -> None:
    system, mails = declared()
    api = system.api("api")

    @api.post("/granted", uses=[mails.send])
    def granted() -> dict[str, Any]:
        return {"id": mails.send("ann@example.com", subject="granted", text="-")}

    @api.post("/denied")
    def denied() -> dict[str, Any]:
        return {"id": mails.send("ann@example.com", subject="denied", text="-")}

    app = start(system)
    answer = app.post("/granted")
    assert answer.status == 200
    assert app.post("/denied").status == 500
    assert [mail.subject for mail in app.outbox] == ["granted"]
    assert answer.json()["id"]


def test_a_bad_address_is_the_callers_fault(start: Start) -> None:
    system, mails = declared()
    api = system.api("api")

    @api.post("/invitations", uses=[mails.send])
    def invite(to: str) -> dict[str, Any]:
        return {"id": mails.send(to, subject="Come in", text="-")}

    app = start(system)
    assert app.post("/invitations", query={"to": "ann@example.com"}).status == 200
    assert app.post("/invitations", query={"to": "ann@example.com\r\nBcc: eve@example.com"}).status == 400
    assert len(app.outbox) == 1
