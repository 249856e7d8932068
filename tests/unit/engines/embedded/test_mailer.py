"""Mail on the embedded engine: the inbox, and the line of mails that wait for SMTP."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from tests.unit.engines.embedded.smtp_peer import SmtpPeer, serving
from windlass.engines.embedded.mailer import Delivery, EmbeddedMailer
from windlass.engines.embedded.namespace import Namespace
from windlass.engines.embedded.smtp import SmtpSettings
from windlass.errors import DeclarationError, InvalidItem, NotFound
from windlass.model.mailer import Mailer
from windlass.model.system import System
from windlass.ports.clock import ManualClock
from windlass.ports.mailer import Mail, MailerOperator, SentMail

NOWHERE = SmtpSettings("127.0.0.1", 9, "none")


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def namespace(tmp_path: Path, clock: ManualClock) -> Iterator[Namespace]:
    opened = Namespace(tmp_path, clock=clock)
    yield opened
    opened.close()


@pytest.fixture
def peer() -> Iterator[SmtpPeer]:
    with serving(SmtpPeer()) as made:
        yield made


def declared(name: str = "mails", *, system: str = "shop") -> Mailer:
    return System(system).mailer(name, sender="Shop <shop@example.com>")


def mail(*to: str, subject: str = "hello") -> Mail:
    return Mail("Shop <shop@example.com>", to or ("ann@example.com",), subject, "hello")


def connected(namespace: Namespace, peer: SmtpPeer) -> EmbeddedMailer:
    return EmbeddedMailer(declared(), namespace, SmtpSettings("127.0.0.1", peer.port, "none", timeout=5))


def deliver_due(mailer: EmbeddedMailer, clock: ManualClock) -> int:
    """Does what the pump does now; how many deliveries that were."""
    works = mailer.claim(clock.now(), 10)
    for work in works:
        work.run()
    return len(works)


def only(mailer: EmbeddedMailer) -> SentMail:
    (found,) = mailer.list()
    return found


# The inbox


def test_without_smtp_mail_is_kept(namespace: Namespace, clock: ManualClock) -> None:
    mailer: MailerOperator = EmbeddedMailer(declared(), namespace)
    first, sent_at = mailer.send(mail(subject="one")), clock.now()
    clock.advance(timedelta(seconds=1))
    second = mailer.send(mail("Ann <ann@example.com>", "bob@example.com", subject="two"))
    assert [found.id for found in mailer.list()] == [second, first]
    assert [found.id for found in mailer.list(1)] == [second]
    assert mailer.show(first) == SentMail(first, mail(subject="one"), sent_at, "kept")
    assert mailer.show(second).mail.to == ("Ann <ann@example.com>", "bob@example.com")


def test_kept_mail_is_no_work(namespace: Namespace, clock: ManualClock) -> None:
    mailer = EmbeddedMailer(declared(), namespace)
    mailer.send(mail())
    assert mailer.due_at() is None
    assert mailer.claim(clock.now(), 10) == []


def test_each_mailer_has_its_own_mails(namespace: Namespace) -> None:
    mailers = [
        EmbeddedMailer(model, namespace) for model in (declared("a"), declared("b"), declared("a", system="blog"))
    ]
    ids = [mailer.send(mail()) for mailer in mailers]
    assert [[found.id for found in mailer.list()] for mailer in mailers] == [[mail_id] for mail_id in ids]
    with pytest.raises(NotFound):
        mailers[0].show(ids[1])


def test_a_mail_that_cannot_be_sent_is_not_accepted(namespace: Namespace) -> None:
    mailer = EmbeddedMailer(declared(), namespace)
    with pytest.raises(InvalidItem) as raised:
        mailer.send(mail("ann@example.com\r\nBcc: eve@example.com"))
    assert raised.value.errors[0].field == "to[0]"
    assert mailer.list() == []


def test_an_unknown_mail_is_not_found(namespace: Namespace) -> None:
    with pytest.raises(NotFound):
        EmbeddedMailer(declared(), namespace).show("no-such-mail")


def test_a_template_that_is_wrong_does_not_start(namespace: Namespace) -> None:
    model = declared()
    model.template("welcome", subject="Hello {{ name", text="hi")
    with pytest.raises(DeclarationError, match=r"shop\.mails\.welcome"):
        EmbeddedMailer(model, namespace)


def test_mails_outlive_the_process(tmp_path: Path) -> None:
    first = Namespace(tmp_path)
    mail_id = EmbeddedMailer(declared(), first).send(mail())
    first.store.flush()
    second = Namespace(tmp_path)
    assert EmbeddedMailer(declared(), second).show(mail_id).mail == mail()
    second.close()
    first.close()


def test_the_newest_mails_are_kept_and_not_for_ever(namespace: Namespace, clock: ManualClock) -> None:
    mailer = EmbeddedMailer(declared(), namespace, keep=3, keep_seconds=86_400)
    other = EmbeddedMailer(declared("other"), namespace)
    other.send(mail())
    ids = []
    for _ in range(5):
        ids.append(mailer.send(mail()))
        other.send(mail())
    assert mailer.remove_expired() == 2
    assert [found.id for found in mailer.list()] == [ids[4], ids[3], ids[2]]
    assert mailer.remove_expired() == 0
    clock.advance(timedelta(days=1, seconds=1))
    assert mailer.remove_expired() == 3
    assert len(other.list()) == 6


def test_a_mail_that_waits_is_not_removed(namespace: Namespace, clock: ManualClock) -> None:
    mailer = EmbeddedMailer(declared(), namespace, NOWHERE, keep=0)
    mailer.send(mail())
    clock.advance(timedelta(days=31))
    assert mailer.remove_expired() == 0


# Delivery


def test_a_mail_is_delivered(namespace: Namespace, clock: ManualClock, peer: SmtpPeer) -> None:
    mailer = connected(namespace, peer)
    mail_id = mailer.send(mail("Ann <ann@example.com>", "bob@example.com"))
    assert mailer.show(mail_id).state == "waiting"
    assert mailer.due_at() == clock.now()
    assert deliver_due(mailer, clock) == 1
    assert mailer.show(mail_id) == SentMail(mail_id, only(mailer).mail, clock.now(), "sent", 1)
    assert mailer.due_at() is None
    (taken,) = peer.taken
    assert (taken.sender, taken.recipients) == ("shop@example.com", ["ann@example.com", "bob@example.com"])
    assert f"Message-ID: <{mail_id}@example.com>".encode() in taken.message


def test_the_pump_is_told_when_the_mail_is_durable(namespace: Namespace) -> None:
    told: list[bool] = []
    mailer = EmbeddedMailer(declared(), namespace, NOWHERE, lambda: told.append(namespace.store.dirty))
    mailer.send(mail())
    assert told == []
    namespace.store.flush()
    assert told == [False]


def test_nothing_goes_out_before_it_is_committed(namespace: Namespace, clock: ManualClock, peer: SmtpPeer) -> None:
    mailer = connected(namespace, peer)
    mailer.send(mail())
    seen: list[bool] = []

    def look(_: str) -> None:
        seen.append(namespace.store.dirty)

    peer.answers["MAIL"] = look
    assert namespace.store.dirty
    deliver_due(mailer, clock)
    assert seen == [False]


def test_a_mail_whose_transaction_was_undone_does_not_go_out(
    namespace: Namespace, clock: ManualClock, peer: SmtpPeer
) -> None:
    mailer = connected(namespace, peer)
    namespace.store.flush()
    mailer.send(mail())
    (work,) = mailer.claim(clock.now(), 1)
    with namespace.store.write() as db:
        db.execute("rollback")
        db.execute("begin immediate")
    work.run()
    assert peer.taken == []
    assert mailer.list() == []


def test_a_passing_refusal_is_tried_again_later_each_time(
    namespace: Namespace, clock: ManualClock, peer: SmtpPeer
) -> None:
    mailer = connected(namespace, peer)
    peer.answers["MAIL"] = lambda _: "451 try later"
    mailer.send(mail())
    waits = []
    for _ in range(10):
        deliver_due(mailer, clock)
        due = mailer.due_at()
        assert due is not None
        waits.append(due - clock.now())
        assert deliver_due(mailer, clock) == 0
        clock.set(due)
    assert waits == [30, 60, 120, 240, 480, 960, 1920, 3600, 3600, 3600]
    assert (only(mailer).state, only(mailer).attempts) == ("waiting", 10)
    assert only(mailer).reason == "451 try later (ann@example.com)"
    del peer.answers["MAIL"]
    deliver_due(mailer, clock)
    assert (only(mailer).state, only(mailer).attempts, only(mailer).reason) == ("sent", 11, None)
    assert len(peer.taken) == 1


def test_after_a_day_it_is_given_up(namespace: Namespace, clock: ManualClock, peer: SmtpPeer) -> None:
    mailer = connected(namespace, peer)
    peer.answers["MAIL"] = lambda _: "451 try later"
    mailer.send(mail())
    start = clock.now()
    while (due := mailer.due_at()) is not None:
        clock.set(due)
        deliver_due(mailer, clock)
    assert 86_400 <= clock.now() - start <= 86_400 + 3600
    assert (only(mailer).state, only(mailer).reason) == ("failed", "451 try later (ann@example.com)")
    assert only(mailer).attempts <= 32


def test_a_refusal_for_good_is_final(namespace: Namespace, clock: ManualClock, peer: SmtpPeer) -> None:
    mailer = connected(namespace, peer)
    peer.answers["."] = lambda _: "550 spam"
    mailer.send(mail())
    deliver_due(mailer, clock)
    assert (only(mailer).state, only(mailer).reason) == ("failed", "550 spam (ann@example.com)")
    assert mailer.due_at() is None


def test_only_those_who_did_not_get_it_are_tried_again(
    namespace: Namespace, clock: ManualClock, peer: SmtpPeer
) -> None:
    mailer = connected(namespace, peer)
    said = {"ann": None, "bob": "550 no such user", "eve": "450 mailbox busy"}
    peer.answers["RCPT"] = lambda line: next(answer for name, answer in said.items() if name in line)
    mailer.send(mail(*(f"{name}@example.com" for name in said)))
    deliver_due(mailer, clock)
    assert only(mailer).state == "waiting"
    clock.advance(timedelta(seconds=30))
    said["eve"] = None
    deliver_due(mailer, clock)
    assert [taken.recipients for taken in peer.taken] == [["ann@example.com"], ["eve@example.com"]]
    assert (only(mailer).state, only(mailer).reason) == ("failed", "550 no such user (bob@example.com)")


def test_a_server_that_is_down_is_waited_for(namespace: Namespace, clock: ManualClock) -> None:
    with serving(SmtpPeer()) as peer:
        mailer = connected(namespace, peer)
    mailer.send(mail())
    deliver_due(mailer, clock)
    assert only(mailer).state == "waiting"
    assert f"no connection to 127.0.0.1:{peer.port}" in (only(mailer).reason or "")


def test_a_claimed_mail_is_not_claimed_again(namespace: Namespace, clock: ManualClock, peer: SmtpPeer) -> None:
    mailer = connected(namespace, peer)
    for _ in range(3):
        mailer.send(mail())
    assert mailer.claim(clock.now(), 0) == []
    assert len(mailer.claim(clock.now(), 2)) == 2
    assert len(mailer.claim(clock.now(), 2)) == 1
    assert mailer.claim(clock.now(), 2) == []
    assert not namespace.store.dirty  # it would lock other processes out
    due = mailer.due_at()
    assert due is not None
    assert due > clock.now() + Delivery.timeout


def test_two_processes_share_the_work(tmp_path: Path, clock: ManualClock, peer: SmtpPeer) -> None:
    worlds = [Namespace(tmp_path, clock=clock) for _ in range(2)]
    mailers = []
    for world in worlds:
        mailers.append(connected(world, peer))
        world.store.flush()
    for number in range(6):
        mailers[0].send(mail(subject=str(number)))
    worlds[0].store.flush()
    works: list[Delivery] = []
    for mailer, world in zip(mailers * 2, worlds * 2, strict=True):
        works += mailer.claim(clock.now(), 2)
        world.store.flush()
    for work in works:
        work.run()
    assert len(works) == len(peer.taken) == 6
    assert {found.state for found in mailers[1].list()} == {"sent"}
    for world in worlds:
        world.close()


def test_a_mail_whose_process_died_goes_out_later(namespace: Namespace, clock: ManualClock, peer: SmtpPeer) -> None:
    mailer = connected(namespace, peer)
    mailer.send(mail())
    mailer.claim(clock.now(), 1)  # and its process is gone
    due = mailer.due_at()
    assert due is not None
    clock.set(due)
    assert deliver_due(connected(namespace, peer), clock) == 1
    assert (only(mailer).state, only(mailer).attempts) == ("sent", 2)


def test_an_attempt_that_takes_too_long_is_given_up(namespace: Namespace, clock: ManualClock, peer: SmtpPeer) -> None:
    mailer = connected(namespace, peer)
    mailer.send(mail())
    (work,) = mailer.claim(clock.now(), 1)
    peer.answers["."] = lambda _: work.expire()  # the server thinks it over, and the timeout passes
    work.run()
    assert only(mailer).state == "waiting"
    assert only(mailer).reason == "the SMTP server took longer than 120 seconds"
    assert mailer.due_at() == clock.now() + 30
    work.run()
    work.expire()
    assert (only(mailer).state, only(mailer).attempts, len(peer.taken)) == ("waiting", 1, 1)


def test_a_late_end_does_not_touch_the_next_attempt(namespace: Namespace, clock: ManualClock, peer: SmtpPeer) -> None:
    mailer = connected(namespace, peer)
    mailer.send(mail())
    (late,) = mailer.claim(clock.now(), 1)
    late.expire()
    clock.advance(timedelta(seconds=30))
    (work,) = mailer.claim(clock.now(), 1)
    late.run()
    late.expire()
    assert peer.taken == []
    work.run()
    assert (only(mailer).state, only(mailer).attempts) == ("sent", 2)


def test_a_stored_mail_that_cannot_be_read_fails_in_the_end(
    namespace: Namespace, clock: ManualClock, peer: SmtpPeer
) -> None:
    mailer = connected(namespace, peer)
    mailer.send(mail())
    sound = mailer.send(mail())
    with namespace.store.write() as db:
        db.execute(
            """update mails set mail = '{"sender": "nobody", "to": ["x"], "subject": ""}' where id <> ?""", (sound,)
        )
    assert deliver_due(mailer, clock) == 2
    states = {found.id == sound: (found.state, found.reason) for found in mailer.list()}
    assert states[True] == ("sent", None)
    assert states[False][0] == "waiting"
    assert "InvalidItem" in (states[False][1] or "")


def test_what_waits_outlives_a_start_without_smtp(namespace: Namespace, clock: ManualClock, peer: SmtpPeer) -> None:
    connected(namespace, peer).send(mail())
    without = EmbeddedMailer(declared(), namespace)
    assert without.due_at() is None
    assert only(without).state == "waiting"
    assert deliver_due(connected(namespace, peer), clock) == 1
    assert only(without).state == "sent"


def test_an_engine_that_stops_does_not_raise(tmp_path: Path, clock: ManualClock, peer: SmtpPeer) -> None:
    opened = Namespace(tmp_path, clock=clock)
    mailer = connected(opened, peer)
    mailer.send(mail())
    (work,) = mailer.claim(clock.now(), 1)
    opened.close()
    work.run()
    work.expire()
    assert peer.taken == []
