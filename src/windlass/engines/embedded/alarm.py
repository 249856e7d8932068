"""Alarms in SQLite: how each stands, and its changes of state, which wait there until they are told."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence

from windlass.dispatch.alarm import Verdict
from windlass.dispatch.context import logger
from windlass.engines.embedded.namespace import Namespace
from windlass.engines.embedded.store import Row
from windlass.errors import NotFound
from windlass.graph.alarm import rules
from windlass.model.alarm import Alarm
from windlass.model.system import System
from windlass.ports.alarm import AlarmChange, AlarmRule, AlarmState, AlarmStatus

__all__ = ["AlarmBook", "EmbeddedAlarm"]

# As CloudWatch keeps it.
_KEPT_SECONDS = 14 * 86_400.0
_COLUMNS = "seq, name, at, old, new, value, reason"

_WAITS, _TOLD, _NOT_TOLD = 0, 1, 2


class AlarmBook:
    """The alarms of one system, the default ones too. An alarm that has no row was never evaluated; one whose rule
    is another than the row's begins anew."""

    def __init__(self, system: System, namespace: Namespace) -> None:
        self.system = system
        self.rules: Sequence[AlarmRule] = rules(system)
        self._store, self._clock = namespace.store, namespace.clock
        with self._store.atomic() as db:
            db.execute(
                "create table if not exists alarms (system text not null, name text not null, rule text not null, "
                "state text not null, since real not null, value real, reason text not null, "
                "primary key (system, name)) without rowid"
            )
            # `told`: 0 waits to be told, 1 was told at `told_at`, 2 need not be.
            db.execute(
                "create table if not exists alarm_changes (seq integer primary key autoincrement, "
                "system text not null, name text not null, at real not null, old text not null, new text not null, "
                "value real, reason text not null, told integer not null, told_at real)"
            )
            db.execute("create index if not exists alarm_changes_by_system on alarm_changes (system, at)")
            db.execute("create index if not exists alarm_changes_waiting on alarm_changes (system) where told = 0")

    # ---- looking

    def statuses(self) -> list[AlarmStatus]:
        """Every alarm, the declared ones first."""
        sql = "select name, rule, state, since, value, reason from alarms where system = ?"
        rows = {row[0]: row for row in self._store.read(sql, (self.system.name,))}
        return [_status(rule, rows.get(rule.name)) for rule in self.rules]

    def status(self, name: str) -> AlarmStatus:
        """One alarm. Raises NotFound."""
        for status in self.statuses():
            if status.rule.name == name:
                return status
        raise NotFound(f"{self.system.name} has no alarm {name!r}")

    def history(self, limit: int = 100, name: str | None = None, after: int = 0) -> list[AlarmChange]:
        """The newest changes of state, of one alarm or of all, the newest first; those that came `after` a change of
        that number."""
        where = "system = ? and seq > ?" + ("" if name is None else " and name = ?")
        of = (self.system.name, after) if name is None else (self.system.name, after, name)
        sql = f"select {_COLUMNS} from alarm_changes where {where} order by seq desc limit ?"
        return [AlarmChange(*row) for row in self._store.read(sql, (*of, limit))]

    # ---- evaluating

    def enter(self, verdicts: Iterable[tuple[AlarmStatus, Verdict]]) -> int:
        """Writes what an evaluation found; returns how many alarms have changed their state. What a change into ALARM
        and out of it is waits from then on to be told."""
        now, changed = self._clock.now(), 0
        for before, found in verdicts:
            change = found.state != before.state
            if not change and (found.value, found.reason) == (before.value, before.reason):
                continue
            rule = before.rule
            since = now if change or before.since is None else before.since
            key = (self.system.name, rule.name)
            with self._store.atomic() as db:
                db.execute(
                    "insert or replace into alarms values (?, ?, ?, ?, ?, ?, ?)",
                    (*key, rule.evaluated, found.state, since, found.value, found.reason),
                )
                if change:
                    told = _WAITS if "ALARM" in (before.state, found.state) else _NOT_TOLD
                    db.execute(
                        "insert into alarm_changes (system, name, at, old, new, value, reason, told) "
                        "values (?, ?, ?, ?, ?, ?, ?, ?)",
                        (*key, now, before.state, found.state, found.value, found.reason, told),
                    )
            if change:
                changed += 1
                self._log(before, found.state, found.reason)
        return changed

    def _log(self, before: AlarmStatus, state: AlarmState, reason: str) -> None:
        # Into OK from INSUFFICIENT_DATA comes each alarm when its system is first started: that is no news.
        level = logging.WARNING if state == "ALARM" else logging.INFO if before.state == "ALARM" else logging.DEBUG
        rule = before.rule
        logger.log(
            level,
            "alarm %s is %s: %s: %s",
            rule.name,
            state.replace("_", " "),
            rule.subject,
            reason,
            extra={"system": self.system.name},
        )

    # ---- telling

    def waiting(self) -> list[AlarmChange]:
        """The changes that are to be told, the oldest first."""
        sql = f"select {_COLUMNS} from alarm_changes where system = ? and told = {_WAITS} order by seq"
        return [AlarmChange(*row) for row in self._store.read(sql, (self.system.name,))]

    def told_since(self, moment: float) -> dict[str, int]:
        """How many changes of each alarm were told since then."""
        sql = "select name, count(*) from alarm_changes where system = ? and told = ? and told_at > ? group by name"
        return dict(self._store.read(sql, (self.system.name, _TOLD, moment)))

    def mark_told(self, changes: Iterable[AlarmChange]) -> None:
        """Notes that these have been told now."""
        now = self._clock.now()
        with self._store.write() as db:
            db.executemany(
                f"update alarm_changes set told = {_TOLD}, told_at = ? where seq = ?",
                [(now, change.number) for change in changes],
            )

    # ---- keeping order

    def forget_others(self) -> None:
        """Drops what belongs to alarms that are not declared any more."""
        names = [rule.name for rule in self.rules]
        marks = ", ".join("?" * len(names))
        with self._store.write() as db:
            db.execute(
                f"delete from alarms where system = ? and name not in ({marks})",
                (self.system.name, *names),
            )
            db.execute(
                f"update alarm_changes set told = {_NOT_TOLD} where system = ? and told = {_WAITS} "
                f"and name not in ({marks})",
                (self.system.name, *names),
            )

    def remove_expired(self) -> int:
        """Deletes changes that are older than two weeks; returns how many."""
        with self._store.write() as db:
            return db.execute(
                f"delete from alarm_changes where system = ? and at < ? and told <> {_WAITS}",
                (self.system.name, self._clock.now() - _KEPT_SECONDS),
            ).rowcount


class EmbeddedAlarm:
    """Implements `ports.alarm.AlarmOperator`."""

    def __init__(self, model: Alarm, book: AlarmBook) -> None:
        self.model, self._book = model, book

    def status(self) -> AlarmStatus:
        return self._book.status(self.model.name)

    def history(self, limit: int = 100) -> list[AlarmChange]:
        return self._book.history(limit, self.model.name)


def _status(rule: AlarmRule, row: Row | None) -> AlarmStatus:
    if row is None or row[1] != rule.evaluated:
        return AlarmStatus(rule)
    return AlarmStatus(rule, *row[2:])
