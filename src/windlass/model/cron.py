"""Cron expressions as EventBridge Scheduler has them: minutes hours day-of-month month day-of-week year.

https://docs.aws.amazon.com/scheduler/latest/UserGuide/schedule-types.html#cron-based says what may be written. An
expression that this module takes and AWS refuses would fail at the deployment, so what AWS does not document is
refused here. The walk over the calendar is cronsim's (https://github.com/cuu508/cronsim); this module reads the
fields, and adds what cronsim lacks: years, the nearest weekday (`15W`), and Scheduler's rule for daylight saving.
"""

from __future__ import annotations

import calendar
import re
from datetime import UTC, date, datetime, time, timedelta
from typing import TYPE_CHECKING, NoReturn

from windlass.errors import DeclarationError

if TYPE_CHECKING:
    from zoneinfo import ZoneInfo

__all__ = ["Cron"]

_EXAMPLE = '"0 3 * * ? *" is 03:00 every day, "0/15 8-17 ? * MON-FRI *" every quarter of an hour at work'
_MONTH_NAMES = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
_MONTHS = {name: number for number, name in enumerate(_MONTH_NAMES, 1)}
_WEEKDAYS = {name: number for number, name in enumerate(("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"), 1)}
_FIRST_YEAR, _LAST_YEAR = 1970, 2199
_SUNDAY, _SATURDAY = 6, 5  # as datetime counts

_TERM = re.compile(r"(?P<all>\*)|(?P<first>\w+)(?:-(?P<last>\w+))?", re.ASCII)
_NUMBER = re.compile(r"\d{1,4}", re.ASCII)
_NEAREST = re.compile(r"(\d{1,2})W", re.ASCII)
_LAST_DAY = re.compile(r"(\w+)L", re.ASCII)
_NTH_DAY = re.compile(r"(\w+)#(\d)", re.ASCII)


class Cron:
    """When something happens, on the wall clock of `zone`. `where` names the declaration in an error.

    A time that a change to daylight saving leaves out does not happen; one that the change back repeats happens
    once, the first time. Raises DeclarationError for what EventBridge Scheduler would refuse, and for an expression
    that no date ever fits.
    """

    def __init__(self, text: str, zone: ZoneInfo, *, where: str) -> None:
        self.text, self.zone, self.where = text, zone, where
        fields = text.split()
        if len(fields) != 6 or text.startswith("cron("):
            self._refuse(*_wrong_count(text, fields))
        minutes, hours, days, months, weekdays, years = fields
        if (days == "?") == (weekdays == "?"):
            self._refuse(
                "exactly one of day-of-month and day-of-week must be ?",
                f'"{minutes} {hours} * {months} ? {years}" or "{minutes} {hours} ? {months} MON-FRI {years}"',
            )
        self._nearest: int | None = None
        self._years = self._numbers("year", years, _FIRST_YEAR, _LAST_YEAR)
        self._expression = " ".join(
            (
                _listed(self._numbers("minutes", minutes, 0, 59), 60),
                _listed(self._numbers("hours", hours, 0, 23), 24),
                "*" if days == "?" else self._days(days),
                _listed(self._numbers("month", months, 1, 12, _MONTHS), 12),
                "*" if weekdays == "?" else self._weekdays(weekdays),
            )
        )
        if self._next_wall(datetime(_FIRST_YEAR - 1, 12, 31, 23, 59)) is None:
            self._refuse("no date ever fits it", _EXAMPLE)

    def __repr__(self) -> str:
        return f"Cron({self.text!r}, {self.zone.key})"

    def next_after(self, moment: datetime) -> datetime | None:
        """The first time after `moment` (an aware datetime), in UTC; None when the last year has passed."""
        moment = max(moment.astimezone(UTC), datetime(_FIRST_YEAR - 1, 12, 30, tzinfo=UTC))
        wall = moment.astimezone(self.zone).replace(tzinfo=None)
        while (found := self._next_wall(wall)) is not None:
            result = found.replace(tzinfo=self.zone, fold=0).astimezone(UTC)
            # `result` is not later where the clock was put back after `moment`'s own wall time came up first.
            if result > moment and result.astimezone(self.zone).replace(tzinfo=None) == found:
                return result
            wall = found
        return None

    def _next_wall(self, wall: datetime) -> datetime | None:
        """The first time after `wall` that fits, on a clock that is never changed."""
        from cronsim import CronSim, CronSimError

        while wall.year <= self._years[-1]:
            year = next(year for year in self._years if year >= wall.year)
            if year != wall.year:
                wall = datetime(year, 1, 1) - timedelta(minutes=1)
            try:
                found = next(CronSim(self._expression, wall))
            except (StopIteration, CronSimError):  # it gives up after 50 years, and refuses 30 February at once
                return None
            if found.year in self._years and (self._nearest is None or _is_nearest(found.date(), self._nearest)):
                return found
            wall = datetime.combine(found.date(), time(23, 59))
        return None

    # ---- fields

    def _numbers(
        self, field: str, text: str, low: int, high: int, names: dict[str, int] | None = None, *, step: bool = True
    ) -> list[int]:
        """The numbers that `1,3-5,10/20` names, in order."""
        found: set[int] = set()
        for part in text.split(","):
            term, slash, step_text = part.partition("/")
            match = _TERM.fullmatch(term)
            if match is None or (slash and not (step and _NUMBER.fullmatch(step_text))):
                self._refuse_field(field, part, low, high, names)
            by = int(step_text) if slash else 1
            if not 1 <= by <= high - low:
                self._refuse(f"{field} has the step {by} in {part!r}", f"a step of 1 to {high - low}")
            if match["all"]:
                found.update(range(low, high + 1, by))
                continue
            first = self._number(field, match["first"], low, high, names)
            if match["last"] is None:
                found.update(range(first, (high if slash else first) + 1, by))
                continue
            last = self._number(field, match["last"], low, high, names)
            if last < first:
                if field == "year":
                    self._refuse(f"the years {part!r} run backwards", f'"{match["last"]}-{match["first"]}"')
                last += high - low + 1  # 20-2 in hours goes on past midnight: AWS has it among its examples
            found.update((number - low) % (high - low + 1) + low for number in range(first, last + 1, by))
        return sorted(found)

    def _number(self, field: str, text: str, low: int, high: int, names: dict[str, int] | None) -> int:
        if names and text in names:
            return names[text]
        number = int(text) if _NUMBER.fullmatch(text) else -1
        if not low <= number <= high:
            self._refuse_field(field, text, low, high, names)
        return number

    def _days(self, text: str) -> str:
        if text == "L":
            return "L"
        if match := _NEAREST.fullmatch(text):
            self._nearest = day = self._number("day-of-month", match[1], 1, 31, None)
            # It is at most a day away, or two at the ends of the month. `_is_nearest` picks among these.
            return _listed([near for near in range(day - 2, day + 3) if 1 <= near <= 31], 31)
        return _listed(self._numbers("day-of-month", text, 1, 31), 31)

    def _weekdays(self, text: str) -> str:
        """In cronsim's numbers, where Sunday is 0."""
        if text == "L":  # the last day of the week
            return "6"
        if match := _LAST_DAY.fullmatch(text):
            return f"{self._number('day-of-week', match[1], 1, 7, _WEEKDAYS) - 1}L"
        if match := _NTH_DAY.fullmatch(text):
            day, nth = self._number("day-of-week", match[1], 1, 7, _WEEKDAYS), int(match[2])
            if not 1 <= nth <= 5:
                self._refuse(f"no month has a weekday {nth} times", f'"{match[1]}#1" to "{match[1]}#5"')
            return f"{day - 1}#{nth}"
        # AWS lists no / for the day of the week.
        numbers = self._numbers("day-of-week", text, 1, 7, _WEEKDAYS, step=False)
        return _listed([number - 1 for number in numbers], 7)

    # ---- refusals

    def _refuse_field(self, field: str, part: str, low: int, high: int, names: dict[str, int] | None) -> NoReturn:
        written = f"{low} to {high}"
        if names:
            written += f" or {next(iter(names))} to {list(names)[-1]} in capitals"
        also = {
            "day-of-month": "; also ? * , - /, L for the last day, 15W for the weekday nearest to the 15th",
            "day-of-week": "; also ? * , -, 6L for the last Friday of the month, 2#1 for its first Monday",
        }
        self._refuse(f"{field} cannot be {part!r}", written + also.get(field, "; also * , - /"))

    def _refuse(self, summary: str, fix: str) -> NoReturn:
        raise DeclarationError(f"cron={self.text!r}: {summary}", where=self.where, fix=fix)


def _wrong_count(text: str, fields: list[str]) -> tuple[str, str]:
    """What to say of an expression that has not six fields."""
    if text.startswith("cron("):
        return "the word cron and its parentheses are not part of it", f'cron="{text[5:].rstrip(") ")}"'
    if len(fields) == 5:
        minutes, hours, days, months, weekdays = fields
        if weekdays == "*":
            weekdays = "?"
        else:
            days = "?"
            if "/" not in weekdays:  # Unix counts from Sunday as 0: in names there is no doubt
                weekdays = re.sub("[0-7]", lambda match: list(_WEEKDAYS)[int(match[0]) % 7], weekdays)
        suggestion = f"{minutes} {hours} {days} {months} {weekdays} *"
        return (
            "it has 5 fields, as on Unix; AWS adds the year, and counts the days of the week from 1",
            f'"{suggestion}"',
        )
    return f"it has {len(fields)} fields, not 6 (minutes hours day-of-month month day-of-week year)", _EXAMPLE


def _listed(numbers: list[int], of: int) -> str:
    return "*" if len(numbers) == of else ",".join(map(str, numbers))


def _is_nearest(day: date, wanted: int) -> bool:
    """Whether `day` is the weekday nearest to the day `wanted` of its month, without leaving the month. A month
    that has no such day has none."""
    last = calendar.monthrange(day.year, day.month)[1]
    if wanted > last:
        return False
    weekday = day.replace(day=wanted).weekday()
    if weekday == _SATURDAY:
        return day.day == (wanted - 1 if wanted > 1 else 3)
    if weekday == _SUNDAY:
        return day.day == (wanted + 1 if wanted < last else wanted - 2)
    return day.day == wanted
