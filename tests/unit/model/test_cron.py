"""Cron expressions: AWS's own examples, daylight saving, what is refused, and the rules that hold for all of them."""

import calendar
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from windlass.errors import DeclarationError
from windlass.model.cron import Cron

WEEKDAYS = ["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"]


def cron(text: str, zone: str = "UTC") -> Cron:
    return Cron(text, ZoneInfo(zone), where="shop.nightly")


def firings(text: str, start: str, count: int, zone: str = "UTC") -> list[str]:
    """The first `count` firings after `start`, both on the zone's own clock: `Fri 2022-01-28 10:15`."""
    made, moment = cron(text, zone), datetime.fromisoformat(start).replace(tzinfo=ZoneInfo(zone))
    found = []
    for _ in range(count):
        after = made.next_after(moment)
        if after is None:
            break
        moment = after
        found.append(moment.astimezone(ZoneInfo(zone)).strftime("%a %Y-%m-%d %H:%M"))
    return found


# AWS's examples: https://docs.aws.amazon.com/scheduler/latest/UserGuide/schedule-types.html and, for the longer list,
# https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-scheduled-rule-pattern.html
EXAMPLES = [
    ("0 10 * * ? *", "2024-02-28", ["Wed 2024-02-28 10:00", "Thu 2024-02-29 10:00", "Fri 2024-03-01 10:00"]),
    ("15 12 * * ? *", "2024-12-31T12:15", ["Wed 2025-01-01 12:15"]),
    ("0 18 ? * MON-FRI *", "2024-06-13T18:00", ["Fri 2024-06-14 18:00", "Mon 2024-06-17 18:00"]),
    ("0 8 1 * ? *", "2024-06-13", ["Mon 2024-07-01 08:00", "Thu 2024-08-01 08:00"]),
    ("0/15 * * * ? *", "2024-06-13T23:40", ["Thu 2024-06-13 23:45", "Fri 2024-06-14 00:00"]),
    ("0/10 * ? * MON-FRI *", "2024-06-14T23:45", ["Fri 2024-06-14 23:50", "Mon 2024-06-17 00:00"]),
    ("0/5 8-17 ? * MON-FRI *", "2024-06-13T17:50", ["Thu 2024-06-13 17:55", "Fri 2024-06-14 08:00"]),
    ("0/30 20-2 ? * MON-FRI *", "2024-06-13T02:10", ["Thu 2024-06-13 02:30", "Thu 2024-06-13 20:00"]),
    ("0 9 ? * 2#1 *", "2024-06-13", ["Mon 2024-07-01 09:00", "Mon 2024-08-05 09:00"]),
    ("0 9 ? * 3#2 *", "2024-06-01", ["Tue 2024-06-11 09:00", "Tue 2024-07-09 09:00"]),
    ("15 10 ? * 6L 2022-2023", "2022-01-01", ["Fri 2022-01-28 10:15", "Fri 2022-02-25 10:15"]),
    ("0 9 3W * ? *", "2024-02-01", ["Fri 2024-02-02 09:00", "Mon 2024-03-04 09:00", "Wed 2024-04-03 09:00"]),
    ("1/10 * * * ? *", "2024-06-13T00:00", ["Thu 2024-06-13 00:01", "Thu 2024-06-13 00:11", "Thu 2024-06-13 00:21"]),
    ("0 0 1 JAN,FEB,MAR ? *", "2024-01-01", ["Thu 2024-02-01 00:00", "Fri 2024-03-01 00:00", "Wed 2025-01-01 00:00"]),
    ("30 8 * * ? *", "2024-06-13", ["Thu 2024-06-13 08:30"]),
]


@pytest.mark.parametrize(("text", "start", "expected"), EXAMPLES, ids=[text for text, _, _ in EXAMPLES])
def test_the_examples_of_aws(text: str, start: str, expected: list[str]) -> None:
    assert firings(text, start, len(expected)) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0 0 L * ? *", ["Wed 2024-01-31 00:00", "Thu 2024-02-29 00:00", "Sun 2024-03-31 00:00"]),
        ("0 0 ? * L *", ["Sat 2024-01-06 00:00", "Sat 2024-01-13 00:00"]),
        ("0 0 ? * SUNL *", ["Sun 2024-01-28 00:00", "Sun 2024-02-25 00:00"]),
        ("0 0 ? * THU#5 *", ["Thu 2024-02-29 00:00", "Thu 2024-05-30 00:00"]),
        ("0 0 ? * SAT-MON *", ["Mon 2024-01-01 00:00", "Sat 2024-01-06 00:00", "Sun 2024-01-07 00:00"]),
        ("0 0 1 NOV-FEB/2 ? *", ["Mon 2024-01-01 00:00", "Fri 2024-11-01 00:00", "Wed 2025-01-01 00:00"]),
        ("0 0 1 1 ? */100", ["Wed 2070-01-01 00:00", "Mon 2170-01-01 00:00"]),
        ("0 0 29 2 ? *", ["Thu 2024-02-29 00:00", "Tue 2028-02-29 00:00"]),
    ],
)
def test_the_other_forms(text: str, expected: list[str]) -> None:
    assert firings(text, "2023-12-31T12:00", len(expected)) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [  # 2024: 1 June is a Saturday, 15 June too, 30 June a Sunday; 31 August a Saturday, 31 March a Sunday
        ("0 9 1W 6 ? 2024", ["Mon 2024-06-03 09:00"]),
        ("0 9 15W 6 ? 2024", ["Fri 2024-06-14 09:00"]),
        ("0 9 16W 6 ? 2024", ["Mon 2024-06-17 09:00"]),
        ("0 9 30W 6 ? 2024", ["Fri 2024-06-28 09:00"]),
        ("0 9 31W * ? 2024", [f"{d} 09:00" for d in ("Wed 2024-01-31", "Fri 2024-03-29", "Fri 2024-05-31")]),
        ("0 9 31W 8 ? 2024", ["Fri 2024-08-30 09:00"]),
    ],
)
def test_the_nearest_weekday(text: str, expected: list[str]) -> None:
    assert firings(text, "2024-01-01", len(expected)) == expected


def test_a_time_that_does_not_exist_is_skipped() -> None:
    # AWS's own example; in Los Angeles 2:00 to 2:59 was left out on 10 March 2024.
    assert firings("30 2 * * ? *", "2024-03-09", 2, "America/Los_Angeles") == [
        "Sat 2024-03-09 02:30",
        "Mon 2024-03-11 02:30",
    ]


def test_a_time_that_is_repeated_fires_once_before_the_shift() -> None:
    made = cron("30 1 * * ? *", "America/Los_Angeles")
    first = made.next_after(datetime(2024, 11, 3, tzinfo=UTC))
    assert first == datetime(2024, 11, 3, 8, 30, tzinfo=UTC)
    assert made.next_after(first) == datetime(2024, 11, 4, 9, 30, tzinfo=UTC)
    # Also for one who asks within the repeated hour.
    assert made.next_after(datetime(2024, 11, 3, 9, 10, tzinfo=UTC)) == datetime(2024, 11, 4, 9, 30, tzinfo=UTC)


def test_a_repeated_hour_is_not_repeated_by_a_frequent_schedule() -> None:
    made, moment = cron("0/30 * * * ? *", "Europe/Madrid"), datetime(2024, 10, 27, 0, 15, tzinfo=UTC)
    found: list[str] = []
    while len(found) < 3:
        after = made.next_after(moment)
        assert after is not None
        moment = after
        found.append(moment.strftime("%H:%M"))
    assert found == ["00:30", "02:00", "02:30"]  # 2:30 summer time, then 3:00 and 3:30 winter time


def test_a_day_that_a_zone_left_out_is_skipped() -> None:
    assert firings("0 12 * * ? *", "2011-12-29", 2, "Pacific/Apia") == ["Thu 2011-12-29 12:00", "Sat 2011-12-31 12:00"]


def test_it_ends_with_its_last_year() -> None:
    assert firings("0 0 1 1 ? 2023,2025", "2020-01-01", 5) == ["Sun 2023-01-01 00:00", "Wed 2025-01-01 00:00"]
    assert cron("* * * * ? *").next_after(datetime(2199, 12, 31, 23, 59, tzinfo=UTC)) is None
    assert cron("* * * * ? *").next_after(datetime.max.replace(tzinfo=UTC)) is None


def test_it_starts_with_its_first_year() -> None:
    first = datetime(1970, 1, 1, tzinfo=UTC)
    assert cron("* * * * ? *").next_after(datetime.min.replace(tzinfo=UTC)) == first
    assert cron("0 0 1 1 ? 1970").next_after(datetime(1969, 1, 1, tzinfo=UTC)) == first


def test_any_aware_moment_will_do() -> None:
    made, utc = cron("0 10 * * ? *"), datetime(2024, 6, 1, 9, 59, 59, 999_999, tzinfo=UTC)
    assert made.next_after(utc) == made.next_after(utc.astimezone(ZoneInfo("Asia/Tokyo")))
    assert made.next_after(utc) == datetime(2024, 6, 1, 10, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "fault", "fix"),
    [
        ("0 3 * * *", "it has 5 fields", '"0 3 * * ? *"'),
        ("0 3 * * 1-5", "it has 5 fields", '"0 3 ? * MON-FRI *"'),
        ("", "it has 0 fields", "0 3 * * ? *"),
        ("0 0 3 * * ? *", "it has 7 fields", "0 3 * * ? *"),
        ("cron(0 3 * * ? *)", "parentheses", 'cron="0 3 * * ? *"'),
        ("0 0 * * * *", "must be ?", '"0 0 * * ? *"'),
        ("0 0 ? * ? *", "must be ?", "MON-FRI"),
        ("0 0 1 * MON *", "must be ?", "MON-FRI"),
        ("0 0 ?,1 * * *", "must be ?", "0 0 * * ? *"),
        ("0 0 ? ? * *", "month cannot be '?'", "JAN to DEC"),
        ("60 * * * ? *", "minutes cannot be '60'", "0 to 59"),
        ("-1 * * * ? *", "minutes cannot be '-1'", "0 to 59"),
        ("1, * * * ? *", "minutes cannot be ''", "0 to 59"),
        ("² * * * ? *", "minutes cannot be '²'", "0 to 59"),
        ("0 24 * * ? *", "hours cannot be '24'", "0 to 23"),
        ("0 0 0 * ? *", "day-of-month cannot be '0'", "15W"),
        ("0 0 32W * ? *", "day-of-month cannot be '32'", "15W"),
        ("0 0 LW * ? *", "day-of-month cannot be 'LW'", "L for the last day"),
        ("0 0 1,L * ? *", "day-of-month cannot be 'L'", "L for the last day"),
        ("0 0 1 0 ? *", "month cannot be '0'", "1 to 12 or JAN to DEC in capitals"),
        ("0 0 1 may ? *", "month cannot be 'may'", "in capitals"),
        ("0 0 ? * 0 *", "day-of-week cannot be '0'", "1 to 7 or SUN to SAT"),
        ("0 0 ? * 8L *", "day-of-week cannot be '8'", "1 to 7"),
        ("0 0 ? * 3#1,6#3 *", "day-of-week cannot be '3#1'", "2#1"),
        ("0 0 ? * 3#6 *", "no month has a weekday 6 times", "3#5"),
        ("0 0 ? * 3#0 *", "no month has a weekday 0 times", "3#1"),
        ("0 0 ? * 2/2 *", "day-of-week cannot be '2/2'", "-"),
        ("0/0 * * * ? *", "the step 0", "1 to 59"),
        ("0/90 * * * ? *", "the step 90", "1 to 59"),
        ("0/ * * * ? *", "minutes cannot be '0/'", "0 to 59"),
        ("0 0 1 1 ? 1969", "year cannot be '1969'", "1970 to 2199"),
        ("0 0 1 1 ? 2200", "year cannot be '2200'", "1970 to 2199"),
        ("0 0 1 1 ? 2025-2023", "run backwards", "2023-2025"),
        ("0 0 30 2 ? *", "no date ever fits", "0 3 * * ? *"),
        ("0 0 31 2,4,6,9,11 ? *", "no date ever fits", "0 3 * * ? *"),
        ("0 0 31W 2 ? *", "no date ever fits", "0 3 * * ? *"),
        ("0 0 29 2 ? 2023", "no date ever fits", "0 3 * * ? *"),
        ("0 0 29 2 ? 2100", "no date ever fits", "0 3 * * ? *"),
    ],
)
def test_what_is_refused_is_explained(text: str, fault: str, fix: str) -> None:
    with pytest.raises(DeclarationError) as raised:
        cron(text)
    assert raised.value.where == "shop.nightly"
    assert fault in raised.value.summary
    assert fix in raised.value.fix


def field(low: int, high: int) -> st.SearchStrategy[tuple[str, set[int]]]:
    """A field's text and the numbers that it names."""
    number = st.integers(low, high)
    every = st.integers(1, high - low)
    term: st.SearchStrategy[tuple[str, set[int]]] = st.one_of(
        st.just(("*", set(range(low, high + 1)))),
        number.map(lambda n: (str(n), {n})),
        st.tuples(number, number).map(sorted).map(lambda r: (f"{r[0]}-{r[1]}", set(range(r[0], r[1] + 1)))),
        st.tuples(number, every).map(lambda s: (f"{s[0]}/{s[1]}", set(range(s[0], high + 1, s[1])))),
        every.map(lambda s: (f"*/{s}", set(range(low, high + 1, s)))),
    )
    return st.lists(term, min_size=1, max_size=3).map(
        lambda terms: (",".join(text for text, _ in terms), set[int]().union(*(numbers for _, numbers in terms)))
    )


ZONES = st.sampled_from(["UTC", "America/New_York", "Europe/Madrid", "Australia/Lord_Howe", "Asia/Kathmandu"])
MOMENTS = st.datetimes(datetime(1971, 1, 1), datetime(2150, 1, 1), timezones=st.just(UTC))


@given(field(0, 59), field(0, 23), field(1, 31).filter(lambda f: min(f[1]) <= 28), field(1, 12), ZONES, MOMENTS)
def test_each_firing_is_later_and_fits(
    minutes: tuple[str, set[int]],
    hours: tuple[str, set[int]],
    days: tuple[str, set[int]],
    months: tuple[str, set[int]],
    zone: str,
    moment: datetime,
) -> None:
    made = cron(f"{minutes[0]} {hours[0]} {days[0]} {months[0]} ? *", zone)
    found = made.next_after(moment)
    assert found is not None
    assert found > moment
    assert found.tzinfo is UTC
    wall = found.astimezone(ZoneInfo(zone))
    assert (wall.second, wall.microsecond, wall.fold) == (0, 0, 0)
    assert wall.minute in minutes[1]
    assert wall.hour in hours[1]
    assert wall.day in days[1]
    assert wall.month in months[1]


@given(field(1, 7).filter(lambda f: "/" not in f[0]), st.booleans(), MOMENTS)
def test_weekdays_count_from_sunday(weekdays: tuple[str, set[int]], named: bool, moment: datetime) -> None:
    text = weekdays[0]
    if named:
        text = "".join(WEEKDAYS[int(sign) - 1] if sign.isdigit() else sign for sign in text)
    found = cron(f"0 0 ? * {text} *").next_after(moment)
    assert found is not None
    assert timedelta(0) < found - moment <= timedelta(days=7)
    assert found.isoweekday() % 7 + 1 in weekdays[1]


@given(st.integers(1, 31), st.integers(1971, 2150), st.integers(1, 12))
def test_the_nearest_weekday_stays_in_its_month(day: int, year: int, month: int) -> None:
    made = cron(f"0 0 {day}W * ? *")
    found = made.next_after(datetime(year, month, 1, tzinfo=UTC) - timedelta(minutes=1))
    assert found is not None
    if (found.year, found.month) != (year, month):
        assert day > calendar.monthrange(year, month)[1]  # this month has no such day
        return
    assert found.weekday() < 5
    between = [datetime(year, month, d).weekday() for d in range(min(day, found.day), max(day, found.day) + 1)]
    assert len(between) <= 3
    assert sum(weekday < 5 for weekday in between) == 1  # nothing nearer, on that side, is a weekday


@given(field(0, 59), field(0, 23), ZONES, MOMENTS, st.timedeltas(timedelta(0), timedelta(days=3)))
def test_asking_later_never_answers_earlier(
    minutes: tuple[str, set[int]], hours: tuple[str, set[int]], zone: str, moment: datetime, later: timedelta
) -> None:
    made = cron(f"{minutes[0]} {hours[0]} * * ? *", zone)
    first, second = made.next_after(moment), made.next_after(moment + later)
    assert first is not None
    assert second is not None
    assert first <= second
    if moment + later < first:
        assert first == second


@given(st.text("0123456789*?,-/LW#ANMOFRI ", max_size=30))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        made = cron(text)
    except DeclarationError:
        return
    assert made.next_after(datetime(1969, 6, 1, tzinfo=UTC)) is not None
