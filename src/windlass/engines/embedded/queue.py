"""Queues in SQLite: a table for each, a row for each message."""

from __future__ import annotations

import random
import sqlite3
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

from windlass.dispatch.messages import MessageDispatch
from windlass.dispatch.metrics import Metrics, series
from windlass.engines.embedded.namespace import Namespace
from windlass.engines.embedded.store import Insert
from windlass.errors import EngineUnavailable, InvalidItem
from windlass.model.context import new_ids
from windlass.model.queue import Queue
from windlass.ports.binding import invocation_origin
from windlass.ports.queue import Outgoing, QueueStats, Stored

__all__ = ["EmbeddedQueue", "QueueSource", "all_stats"]

_DEDUPE_SECONDS = 300.0
_GATHER_SECONDS = 0.02
_SEVERAL = 5
_MOST_DELETED = 500
_MAX_SEND = 262_144 * 100
_COUNTS = (
    "select coalesce(sum(dead = 0 and visible <= :now), 0), "
    "coalesce(sum(dead = 0 and attempts > 0 and visible > :now), 0), "
    "coalesce(sum(dead = 0 and attempts = 0 and visible > :now), 0), coalesce(sum(dead), 0), "
    "min(case when dead = 0 and visible <= :now then sent end) from {table}"
)


class EmbeddedQueue:
    """Implements `ports.queue.QueueOperator`. `arrived` is called when something can be received."""

    def __init__(self, model: Queue[Any], namespace: Namespace, arrived: Callable[[], None], metrics: Metrics) -> None:
        labels = {"system": model.system.name, "queue": model.name}
        self._metrics = metrics
        self._sent, self._died = series("messages_sent", **labels), series("messages_dead", **labels)
        self.model, self._store, self._clock, self._arrived = model, namespace.store, namespace.clock, arrived
        self._table = table = f'"q.{model.system.name}.{model.name}"'
        self._dedupe = f'"d.{model.system.name}.{model.name}"'
        with self._store.atomic() as db:
            db.execute(
                f"create table if not exists {table} (seq integer primary key autoincrement, id text not null, "
                "body blob not null, grp text, visible real not null, attempts integer not null default 0, "
                "sent real not null, trace text, reason text, dead integer not null default 0, "
                "held integer not null default 0)"
            )
            name = table[1:-1]
            db.execute(f'create index if not exists "{name}.visible" on {table} (dead, visible)')
            if model.fifo:
                db.execute(f'create index if not exists "{name}.grp" on {table} (grp, dead, visible, seq)')
                db.execute(
                    f"create table if not exists {self._dedupe} "
                    "(dedupe text primary key, id text not null, expires real not null) without rowid"
                )
        self._insert = Insert(f"insert into {table} (id, body, grp, visible, sent, trace) values", 6)
        columns = "id, body, attempts, sent, visible, grp, trace, reason, seq"
        receivable = "dead = 0 and visible <= :now and sent > :oldest"
        if model.fifo:
            receivable += (
                f" and not exists (select 1 from {table} b where b.grp = {table}.grp and b.dead = 0"
                f" and b.visible > :now and b.sent > :oldest and b.seq < {table}.seq)"
            )
        self._receivable = receivable
        order = "seq" if model.fifo else "visible, seq"
        self._claim = (
            f"update {table} set visible = :until, attempts = attempts + 1, held = 1 where seq in "
            f"(select seq from {table} where {receivable} order by {order} limit :limit) returning {columns}"
        )
        self._columns = columns

    # ---- what a handler does

    def send(self, messages: Sequence[Outgoing]) -> list[str]:
        now, origin = self._clock.now(), invocation_origin()
        if sum(len(message.body) for message in messages) > _MAX_SEND:
            raise InvalidItem(f"{self.model.where}: too much to send at once; send in parts of at most 25 MiB")
        default = self.model.delay.total_seconds()
        trace = None if origin is None else str(origin)
        ids = new_ids(len(messages))
        rows = [
            (new, sent.body, sent.group, now + (default if sent.delay is None else sent.delay), now, trace)
            for new, sent in zip(ids, messages, strict=True)
        ]
        if self.model.fifo:
            self._send_fresh(messages, ids, rows, now)
        else:
            self._store.defer(self._insert, rows)
        self._metrics.count(self._sent, len(rows))
        self._store.after_commit(self._committed)
        return ids

    def _send_fresh(
        self, messages: Sequence[Outgoing], ids: list[str], rows: list[tuple[Any, ...]], now: float
    ) -> None:
        """Stores those messages that are no duplicates; a duplicate's id becomes that of the first. A message and the
        note that it was sent stand or fall together."""
        fresh = []
        with self._store.atomic() as db:
            for number, message in enumerate(messages):
                if message.dedupe is not None:
                    row = db.execute(
                        f"select id from {self._dedupe} where dedupe = ? and expires > ?", (message.dedupe, now)
                    ).fetchone()
                    if row is not None:
                        ids[number] = row[0]
                        continue
                    db.execute(
                        f"insert or replace into {self._dedupe} values (?, ?, ?)",
                        (message.dedupe, ids[number], now + _DEDUPE_SECONDS),
                    )
                fresh.append(rows[number])
            self._insert.execute(db, fresh)

    def _committed(self, error: EngineUnavailable | None) -> None:
        if error is None:
            self._arrived()

    # ---- what a consumer does

    def due_at(self, batch: int, window: float) -> float | None:
        """When a batch can be received, in epoch seconds; None: never, as things are."""
        self._store.apply()
        now = self._clock.now()
        inner = f"select visible from {self._table} where {self._receivable} limit :limit"
        sql = f"select count(*), min(visible) from ({inner})"
        oldest = self._oldest(now)
        count, first = self._store.read(sql, {"now": now, "oldest": oldest, "limit": batch})[0]
        if count:
            full: bool = count >= batch
            return float(first) if full else float(first) + window
        sql = f"select min(visible) from {self._table} where dead = 0 and visible > ? and sent > ?"
        row = self._store.read_one(sql, (now, oldest))
        return None if row is None or row[0] is None else row[0] + window

    def receive(self, limit: int) -> list[Stored]:
        """Takes up to `limit` messages, hidden from now for the visibility timeout. Those that were received
        too often already go to the dead-letter queue instead."""
        self._store.apply()
        with self._store.write() as db:
            now = self._clock.now()  # here: nobody moves timers meanwhile, as is done when the clock goes back
            until = now + self.model.visibility.total_seconds()
            claim = {"now": now, "oldest": self._oldest(now), "until": until, "limit": limit}
            rows = db.execute(self._claim, claim).fetchall()
            rows.sort(key=lambda row: row[8])
            alive = [row for row in rows if row[2] <= self.model.max_attempts]
            if len(alive) < len(rows):
                sql = (
                    f"update {self._table} set dead = 1, held = 0, attempts = attempts - 1, visible = ?, "
                    "reason = coalesce(reason, ?) where seq = ?"
                )
                db.executemany(
                    sql,
                    [
                        (now, "its handler never came to an end", row[8])
                        for row in rows
                        if row[2] > self.model.max_attempts
                    ],
                )
                self._metrics.count(self._died, len(rows) - len(alive))
        return [Stored(*row) for row in alive]

    def _oldest(self, now: float) -> float:
        """When the messages were sent that the retention ends now: they may be stored still, until housekeeping."""
        return now - self.model.retention.total_seconds()

    def mark(self) -> int:
        """To be taken before messages are handled, and given to `settle`."""
        return self._store.mark()

    def settle(self, messages: Sequence[Stored], failures: dict[str, str], since: int | None = None) -> int:
        """Deletes the handled messages, keeps the failed ones for their next attempt, or moves them to the
        dead-letter queue after the last; returns how many went there. A message that another consumer has
        received since is left alone. Raises EngineUnavailable when what the handler wrote after the mark `since` is
        lost."""
        now = self._clock.now()
        dead = 0
        done: dict[int, list[int | str]] = {}
        for message in messages:
            if message.id not in failures:
                done.setdefault(message.attempts, []).append(message.receipt)
        with self._store.atomic(since) as db:
            for attempts, receipts in done.items():
                self._delete(db, receipts, attempts)
            for message in messages:
                reason = failures.get(message.id)
                if reason is None:
                    continue
                last = message.attempts >= self.model.max_attempts
                dead += last
                # One that is tried again stays hidden as it is: until the visibility timeout of this attempt.
                db.execute(
                    f"update {self._table} set reason = ?, dead = ?, held = 0, "
                    "visible = case when ? then ? else visible end where seq = ? and attempts = ?",
                    (reason, int(last), int(last), now, message.receipt, message.attempts),
                )
        if dead:
            self._metrics.count(self._died, dead)
        return dead

    def _delete(self, db: sqlite3.Connection, receipts: Sequence[int | str], attempts: int) -> None:
        for first in range(0, len(receipts), _MOST_DELETED):
            some = receipts[first : first + _MOST_DELETED]
            marks = ", ".join("?" * len(some))
            db.execute(f"delete from {self._table} where seq in ({marks}) and attempts = ?", (*some, attempts))

    def release_all(self) -> None:
        """Makes messages receivable whose consumer ended with the process; called before the first delivery."""
        self._store.apply()
        with self._store.write() as db:
            db.execute(f"update {self._table} set visible = ?, held = 0 where held = 1", (self._clock.now(),))

    def clock_went_back(self, seconds: float) -> None:
        """Keeps delays, visibility timeouts and deduplication as long as they were. The times at which messages were
        sent move with them where they would be in the future; so none is, but for the late ones."""
        self._store.apply()
        now = self._clock.now()
        with self._store.atomic() as db:
            db.execute(
                f"update {self._table} set visible = visible - :back, "
                "sent = case when sent > :now then sent - :back else sent end where dead = 0 and visible > :now",
                {"back": seconds, "now": now},
            )
            if self.model.fifo:
                db.execute(f"update {self._dedupe} set expires = expires - ? where expires > ?", (seconds, now))

    def late_for_jump(self, seconds: float) -> None:
        """Moves messages back that were stamped before the clock went back, and stored after the others were moved:
        a sender reads the clock before it waits for its turn to write."""
        self._store.apply()
        now = self._clock.now()
        with self._store.atomic() as db:
            db.execute(
                f"update {self._table} set visible = visible - :back, sent = sent - :back "
                "where dead = 0 and visible > :now and sent > :now + 1",
                {"back": seconds, "now": now},
            )
            if self.model.fifo:
                db.execute(
                    f"update {self._dedupe} set expires = expires - ? where expires > ?",
                    (seconds, now + _DEDUPE_SECONDS + 1),
                )

    def remove_expired(self) -> int:
        """Deletes messages older than the retention, dead ones too; returns how many."""
        self._store.apply()
        before = self._oldest(self._clock.now())
        with self._store.write() as db:
            if self.model.fifo:
                db.execute(f"delete from {self._dedupe} where expires <= ?", (self._clock.now(),))
            return db.execute(f"delete from {self._table} where sent <= ?", (before,)).rowcount

    # ---- what an operator does

    def stats(self) -> QueueStats:
        self._store.apply()
        now = self._clock.now()
        return _stats(self._store.read(_COUNTS.format(table=self._table), {"now": now})[0], now)

    def peek(self, limit: int, *, dead: bool) -> list[Stored]:
        self._store.apply()
        sql = f"select {self._columns} from {self._table} where dead = ? order by seq limit ?"
        return [Stored(*row) for row in self._store.read(sql, (int(dead), limit))]

    def newest_dead(self, limit: int) -> list[Stored]:
        """The letters that died last, the newest first; `visible_at` is when."""
        self._store.apply()
        sql = f"select {self._columns} from {self._table} where dead = 1 order by visible desc, seq desc limit ?"
        return [Stored(*row) for row in self._store.read(sql, (limit,))]

    def redrive(self, limit: int | None = None) -> int:
        self._store.apply()
        now = self._clock.now()
        sql = (
            f"update {self._table} set dead = 0, attempts = 0, visible = ?, sent = ?, reason = null where seq in "
            f"(select seq from {self._table} where dead = 1 order by seq limit ?)"
        )
        with self._store.write() as db:
            moved = db.execute(sql, (now, now, -1 if limit is None else limit)).rowcount
        self._store.after_commit(self._committed)
        return moved

    def purge(self, *, dead: bool) -> int:
        self._store.apply()
        with self._store.write() as db:
            return db.execute(f"delete from {self._table} where dead = ?", (int(dead),)).rowcount


def all_stats(db: sqlite3.Connection, now: float) -> dict[tuple[str, str], QueueStats]:
    """How every queue in a state is now, declared or not any more, by system and name."""
    tables = db.execute("select name from sqlite_master where type = 'table' and name glob 'q.*.*'").fetchall()
    found = {}
    for (table,) in tables:
        _, system, name = table.split(".", 2)
        counts = db.execute(_COUNTS.format(table='"' + table.replace('"', '""') + '"'), {"now": now}).fetchone()
        found[system, name] = _stats(counts, now)
    return found


def _stats(counts: Sequence[Any], now: float) -> QueueStats:
    waiting, in_flight, delayed, dead, oldest = counts
    return QueueStats(waiting, in_flight, delayed, dead, 0.0 if oldest is None else max(0.0, now - oldest))


class QueueSource:
    """A queue with its consumer, as a source of work.

    With `chaos`, which the test driver gives, messages of a batch come in any order and some come twice, as SQS
    may deliver them; a FIFO queue keeps its order.

    While a batch is being handled, and right after one of several messages, what arrives gathers until there is a full
    batch, or it has waited for 20 ms: a batch for each message that comes costs several times as much as handling it,
    and keeps those who send from writing. A message that comes alone is handled at once. The test driver, whose clock
    stands still, is not `paced`.
    """

    paced = False

    def __init__(self, queue: EmbeddedQueue, dispatch: MessageDispatch, *, chaos: random.Random | None = None) -> None:
        self.queue, self.dispatch, self.chaos = queue, dispatch, chaos
        self._consumer = queue.model.consumers[0]
        self.concurrency = self._consumer.concurrency
        self._lock = threading.Lock()
        self._active: set[QueueWork] = set()
        self._gather_until = 0.0

    def due_at(self) -> float | None:
        window = self._consumer.window
        if self._active or time.monotonic() < self._gather_until:
            window = max(window, _GATHER_SECONDS)
        return self.queue.due_at(self._consumer.batch, window)

    def began(self, work: QueueWork) -> None:
        """A batch is on its way to the handler."""
        with self._lock:
            self._active.add(work)

    def ended(self, work: QueueWork) -> None:
        """It is done, or given up, or both."""
        with self._lock:
            self._active.discard(work)

    def claim(self, now: float, room: int) -> list[QueueWork]:
        works: list[QueueWork] = []
        try:
            while len(works) < room and (messages := self.queue.receive(self._consumer.batch)):
                if self.paced and len(messages) >= _SEVERAL:
                    self._gather_until = time.monotonic() + _GATHER_SECONDS
                works.append(QueueWork(self, messages, self._consumer.handler.timeout))
        except EngineUnavailable:
            # What was received before it has used up an attempt: it must run. The next round meets the fault again.
            if not works:
                raise
        return works


class QueueWork:
    """One batch of messages on its way through the handler."""

    def __init__(self, source: QueueSource, messages: list[Stored], timeout: float) -> None:
        self._source, self._messages = source, messages
        self.timeout = timeout
        self._expired = False

    def run(self) -> None:
        self._source.began(self)
        try:
            self._run()
        finally:
            self._source.ended(self)

    def _run(self) -> None:
        messages, chaos = list(self._messages), self._source.chaos
        fifo = self._source.queue.model.fifo
        if chaos is not None and not fifo:
            chaos.shuffle(messages)
        deadline = time.monotonic() + self.timeout
        mark = self._source.queue.mark()
        failures = self._source.dispatch.handle(messages, deadline)
        if chaos is not None and not fifo:
            again = [message for message in messages if chaos.random() < 0.25 and message.id not in failures]
            if again:
                self._source.dispatch.handle(again, deadline)
        if not self._expired:
            try:
                self._source.queue.settle(self._messages, failures, mark)
            except EngineUnavailable:
                return  # they stay hidden until the visibility timeout, and come again

    def expire(self) -> None:
        self._expired = True
        self._source.ended(self)
