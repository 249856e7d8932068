"""What an alarm does as time goes by: its states, and what is told of them."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.conformance.plugin import Start
from windlass import Conflict, ServiceUnavailable, System, metric
from windlass.testing import Driver

NINE = datetime(2024, 6, 12, 9, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


@dataclass(frozen=True)
class Job:
    id: str


def shop(*, defaults: bool = False) -> System:
    """A system with one api: /fine, /broken (500), /busy (503), /taken (409)."""
    system = System("shop")
    system.alarms(defaults=defaults)
    api = system.api("api")

    @api.get("/fine")
    def fine() -> str:
        return "fine"

    @api.get("/broken")
    def broken() -> None:
        raise RuntimeError("it is broken")

    @api.get("/busy")
    def busy() -> None:
        raise ServiceUnavailable()

    @api.get("/taken")
    def taken() -> None:
        raise Conflict()

    return system


def minute(app: Driver, *paths: str) -> None:
    """Sends requests, and lets the minute pass in which they were, and be evaluated."""
    for path in paths:
        app.get(path)
    app.advance(MINUTE)


def begun(start: Start, system: System, **options: Any) -> Driver:
    """A driver half-way between two evaluations."""
    return start(system, clock_start=NINE + timedelta(seconds=30), **options)


def test_an_alarm_begins_without_data_and_is_ok_when_nothing_happens(start: Start) -> None:
    system = shop()
    system.alarm("errors", of=system.resources["api"], metric="errors", above=0)
    app = begun(start, system)
    assert app.alarms == {"errors": "INSUFFICIENT_DATA"}
    app.advance(MINUTE)
    assert app.alarms == {"errors": "OK"}


def test_a_breach_is_an_alarm_and_its_end_is_ok(start: Start) -> None:
    system = shop()
    system.alarm("errors", of=system.resources["api"], metric="errors", above=1)
    app = begun(start, system)
    minute(app, "/broken", "/fine")
    assert app.alarms == {"errors": "OK"}
    minute(app, "/broken", "/busy")
    assert app.alarms == {"errors": "ALARM"}
    minute(app, "/fine")
    assert app.alarms == {"errors": "OK"}


def test_a_rate_is_the_average_of_errors(start: Start) -> None:
    system = shop()
    system.alarm("rate", of=system.resources["api"], metric="errors", statistic="average", at_least=0.5)
    app = begun(start, system)
    minute(app, *["/broken"] * 2, *["/fine"] * 3)
    assert app.alarms == {"rate": "OK"}
    minute(app, *["/broken"] * 2, *["/fine"] * 2)
    assert app.alarms == {"rate": "ALARM"}


@pytest.mark.parametrize(
    ("name", "value", "paths", "state"),
    [
        ("requests", 2, ["/fine", "/taken"], "OK"),
        ("requests", 2, ["/fine", "/taken", "/broken"], "ALARM"),
        ("errors", 0, ["/taken"], "OK"),
        ("client_errors", 0, ["/taken"], "ALARM"),
        ("client_errors", 0, ["/broken"], "OK"),
        ("latency", timedelta(0), ["/fine"], "ALARM"),
        ("latency", timedelta(minutes=1), ["/fine"], "OK"),
        ("throttles", 0, ["/fine"], "OK"),
    ],
    ids=lambda value: "-" if isinstance(value, list) else str(value),
)
def test_what_an_api_has(start: Start, name: str, value: Any, paths: list[str], state: str) -> None:
    system = shop()
    system.alarm("watched", of=system.resources["api"], metric=name, above=value)
    app = begun(start, system)
    minute(app, *paths)
    assert app.alarms == {"watched": state}


def test_two_of_three_values_make_an_alarm(start: Start) -> None:
    system = shop()
    system.alarm("some", of=system.resources["api"], metric="errors", above=0, periods=3, datapoints=2)
    app = begun(start, system)
    states = []
    for path in ["/fine", "/broken", "/fine", "/broken", "/broken", "/fine", "/fine"]:
        minute(app, path)
        states.append(app.alarms["some"])
    assert states == ["OK", "OK", "OK", "ALARM", "ALARM", "ALARM", "OK"]


def test_a_period_of_several_minutes_is_taken_together(start: Start) -> None:
    system = shop()
    period = timedelta(minutes=3)
    system.alarm("three", of=system.resources["api"], metric="requests", at_least=3, period=period)
    app = begun(start, system)
    states = []
    for _ in range(3):
        minute(app, "/fine")
        states.append(app.alarms["three"])
    assert states == ["OK", "OK", "ALARM"]


@pytest.mark.parametrize(
    ("missing", "states"),
    [
        ("not_breaching", ["ALARM", "ALARM", "ALARM", "OK"]),
        ("breaching", ["ALARM"] * 4),
        ("ignore", ["ALARM"] * 4),
        ("missing", ["ALARM", "ALARM", "ALARM", "INSUFFICIENT_DATA"]),
    ],
)
def test_missing_data_is_treated_as_declared(start: Start, missing: Any, states: list[str]) -> None:
    """The last value is looked at again for two minutes more, as CloudWatch does."""
    system = shop()
    system.alarm("errors", of=system.resources["api"], metric="errors", above=0, missing=missing)
    app = begun(start, system)
    minute(app, "/broken")
    seen = [app.alarms["errors"]]
    for _ in range(3):
        minute(app)
        seen.append(app.alarms["errors"])
    assert seen == states


def test_silence_can_be_the_alarm(start: Start) -> None:
    system = shop()
    system.alarm("silent", of=system.resources["api"], metric="requests", below=1, missing="breaching")
    app = begun(start, system)
    minute(app, "/fine")
    assert app.alarms == {"silent": "OK"}
    app.advance(timedelta(hours=1))
    assert app.alarms == {"silent": "ALARM"}
    minute(app, "/fine")
    assert app.alarms == {"silent": "OK"}


def test_dead_letters_are_an_alarm_until_they_are_gone(start: Start) -> None:
    app = start(failing_queue(), clock_start=NINE)
    with app.bound():
        send(app, "1")
    app.advance(timedelta(minutes=2))
    assert app.alarms == {"jobs_dead_letters": "ALARM", "jobs_age": "OK"}
    app.advance(timedelta(hours=3))
    assert app.alarms["jobs_dead_letters"] == "ALARM"
    app.queue("jobs").purge(dead=True)
    app.advance(timedelta(minutes=2))
    assert app.alarms == {"jobs_dead_letters": "OK", "jobs_age": "OK"}


def test_messages_that_wait_too_long_are_an_alarm(start: Start) -> None:
    system = failing_queue(delay=timedelta(seconds=30))
    system.alarm("depth", of=system.resources["jobs"], metric="depth", below=1, missing="breaching")
    app = start(system, clock_start=NINE)
    app.advance(timedelta(hours=2))
    assert app.alarms == {"depth": "ALARM", "jobs_dead_letters": "OK", "jobs_age": "OK"}


def test_a_schedule_whose_handler_fails_is_an_alarm(start: Start) -> None:
    system = System("shop")

    @system.schedule("nightly", cron="0 10 * * ? *", retries=0).task()
    def close_the_day() -> None:
        raise RuntimeError("not closed")

    app = start(system, clock_start=NINE)
    app.advance(timedelta(hours=1, minutes=2))
    assert app.alarms == {"nightly_failures": "ALARM"}
    app.advance(timedelta(hours=1))
    assert app.alarms == {"nightly_failures": "OK"}


def test_a_handler_is_watched_by_its_function(start: Start) -> None:
    system = shop()
    broken = next(handler.function for handler in system.handlers if handler.name == "broken")
    system.alarm("calls", of=broken, metric="calls", above=1)
    system.alarm("failed", of=broken, metric="errors", above=0)
    app = begun(start, system)
    minute(app, "/broken", "/fine", "/fine")
    assert app.alarms == {"calls": "OK", "failed": "ALARM"}


def test_a_metric_of_ones_own_is_watched(start: Start) -> None:
    system = System("shop")
    system.alarms(defaults=False)

    @system.api("api").get("/orders")
    def order(worth: int) -> None:
        metric("worth", worth)

    system.alarm("large", metric="worth", statistic="maximum", above=100)
    app = begun(start, system)
    minute(app, "/orders?worth=100")
    assert app.alarms == {"large": "OK"}
    minute(app, "/orders?worth=1000", "/orders?worth=1")
    assert app.alarms == {"large": "ALARM"}


def test_a_declared_alarm_takes_the_place_of_a_default_one(start: Start) -> None:
    system = shop(defaults=True)
    system.alarm("api_errors", of=system.resources["api"], metric="errors", above=5)
    app = begun(start, system)
    assert set(app.alarms) == {"api_errors", "api_latency", "api_throttles"}
    minute(app, *["/broken"] * 5)
    assert app.alarms["api_errors"] == "OK"


def test_states_survive_the_engine(start: Start) -> None:
    first = start(failing_queue(), clock_start=NINE)
    with first.bound():
        send(first, "1")
    first.advance(timedelta(minutes=2))
    first.close()
    second = start(failing_queue(), clock_start=NINE + timedelta(days=3))
    assert second.alarms["jobs_dead_letters"] == "ALARM"
    second.advance(timedelta(minutes=2))
    assert second.alarms["jobs_dead_letters"] == "ALARM"
    assert [mail.subject for mail in second.outbox] == ["shop: ALARM jobs_dead_letters"]


def test_an_alarm_with_another_rule_begins_anew(start: Start) -> None:
    def declared(above: float) -> System:
        system = shop()
        system.alarm("errors", of=system.resources["api"], metric="errors", above=above)
        return system

    first = begun(start, declared(above=0))
    minute(first, "/broken")
    assert first.alarms == {"errors": "ALARM"}
    first.close()
    second = start(declared(above=2), clock_start=NINE + timedelta(hours=1))
    assert second.alarms == {"errors": "INSUFFICIENT_DATA"}


# What is told


def failing_queue(**options: Any) -> System:
    """A queue whose consumer fails on every message, the first time for good."""
    system = System("shop")
    jobs = system.queue("jobs", Job, max_attempts=1, **options)

    @jobs.consumer()
    def work(job: Job) -> None:
        raise ValueError(f"there is no job {job.id}")

    return system


def send(app: Driver, *ids: str) -> None:
    jobs: Any = app.system.resources["jobs"]
    for one in ids:
        jobs.send(Job(one))


def test_a_mail_tells_what_to_look_at_and_how_to_mend_it(start: Start) -> None:
    app = start(failing_queue(), clock_start=NINE)
    with app.bound():
        send(app, "7", "8")
    app.advance(timedelta(minutes=3))
    (mail,) = app.outbox
    assert (mail.to, mail.subject) == (("operator@localhost",), "shop: ALARM jobs_dead_letters")
    (first, second) = app.queue("jobs").peek(10, dead=True)
    for body in (mail.text or "", mail.html or ""):
        assert "2 is above 0" in body
        assert "2024-06-12 09:00:02Z" in body
        assert "work: ValueError: there is no job 7" in body
        assert "windlass queue redrive shop jobs" in body
        assert f"windlass traces {str(first.trace)[:32]}" in body
        assert f"windlass traces {str(second.trace)[:32]}" in body


def test_a_mail_tells_of_the_failed_requests(start: Start) -> None:
    app = begun(start, shop(defaults=True))
    app.get("/fine")
    trace = app.get("/broken").json()["trace_id"]
    app.advance(timedelta(minutes=3))
    (mail,) = app.outbox
    assert mail.subject == "shop: ALARM api_errors"
    assert mail.text is not None
    assert "50% is above 5%" in mail.text
    assert "broken: RuntimeError: it is broken" in mail.text
    assert f"windlass traces {trace}" in mail.text


def test_changes_that_belong_together_are_one_mail(start: Start) -> None:
    system = shop()
    api = system.resources["api"]
    system.alarm("errors", of=api, metric="errors", above=0)
    system.alarm("requests", of=api, metric="requests", above=1)
    system.alarm("taken", of=api, metric="client_errors", above=0)
    app = begun(start, system)
    minute(app, "/broken", "/fine")
    assert app.outbox == []
    minute(app, "/taken")  # which also ends the other two
    (mail,) = app.outbox
    assert mail.subject == "shop: 1 alarm, 2 over"
    app.advance(timedelta(hours=1))
    assert [mail.subject for mail in app.outbox][1:] == ["shop: OK taken"]


def test_a_recovery_tells_how_long_it_was(start: Start) -> None:
    app = start(failing_queue(), clock_start=NINE)
    with app.bound():
        send(app, "7")
    app.advance(timedelta(hours=1))
    app.queue("jobs").purge(dead=True)
    app.advance(timedelta(minutes=5))
    _, recovery = app.outbox
    assert recovery.subject == "shop: OK jobs_dead_letters"
    assert recovery.text is not None
    assert "It was in ALARM for 1 h." in recovery.text
    assert "redrive" not in recovery.text


def test_an_alarm_that_flaps_is_told_of_a_few_times_only(start: Start) -> None:
    system = shop()
    system.alarm("errors", of=system.resources["api"], metric="errors", above=0)
    app = begun(start, system)
    for _ in range(30):
        minute(app, "/broken")
        minute(app, "/fine")
    during = len(app.outbox)
    assert 2 <= during <= 4
    assert "goes back and forth" in (app.outbox[-1].text or "")
    app.advance(timedelta(hours=1))
    last = app.outbox[during:]
    assert [mail.subject for mail in last] == ["shop: OK errors"]
    assert "times since it was told of last" in (last[0].text or "")
    assert app.alarms == {"errors": "OK"}


def test_who_is_told_is_declared(start: Start) -> None:
    system = failing_queue()
    system.alarms(to=["ops@example.com", "Ann <ann@example.com>"])
    app = start(system, clock_start=NINE)
    with app.bound():
        send(app, "1")
    app.advance(timedelta(minutes=3))
    (mail,) = app.outbox
    assert (mail.sender, mail.to) == ("ops@example.com", ("ops@example.com", "Ann <ann@example.com>"))


def test_a_change_is_logged(start: Start) -> None:
    system = shop()
    system.alarm("errors", of=system.resources["api"], metric="errors", above=0)
    app = begun(start, system)
    minute(app, "/broken")
    minute(app, "/fine")
    lines = [(line.level, line.message) for line in app.logs if line.message.startswith("alarm ")]
    assert lines == [
        ("WARNING", "alarm errors is ALARM: api api: errors, sum of 1 min: 1 is above 0"),
        ("INFO", "alarm errors is OK: api api: errors, sum of 1 min: 0 is not above 0"),
    ]


def test_what_is_secret_is_not_in_a_mail(start: Start) -> None:
    system = failing_queue()
    key = system.secret("key")

    @system.api("api").post("/jobs", uses=[system.resources["jobs"].send, key.read])  # type: ignore[attr-defined]
    def ask() -> None:
        send_it: Callable[[Job], str] = system.resources["jobs"].send  # type: ignore[attr-defined]
        send_it(Job(key.read()))

    app = start(system, clock_start=NINE)
    app.secret("key").write("correct horse battery staple")
    assert app.post("/jobs").status == 200
    app.advance(timedelta(minutes=3))
    (mail,) = app.outbox
    assert "there is no job" in (mail.text or "")
    assert "correct horse" not in (mail.text or "") + (mail.html or "")


@pytest.mark.parametrize("seed", range(3))
def test_a_seed_changes_nothing_about_alarms(start: Start, seed: int) -> None:
    app = start(failing_queue(), seed=seed, clock_start=NINE)
    with app.bound():
        send(app, "1", "2", "3")
    app.advance(timedelta(minutes=3))
    assert app.alarms["jobs_dead_letters"] == "ALARM"
    assert [mail.subject for mail in app.outbox] == ["shop: ALARM jobs_dead_letters"]
