"""What a schedule does as time goes by."""

from datetime import UTC, datetime, timedelta

import pytest

from tests.conformance.plugin import Start
from windlass import System, Tick, now

NINE = datetime(2024, 6, 12, 9, tzinfo=UTC)  # a Wednesday


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def recording(system: System, failures: int = 0, **settings: object) -> list[Tick]:
    """Declares a schedule in `system` whose handler keeps its ticks; the first `failures` attempts fail."""
    seen: list[Tick] = []

    @system.schedule("nightly", **settings).task()  # type: ignore[arg-type]
    def tell(tick: Tick) -> None:
        seen.append(tick)
        if len(seen) <= failures:
            raise RuntimeError("not yet")

    return seen


def test_a_rate_fires_once_a_period(start: Start) -> None:
    system = System("shop")
    seen = recording(system, every=timedelta(minutes=5))
    app = start(system, clock_start=NINE + timedelta(seconds=1))
    assert seen == []
    app.advance(timedelta(hours=1))
    assert [tick.scheduled_at for tick in seen] == [NINE + timedelta(minutes=5 * n) for n in range(1, 13)]
    assert len({tick.id for tick in seen}) == 12
    assert {tick.attempt for tick in seen} == {1}


def test_the_clock_stands_at_the_firing(start: Start) -> None:
    system, times = System("shop"), list[datetime]()

    @system.schedule("often", every=timedelta(minutes=10)).task()
    def tell() -> None:
        times.append(now())

    app = start(system, clock_start=NINE)
    app.advance(timedelta(minutes=25))
    assert times == [NINE + timedelta(minutes=10), NINE + timedelta(minutes=20)]
    assert app.now == NINE + timedelta(minutes=25)


def test_cron_fires_at_its_times(start: Start) -> None:
    system = System("shop")
    seen = recording(system, cron="30 3,18 ? * MON-FRI *")
    app = start(system, clock_start=at("2024-06-13T12:00"))  # a Thursday
    app.advance(timedelta(days=4))
    assert [tick.scheduled_at for tick in seen] == [
        at("2024-06-13T18:30"),
        at("2024-06-14T03:30"),
        at("2024-06-14T18:30"),
        at("2024-06-17T03:30"),
    ]


def test_cron_goes_by_the_clock_of_its_zone(start: Start) -> None:
    system = System("shop")
    seen = recording(system, cron="0 9 * * ? *", timezone="Europe/Madrid")
    app = start(system, clock_start=at("2024-03-29T12:00"))
    app.advance(timedelta(days=3))
    # Summer time began in the night to 31 March.
    assert [tick.scheduled_at for tick in seen] == [
        at("2024-03-30T08:00"),
        at("2024-03-31T07:00"),
        at("2024-04-01T07:00"),
    ]


def test_a_time_that_does_not_exist_is_skipped(start: Start) -> None:
    system = System("shop")
    seen = recording(system, cron="30 2 * * ? *", timezone="America/Los_Angeles")
    app = start(system, clock_start=at("2024-03-09T00:00"))
    app.advance(timedelta(days=3))
    assert [tick.scheduled_at for tick in seen] == [at("2024-03-09T10:30"), at("2024-03-11T09:30")]


def test_a_time_that_is_repeated_fires_once(start: Start) -> None:
    system = System("shop")
    seen = recording(system, cron="30 1 * * ? *", timezone="America/Los_Angeles")
    app = start(system, clock_start=at("2024-11-03T00:00"))
    app.advance(timedelta(days=2))
    assert [tick.scheduled_at for tick in seen] == [at("2024-11-03T08:30"), at("2024-11-04T09:30")]


def test_a_schedule_comes_to_its_end(start: Start) -> None:
    system = System("shop")
    seen = recording(system, cron="0 0 1 1 ? 2025")
    app = start(system, clock_start=at("2024-12-31T00:00"))
    app.advance(timedelta(days=800))
    assert [tick.scheduled_at for tick in seen] == [at("2025-01-01T00:00")]


def test_a_handler_need_not_take_the_tick(start: Start) -> None:
    system, calls = System("shop"), list[str]()

    @system.schedule("often", every=timedelta(minutes=1)).task()
    def tell() -> None:
        calls.append("called")

    start(system, clock_start=NINE).advance(timedelta(minutes=3))
    assert calls == ["called"] * 3


def test_what_a_handler_does_is_granted(start: Start) -> None:
    system = System("shop")
    mails = system.mailer("mails", sender="shop@example.com")

    @system.schedule("often", every=timedelta(minutes=1)).task(uses=[mails.send])
    def allowed() -> None:
        mails.send("ann@example.com", subject="allowed", text="-")

    @system.schedule("secretly", every=timedelta(minutes=1), retries=0).task()
    def denied() -> None:
        mails.send("ann@example.com", subject="denied", text="-")

    app = start(system, clock_start=NINE)
    app.advance(timedelta(minutes=2))
    assert [mail.subject for mail in app.outbox] == ["allowed", "allowed"]


@pytest.mark.parametrize("retries", [0, 1, 2])
def test_a_failing_handler_is_tried_again(start: Start, retries: int) -> None:
    system = System("shop")
    seen = recording(system, failures=99, cron="0 10 * * ? *", retries=retries)
    app = start(system, clock_start=NINE)
    app.advance(timedelta(hours=12))
    assert [tick.attempt for tick in seen] == list(range(1, retries + 2))
    assert len({tick.id for tick in seen}) == 1
    assert {tick.scheduled_at for tick in seen} == {NINE + timedelta(hours=1)}


def test_the_wait_for_the_next_attempt_doubles(start: Start) -> None:
    system, times = System("shop"), list[datetime]()

    @system.schedule("nightly", cron="0 10 * * ? *", retries=2).task()
    def tell() -> None:
        times.append(now())
        raise RuntimeError("not yet")

    app = start(system, clock_start=NINE)
    app.advance(timedelta(hours=12))
    ten = NINE + timedelta(hours=1)
    assert times == [ten + timedelta(minutes=minutes) for minutes in (0, 1, 3)]


def test_an_attempt_that_succeeds_ends_the_tick(start: Start) -> None:
    system = System("shop")
    seen = recording(system, failures=1, cron="0 10 * * ? *", retries=2)
    app = start(system, clock_start=NINE)
    app.advance(timedelta(days=1))
    assert [tick.attempt for tick in seen] == [1, 2]
    assert seen[0].id == seen[1].id


def test_a_failing_tick_does_not_stop_the_next(start: Start) -> None:
    system = System("shop")
    seen = recording(system, failures=99, every=timedelta(minutes=1), retries=1)
    start(system, clock_start=NINE).advance(timedelta(minutes=3))
    firsts = [tick.scheduled_at for tick in seen if tick.attempt == 1]
    assert firsts == [NINE + timedelta(minutes=n) for n in (1, 2, 3)]


def test_the_latest_missed_firing_is_made_up_for_once(start: Start) -> None:
    system = System("shop")
    seen = recording(system, every=timedelta(minutes=5))
    start(system, clock_start=NINE).close()
    app = start(system, clock_start=NINE + timedelta(hours=3, minutes=2))
    app.settle()
    assert [tick.scheduled_at for tick in seen] == [NINE + timedelta(hours=3)]
    app.advance(timedelta(minutes=3))
    assert [tick.scheduled_at for tick in seen][1:] == [NINE + timedelta(hours=3, minutes=5)]


def test_the_latest_missed_firing_of_a_year_is_found_at_once(start: Start) -> None:
    system = System("shop")
    seen = recording(system, cron="* * * * ? *")
    start(system, clock_start=NINE).close()
    app = start(system, clock_start=datetime(2025, 6, 12, 9, 0, 30, tzinfo=UTC))
    app.settle()
    assert [tick.scheduled_at for tick in seen] == [datetime(2025, 6, 12, 9, tzinfo=UTC)]


def test_a_changed_rule_counts_from_now_on(start: Start) -> None:
    before, after = System("shop"), System("shop")
    old, new = recording(before, cron="0 10 * * ? *"), recording(after, cron="0 11 * * ? *")
    start(before, clock_start=NINE).close()
    start(after, clock_start=NINE).advance(timedelta(hours=3))
    assert old == []
    assert [tick.scheduled_at for tick in new] == [NINE + timedelta(hours=2)]


@pytest.mark.parametrize("seed", range(5))
def test_a_tick_that_comes_twice_keeps_its_id(start: Start, seed: int) -> None:
    system = System("shop")
    seen = recording(system, every=timedelta(minutes=5))
    start(system, seed=seed, clock_start=NINE).advance(timedelta(hours=2))
    assert len({tick.id for tick in seen}) == 24
    assert len({(tick.id, tick.scheduled_at) for tick in seen}) == 24
