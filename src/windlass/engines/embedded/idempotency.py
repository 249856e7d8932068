"""Answers kept under their idempotency keys, in SQLite."""

from __future__ import annotations

import uuid

import msgspec

from windlass.engines.embedded.namespace import Namespace
from windlass.ports.api import Response
from windlass.ports.idempotency import Fresh, Running, Seen

__all__ = ["EmbeddedIdempotency"]


class EmbeddedIdempotency:
    """Implements `ports.idempotency.IdempotencyPort`. The answer is committed together with what the handler
    wrote, and before it is sent. `owner` names the process among those that serve together, the same again when it
    is started anew."""

    def __init__(self, namespace: Namespace, owner: str = "main") -> None:
        self._store, self._clock, self._owner = namespace.store, namespace.clock, owner
        with self._store.write() as db:
            db.execute(
                "create table if not exists idempotency (scope text not null, key text not null, "
                "fingerprint blob not null, expires real not null, status integer, headers blob, body blob, "
                "owner text, reservation text, "
                "primary key (scope, key)) without rowid"
            )
            db.execute("create index if not exists idempotency_expires on idempotency (expires)")

    def begin(self, scope: str, key: str, fingerprint: bytes, lease: float) -> Fresh | Running | Seen:
        mark = self._store.mark()
        with self._store.write() as db:
            now = self._clock.now()  # here: nobody moves leases meanwhile, as is done when the clock goes back
            row = db.execute(
                "select fingerprint, expires, status, headers, body from idempotency where scope = ? and key = ?",
                (scope, key),
            ).fetchone()
            if row is None or row[1] <= now:
                reservation = uuid.uuid4().hex
                db.execute(
                    "insert or replace into idempotency (scope, key, fingerprint, expires, owner, reservation) "
                    "values (?, ?, ?, ?, ?, ?)",
                    (scope, key, fingerprint, now + lease, self._owner, reservation),
                )
                return Fresh((reservation, mark))
        held, expires, status, headers, body = row
        if status is None:
            return Running(expires - now)
        pairs = msgspec.json.decode(headers, type=list[tuple[str, str]])
        return Seen(held == fingerprint, Response(status, pairs, body))

    def finish(self, scope: str, key: str, fresh: Fresh, response: Response, keep: float) -> None:
        reservation, mark = fresh.reservation
        with self._store.write(mark) as db:
            db.execute(
                "update idempotency set expires = ?, status = ?, headers = ?, body = ? "
                "where scope = ? and key = ? and status is null and reservation = ?",
                (
                    self._clock.now() + keep,
                    response.status,
                    msgspec.json.encode(response.headers),
                    response.body,
                    scope,
                    key,
                    reservation,
                ),
            )

    def abandon(self, scope: str, key: str, fresh: Fresh) -> None:
        with self._store.write() as db:
            db.execute(
                "delete from idempotency where scope = ? and key = ? and status is null and reservation = ?",
                (scope, key, fresh.reservation[0]),
            )

    def release_all(self) -> None:
        """Frees the keys of requests that ran when the server ended; called before the first request, while no
        process serves."""
        with self._store.write() as db:
            db.execute("delete from idempotency where status is null")

    def release(self, owner: str) -> None:
        """Frees the keys of requests that ran in the process `owner` when it ended, and no others."""
        with self._store.write() as db:
            db.execute("delete from idempotency where status is null and owner = ?", (owner,))

    def clock_went_back(self, seconds: float) -> None:
        """Lets running requests hold their keys no longer than they would have. How long answers are kept is wall
        time."""
        with self._store.write() as db:
            db.execute(
                "update idempotency set expires = expires - ? where status is null and expires > ?",
                (seconds, self._clock.now()),
            )

    def remove_expired(self) -> int:
        """Deletes what has been kept long enough; returns how many."""
        with self._store.write() as db:
            return db.execute("delete from idempotency where expires <= ?", (self._clock.now(),)).rowcount
