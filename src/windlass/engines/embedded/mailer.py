"""Mail in SQLite: an inbox to look at, and the line of mails that wait for SMTP."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Sequence

import msgspec

from windlass.dispatch.context import logger
from windlass.engines.embedded.namespace import Namespace
from windlass.engines.embedded.smtp import Outcome, SmtpSettings, deliver
from windlass.engines.embedded.store import Row
from windlass.errors import EngineUnavailable, NotFound
from windlass.model import mime
from windlass.model.mailer import Mailer
from windlass.ports.mailer import Mail, SentMail

__all__ = ["Delivery", "EmbeddedMailer"]

_FIRST_RETRY = 30.0
_LONGEST_RETRY = 3600.0
_GIVE_UP_AFTER = 86_400.0
_TIMEOUT = 120.0

_COLUMNS = "id, mail, sent_at, state, attempts, reason"


class EmbeddedMailer:
    """Implements `ports.mailer.MailerOperator`, and is a source of work for the pump where `smtp` is given.

    Without `smtp` a mail is `kept`. With it a mail is `waiting` until the server took it for every recipient: it is
    tried again after 30 seconds, then after twice as long each time, up to an hour, and fails a day after it was
    sent, or at once where the server refuses it for good. At least once: a mail may go out twice when the process
    dies in between; both have the same Message-ID. The newest `keep` mails are kept, for up to `keep_seconds`;
    waiting ones longer. `arrived` is called when a mail can be delivered, `failed` when one has failed for good.
    """

    concurrency = 4

    def __init__(
        self,
        model: Mailer,
        namespace: Namespace,
        smtp: SmtpSettings | None = None,
        arrived: Callable[[], None] = lambda: None,
        failed: Callable[[], None] = lambda: None,
        *,
        keep: int = 10_000,
        keep_seconds: float = 30 * 86_400.0,
    ) -> None:
        for template in model.templates.values():
            template.check()
        self.model, self._store, self._clock, self._smtp = model, namespace.store, namespace.clock, smtp
        self._arrived, self._failed = arrived, failed
        self._keep, self._keep_seconds = keep, keep_seconds
        self._key = (model.system.name, model.name)
        with self._store.atomic() as db:
            # `recipients` are those who wait for it (null: all), `refused` those who never get it, and why; `lease` is
            # the attempt that has it now.
            db.execute(
                "create table if not exists mails (seq integer primary key autoincrement, id text not null unique, "
                "system text not null, mailer text not null, mail blob not null, sent_at real not null, "
                "state text not null, attempts integer not null default 0, reason text, due_at real, lease text, "
                "recipients blob, refused blob)"
            )
            db.execute("create index if not exists mails_by_mailer on mails (system, mailer, seq)")
            db.execute("create index if not exists mails_due on mails (system, mailer, due_at) where state = 'waiting'")

    # ---- what a handler does

    def send(self, mail: Mail) -> str:
        mime.check(mail)
        mail_id = str(uuid.uuid4())
        with self._store.write() as db:
            now = self._clock.now()
            state, due = ("kept", None) if self._smtp is None else ("waiting", now)
            db.execute(
                "insert into mails (id, system, mailer, mail, sent_at, state, due_at) values (?, ?, ?, ?, ?, ?, ?)",
                (mail_id, *self._key, msgspec.json.encode(mail), now, state, due),
            )
        if self._smtp is not None:
            self._store.after_commit(lambda error: self._arrived() if error is None else None)
        return mail_id

    # ---- what an operator does

    def list(self, limit: int = 100) -> list[SentMail]:
        sql = f"select {_COLUMNS} from mails where system = ? and mailer = ? order by seq desc limit ?"
        return [_sent(row) for row in self._store.read(sql, (*self._key, limit))]

    def show(self, mail_id: str) -> SentMail:
        sql = f"select {_COLUMNS} from mails where system = ? and mailer = ? and id = ?"
        row = self._store.read_one(sql, (*self._key, mail_id))
        if row is None:
            raise NotFound(f"the mailer {self.model.name!r} has no mail {mail_id!r}")
        return _sent(row)

    def clock_went_back(self, seconds: float) -> None:
        """Keeps the time until the next attempts, and the leases of those that run, as long as they were."""
        with self._store.write() as db:
            db.execute(
                "update mails set due_at = due_at - ? where system = ? and mailer = ? and state = 'waiting' "
                "and due_at > ?",
                (seconds, *self._key, self._clock.now()),
            )

    def remove_expired(self) -> int:
        """Deletes the mails that are too old or too many, those that wait excepted; returns how many."""
        oldest = self._store.read_one(
            "select seq from mails where system = ? and mailer = ? order by seq desc limit 1 offset ?",
            (*self._key, self._keep),
        )
        with self._store.write() as db:
            return db.execute(
                "delete from mails where system = ? and mailer = ? and state <> 'waiting' "
                "and (sent_at < ? or seq <= ?)",
                (*self._key, self._clock.now() - self._keep_seconds, oldest[0] if oldest else 0),
            ).rowcount

    # ---- what the pump does

    def due_at(self) -> float | None:
        if self._smtp is None:
            return None
        row = self._store.read_one(
            "select min(due_at) from mails where system = ? and mailer = ? and state = 'waiting'", self._key
        )
        return row[0] if row else None

    def claim(self, now: float, room: int) -> Sequence[Delivery]:
        if self._smtp is None or room < 1:
            return []
        lease = uuid.uuid4().hex
        with self._store.write() as db:
            # Should this process die, the mail is due again when the attempt would have timed out.
            rows = db.execute(
                "update mails set attempts = attempts + 1, lease = ?, due_at = ? where seq in (select seq from mails "
                "where system = ? and mailer = ? and state = 'waiting' and due_at <= ? order by due_at, seq limit ?) "
                "returning seq",
                (lease, now + _TIMEOUT + 1, *self._key, now, room),
            ).fetchall()
        if not rows:
            self._store.flush()  # whoever claims nothing commits nothing, and other processes would wait for it
        return [Delivery(self, self._smtp, seq, lease) for (seq,) in sorted(rows)]

    def load(self, seq: int, lease: str) -> tuple[SentMail, tuple[str, ...] | None] | None:
        """The mail of a claimed attempt and who did not get it yet; None when the attempt is over, or was undone
        with the transaction that held it. Commits first: nothing goes out that may yet be undone."""
        self._store.flush()
        row = self._store.read_one(
            f"select {_COLUMNS}, recipients from mails where seq = ? and lease = ? and state = 'waiting'",
            (seq, lease),
        )
        if row is None:
            return None
        left = None if row[6] is None else msgspec.json.decode(row[6], type=tuple[str, ...])
        return _sent(row), left

    def settle(self, seq: int, lease: str, outcome: Outcome | str) -> None:
        """Ends an attempt: the mail is sent, has failed, or waits for the next one. A text says why the attempt
        came to nothing for all who wait for the mail."""
        with self._store.atomic() as db:
            now = self._clock.now()
            row = db.execute(
                "select id, sent_at, attempts, recipients, refused from mails where seq = ? and lease = ?", (seq, lease)
            ).fetchone()
            if row is None:
                return
            mail_id, sent_at, attempts, recipients, refused_before = row
            refused = {} if refused_before is None else msgspec.json.decode(refused_before, type=dict[str, str])
            reason: str | None
            if isinstance(outcome, str):
                again, reason = True, outcome
            else:
                refused |= outcome.refused
                again, reason = bool(outcome.retry), Outcome(outcome.retry, refused).reason
                recipients = msgspec.json.encode(tuple(outcome.retry))
            due: float | None = None
            if again and now - sent_at < _GIVE_UP_AFTER:
                state = "waiting"
                due = now + min(_FIRST_RETRY * 2.0 ** min(attempts - 1, 20), _LONGEST_RETRY)
            else:
                state = "failed" if again or refused else "sent"
            db.execute(
                "update mails set state = ?, due_at = ?, reason = ?, recipients = ?, refused = ?, lease = null "
                "where seq = ?",
                (state, due, reason, recipients, msgspec.json.encode(refused) if refused else None, seq),
            )
        self._store.flush()  # at once: a mail whose end is forgotten goes out again
        if state == "failed":
            self._failed()
        if state != "sent":
            logger.warning("mail %s of %s %s, attempt %d: %s", mail_id, self.model.where, state, attempts, reason)


class Delivery:
    """One attempt to hand one mail to the SMTP server."""

    timeout = _TIMEOUT

    def __init__(self, mailer: EmbeddedMailer, smtp: SmtpSettings, seq: int, lease: str) -> None:
        self._mailer, self._smtp, self._seq, self._lease = mailer, smtp, seq, lease

    def run(self) -> None:
        try:
            found = self._mailer.load(self._seq, self._lease)
            if found is None:
                return
            sent, left = found
            sender, everybody = mime.envelope(sent.mail)
            message = mime.compose(sent.mail, sent.id, sent.sent_at)
            outcome = deliver(self._smtp, sender, everybody if left is None else left, message)
            self._mailer.settle(self._seq, self._lease, outcome)
        except EngineUnavailable as error:  # it is tried again when the lease ends
            logger.error("the state of a mail could not be read or written: %s", error)
        except Exception as error:  # a mail that was stored by other rules than today's
            logger.exception("a mail of %s could not be delivered", self._mailer.model.where)
            self._abandon(f"{type(error).__name__}: {error}")

    def expire(self) -> None:
        self._abandon(f"the SMTP server took longer than {_TIMEOUT:.0f} seconds")

    def _abandon(self, why: str) -> None:
        try:
            self._mailer.settle(self._seq, self._lease, why)
        except EngineUnavailable as error:
            logger.error("the state of a mail could not be written: %s", error)


def _sent(row: Row) -> SentMail:
    return SentMail(row[0], msgspec.json.decode(row[1], type=Mail), *row[2:6])
