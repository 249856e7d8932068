"""When alarms are evaluated and when they rest; what a process that dies leaves behind."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from windlass import Message, System
from windlass.dispatch.alarm import Verdict
from windlass.engines.embedded.alarm import AlarmBook
from windlass.engines.embedded.alarm_evidence import Evidence
from windlass.engines.embedded.alarm_mail import AlarmPost, alarm_mailer
from windlass.engines.embedded.alarm_source import AlarmSource
from windlass.engines.embedded.mailer import EmbeddedMailer
from windlass.engines.embedded.namespace import Namespace
from windlass.engines.embedded.smtp import SmtpSettings
from windlass.errors import EngineUnavailable, InvalidItem
from windlass.ports.clock import ManualClock
from windlass.ports.mailer import Mail
from windlass.testing import Driver

NINE = datetime(2024, 6, 12, 9, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


@dataclass(frozen=True)
class Job:
    id: str


def shop(**queue: Any) -> System:
    """A queue whose consumer fails on the job `bad`, and an api that is broken or fine."""
    system = System("shop")
    jobs = system.queue("jobs", Job, max_attempts=1, **queue)

    @jobs.consumer()
    def work(message: Message[Job]) -> None:
        if message.body.id == "bad":
            raise ValueError("a bad job")

    @system.api("api").get("/{how}")
    def ask(how: str) -> str:
        if how == "broken":
            raise RuntimeError("it is broken")
        return how

    return system


def source_of(app: Driver) -> AlarmSource:
    (found,) = (source for source in app.engine.sources if isinstance(source, AlarmSource))
    return found


def send(app: Driver, *ids: str) -> None:
    jobs: Any = app.system.resources["jobs"]
    with app.bound():
        jobs.send_many([Job(one) for one in ids])


@contextmanager
def running(path: Path, system: System | None = None, at: datetime = NINE) -> Iterator[Driver]:
    with (system or shop()).run_embedded(path, clock_start=at + timedelta(seconds=30)) as app:
        yield app


# When


def test_an_evaluation_comes_a_little_after_each_full_minute(tmp_path: Path) -> None:
    with running(tmp_path) as app:
        due = source_of(app).due_at()
        assert due == (NINE + timedelta(minutes=1, seconds=2)).timestamp()


def test_an_idle_system_rests_after_one_evaluation(tmp_path: Path) -> None:
    with running(tmp_path) as app:
        app.advance(MINUTE)
        assert source_of(app).due_at() is None
        app.advance(timedelta(days=3650))
        assert source_of(app).due_at() is None
        assert set(app.alarms.values()) == {"OK"}


def test_something_recorded_wakes_it_until_it_is_out_of_reach(tmp_path: Path) -> None:
    with running(tmp_path) as app:
        app.advance(timedelta(hours=1))
        app.get("/fine")
        evaluations = 0
        while (due := source_of(app).due_at()) is not None:
            assert due == app.clock.now() // 60 * 60 + 62
            app.advance(MINUTE)
            evaluations += 1
        # The longest rules look at seven minutes: as many evaluations find the request.
        assert 7 <= evaluations <= 9


def test_dead_letters_let_it_rest_and_their_end_wakes_it(tmp_path: Path) -> None:
    with running(tmp_path) as app:
        send(app, "bad")
        app.advance(timedelta(hours=1))
        assert app.alarms["jobs_dead_letters"] == "ALARM"
        assert source_of(app).due_at() is None
        app.queue("jobs").purge(dead=True)
        assert source_of(app).due_at() is not None
        app.advance(timedelta(minutes=2))
        assert app.alarms["jobs_dead_letters"] == "OK"


def test_what_waits_does_not_let_it_rest(tmp_path: Path) -> None:
    with running(tmp_path, shop(delay=timedelta(minutes=15))) as app:
        send(app, "good")
        app.advance(timedelta(minutes=14))
        assert source_of(app).due_at() is not None
        app.advance(timedelta(hours=1))
        assert source_of(app).due_at() is None


def test_gauges_stood_still_while_it_rested(tmp_path: Path) -> None:
    """An alarm over several minutes finds all its values when the rest ends."""
    system = shop()
    system.alarm("three", of=system.resources["jobs"], metric="dead", above=0, periods=3)
    with running(tmp_path, system) as app:
        send(app, "bad")
        app.advance(timedelta(hours=5))
        assert app.alarms["three"] == "ALARM"
        assert source_of(app).due_at() is None
        before = len(app.outbox)
        app.get("/fine")
        app.advance(timedelta(hours=5))
        assert app.alarms["three"] == "ALARM"
        assert len(app.outbox) == before


def test_a_pause_is_one_evaluation_with_what_is_missing(tmp_path: Path) -> None:
    system = shop()
    system.alarm("silent", of=system.resources["api"], metric="requests", below=1, missing="breaching")
    with running(tmp_path, system) as app:
        app.get("/fine")
        app.advance(MINUTE)
        assert app.alarms["silent"] == "OK"
        source = source_of(app)
        app.clock.set(app.clock.now() + 86_400 * 30)  # the machine slept
        assert len(source.claim(app.clock.now(), 1)) == 1
        source.run()
        assert app.alarms["silent"] == "ALARM"
        due = source.due_at()
        assert due is not None
        assert due - app.clock.now() <= 60


def test_with_other_processes_it_does_not_rest(tmp_path: Path) -> None:
    with running(tmp_path) as app:
        engine = app.engine
        watched = [one.watched(lambda *_: [], str) for one in engine.systems.values()]
        metrics, merge = engine.recorder.metrics, engine.recorder.merge
        source = AlarmSource(app.clock, engine.telemetry, metrics, merge, watched, shared=True)
        for _ in range(10):
            app.clock.set(app.clock.now() + 60)
            source.claim(app.clock.now(), 1)
            source.run()
        assert source.due_at() is not None


class SetByHand:
    """A clock that may go back, as a machine's can."""

    def __init__(self, at: datetime) -> None:
        self.at = at

    def now(self) -> float:
        return self.at.timestamp()

    def steady(self) -> float:
        return 0.0


def test_a_clock_that_went_back_does_not_stop_it(tmp_path: Path) -> None:
    with running(tmp_path) as app:
        clock, engine = SetByHand(NINE), app.engine
        source = AlarmSource(clock, engine.telemetry, engine.recorder.metrics, lambda: None, [])
        clock.at = NINE - timedelta(days=1)
        due = source.due_at()
        assert due is not None
        assert due - clock.now() <= 62


class Unreadable:
    """Metrics that cannot be read now."""

    def window(self, *_: object) -> Any:
        raise EngineUnavailable("the disk is gone")

    def latest_minute(self) -> int | None:
        return None


def test_metrics_that_cannot_be_read_are_read_a_minute_later(tmp_path: Path) -> None:
    with running(tmp_path) as app:
        engine = app.engine
        watched = [one.watched(lambda *_: [], str) for one in engine.systems.values()]
        source = AlarmSource(app.clock, engine.telemetry, Unreadable(), engine.recorder.merge, watched)
        app.clock.set(app.clock.now() + 60)
        (work,) = source.claim(app.clock.now(), 1)
        work.run()
        assert any("alarms cannot be evaluated now: the disk is gone" in line.message for line in app.logs)
        assert source.due_at() is not None
        assert set(app.alarms.values()) == {"INSUFFICIENT_DATA"}


# What a process that dies leaves behind


def as_it_is_on_disk(home: Path, copy: Path) -> Path:
    """What a process finds that is started after this one was killed now: what was committed."""
    shutil.copytree(home, copy)
    return copy


def test_a_change_whose_process_dies_before_its_mail_is_told_once(tmp_path: Path) -> None:
    with running(tmp_path / "killed") as app:
        app.get("/broken")
        app.advance(MINUTE)
        assert app.alarms["api_errors"] == "ALARM"
        assert app.outbox == []
        left = as_it_is_on_disk(tmp_path / "killed", tmp_path / "left")
    with running(left, at=NINE + timedelta(hours=2)) as app:
        app.advance(timedelta(hours=2))
        first, *others = app.outbox
        # Meanwhile it is over, which is what the mail says, and that it was.
        assert first.subject == "shop: OK api_errors"
        assert "It was in ALARM for" in (first.text or "")
        assert others == []


def test_a_mail_is_sent_once_whenever_the_process_dies(tmp_path: Path) -> None:
    with running(tmp_path / "killed") as app:
        send(app, "bad")
        app.advance(timedelta(minutes=3))
        assert len(app.outbox) == 1
        left = as_it_is_on_disk(tmp_path / "killed", tmp_path / "left")
    with running(left, at=NINE + timedelta(hours=2)) as app:
        app.advance(timedelta(hours=2))
        assert [mail.subject for mail in app.outbox] == ["shop: ALARM jobs_dead_letters"]


class Full(EmbeddedMailer):
    """A mailer whose disk is full once a mail is written."""

    def send(self, mail: Mail) -> str:
        super().send(mail)
        raise InvalidItem("no room")


def test_a_mail_that_cannot_be_written_is_tried_again(tmp_path: Path) -> None:
    """The note that it was told is undone with the mail, and the mail with the note."""
    with running(tmp_path) as app:
        system = app.engine.systems["shop"]
        book, mailer, space = system.alarms, system.alarm_mailer, app.engine.namespace
        evidence = Evidence(app.system, {}, lambda *_: [])
        book.enter([(book.status("api_errors"), Verdict("ALARM", 1.0, "100% is above 5%"))])
        app.clock.set(app.clock.now() + 60)
        with pytest.raises(InvalidItem):
            AlarmPost(book, Full(mailer.model, space), space, evidence, str).tell()
        assert app.outbox == []
        assert len(book.waiting()) == 1
        assert AlarmPost(book, mailer, space, evidence, str).tell() == 0
        assert [mail.subject for mail in app.outbox] == ["shop: ALARM api_errors"]


def test_alarms_that_are_no_longer_declared_are_forgotten(tmp_path: Path) -> None:
    with running(tmp_path) as app:
        app.get("/broken")
        app.advance(MINUTE)
        assert app.alarms["api_errors"] == "ALARM"
    without = shop()
    without.alarms(defaults=False)
    with running(tmp_path, without, at=NINE + timedelta(hours=1)) as app:
        app.advance(timedelta(hours=1))
        assert (app.alarms, app.outbox) == ({}, [])
    with running(tmp_path, at=NINE + timedelta(hours=3)) as app:
        assert app.alarms["api_errors"] == "INSUFFICIENT_DATA"


def test_changes_are_kept_for_two_weeks(tmp_path: Path) -> None:
    with running(tmp_path) as app:
        app.get("/broken")
        app.advance(timedelta(days=13))
        book = app.engine.systems["shop"].alarms
        assert [change.new for change in book.history(name="api_errors")] == ["OK", "ALARM"]
        app.advance(timedelta(days=2))
        assert book.history() == []
        assert app.alarms["api_errors"] == "OK"


def test_the_port_of_an_alarm(tmp_path: Path) -> None:
    system = shop()
    system.alarm("errors", of=system.resources["api"], metric="errors", above=0)
    with running(tmp_path, system) as app:
        port = app.engine.systems["shop"].ports["errors"]
        assert (port.status().state, port.status().since, port.status().value) == ("INSUFFICIENT_DATA", None, None)
        app.get("/broken")
        app.advance(MINUTE)
        since = (NINE + timedelta(minutes=1, seconds=2)).timestamp()
        assert (port.status().state, port.status().since, port.status().value) == ("ALARM", since, 1.0)
        (change,) = port.history()
        assert (change.alarm, change.at, change.old, change.new) == ("errors", since, "INSUFFICIENT_DATA", "ALARM")
        assert port.history(0) == []


def test_what_is_told_goes_to_smtp_where_somebody_is_to_be_told(tmp_path: Path) -> None:
    smtp = SmtpSettings.parse("smtp://127.0.0.1:9")
    for name, to, state in (("told", ["ops@example.com"], "waiting"), ("untold", [], "kept")):
        system = System("shop")
        system.alarms(to=to)
        namespace = Namespace(tmp_path / name, clock=ManualClock(NINE))
        mailer = alarm_mailer(system, namespace, smtp, lambda: None)
        mailer.send(Mail("alarms@localhost", tuple(to) or ("operator@localhost",), "shop: ALARM", "-"))
        assert [mail.state for mail in mailer.list()] == [state]
        assert (mailer.due_at() is None) == (state == "kept")
        namespace.close()


def test_an_alarm_without_data_says_so(tmp_path: Path) -> None:
    system = System("shop")
    system.alarms(defaults=False)
    system.alarm("worth", metric="worth", statistic="sum", above=1, missing="missing")
    namespace = Namespace(tmp_path, clock=ManualClock(NINE))
    book = AlarmBook(system, namespace)
    assert book.status("worth").reason == "not evaluated yet"
    assert book.enter([(book.status("worth"), Verdict("INSUFFICIENT_DATA", None, "nothing"))]) == 0
    assert (book.status("worth").reason, book.history()) == ("nothing", [])
    namespace.close()
