"""The handlers of file_sla."""

from __future__ import annotations

import datetime
import uuid
from collections import defaultdict
from collections.abc import Iterator
from typing import Annotated

import msgspec

from windlass import (
    BadRequest,
    Caller,
    Credentials,
    Header,
    Meta,
    Page,
    QueryName,
    Tokens,
    TransactionConflict,
    between,
    make_cursor,
    metric,
    new_id,
    now,
    read_cursor,
    transact,
)

from .reports import Folder, Report, utc
from .system import KEPT_ANSWERS, Breach, File, FolderDay, api, counts, errors, users

MOST_FOLDERS = 100
MOST_DAYS = 366
MOST_FOLDER_BYTES = 1000

# ErrorIds of posts with an Idempotency-Key are derived from it under this name (RFC 9562, 5.5), so that a post
# that was cut off half-way stores each breach once when it is sent again.
_ERROR_IDS = uuid.UUID("6f1de3c4-2f0e-4f5c-9a53-0d2a3a4b8f11")


class Refresh(msgspec.Struct):
    refresh_token: Annotated[str, Meta(min_length=1, max_length=8192)]


class Stored(msgspec.Struct):
    """The ids of the stored breaches, one for each folder of the post, in its order."""

    stored: list[str]


class Found(msgspec.Struct):
    """Breaches, the newest first; `next` is the cursor of the following page."""

    items: list[Breach]
    next: str | None = None


class Count(msgspec.Struct):
    breaches: int = 0
    files: int = 0

    def add(self, breaches: int, files: int) -> None:
        self.breaches += breaches
        self.files += files


class FolderCount(Count, kw_only=True):
    folder: str


class DayCount(Count, kw_only=True):
    day: str


class Summary(msgspec.Struct, rename={"first": "from", "last": "to"}):
    """Breaches and files from one day to another, both included: in all, by folder (the worst first), by day."""

    first: str
    last: str
    total: Count
    by_folder: list[FolderCount]
    by_day: list[DayCount]


Day = datetime.date
FromDay = Annotated[Day | None, QueryName("from")]


@api.post("/auth", public=True, uses=[users.sign_in])
def sign_in(body: Credentials) -> Tokens:
    """Sign in with a user name and a password."""
    return users.sign_in(body.username, body.password)


@api.post("/auth/refresh", public=True, uses=[users.refresh])
def refresh(body: Refresh) -> Tokens:
    """Trade a refresh token for new tokens; the old one is spent."""
    return users.refresh(body.refresh_token)


@api.post("/file_sla_error", roles=["collector"], idempotent=KEPT_ANSWERS, uses=[errors.put, counts.update])
def store(body: Report, caller: Caller, key: Annotated[str | None, Header("idempotency-key")] = None) -> Stored:
    """Store the breaches that a collector found, one for each folder."""
    folders = body.sla_error if isinstance(body.sla_error, list) else [body.sla_error]
    if not 1 <= len(folders) <= MOST_FOLDERS:
        raise BadRequest(f"must have 1 to {MOST_FOLDERS} folders", field="body.sla_error")
    moment = now().strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    breaches = []
    for position, folder in enumerate(folders):
        error_id = new_id() if key is None else str(uuid.uuid5(_ERROR_IDS, f"{caller.id}/{key}/{position}"))
        breaches.append(_breach(folder, error_id, moment, f"body.sla_error[{position}]"))
    for breach in breaches:
        _store(breach)
    metric("breaches", len(breaches))
    return Stored([breach.ErrorId for breach in breaches])


def _breach(folder: Folder, error_id: str, moment: str, field: str) -> Breach:
    if len(folder.folder.encode(errors="replace")) > MOST_FOLDER_BYTES:
        raise BadRequest(f"must have at most {MOST_FOLDER_BYTES} bytes of UTF-8", field=f"{field}.folder")
    posted = folder.files if isinstance(folder.files, list) else [folder.files]
    if not posted:
        raise BadRequest("a breach has at least one file", field=f"{field}.files")
    files = [
        File(file.filename, utc(file.creation_date, f"{field}.files[{number}].creationDate"))
        for number, file in enumerate(posted)
    ]
    return Breach(error_id, folder.folder, moment, folder.sla, files, moment[:10])


def _store(breach: Breach) -> None:
    """Stores a breach and counts it, both or neither; one that an earlier try of the same post stored stays."""
    day_folder = f"{breach.Day}#{breach.Folder}"
    start = FolderDay(breach.Day[:7], day_folder, breach.Day, breach.Folder)
    try:
        transact(
            errors.to_put(breach, if_absent=True),
            counts.to_update(start.Month, day_folder, add={"Breaches": 1, "Files": len(breach.Files)}, default=start),
        )
    except TransactionConflict as error:
        if error.reasons[0] is None:
            raise


@api.get("/file_sla_errors", roles=["viewer"], uses=[errors.index("by_day").query, errors.index("by_folder").query])
def search(
    date: Day | None = None,
    first: FromDay = None,
    to: Day | None = None,
    folder: Annotated[str, Meta(min_length=1)] | None = None,
    limit: Annotated[int, Meta(ge=1, le=100)] = 50,
    after: str | None = None,
) -> Found:
    """Search breaches by day, by days, by folder, or by both; the newest first. Days are UTC, `YYYY-MM-DD`."""
    if date is not None and (first is not None or to is not None):
        raise BadRequest("give either date, or from and to", field="query.date")
    if date is not None:
        first = to = date
    if folder is not None:
        return _of_folder(folder, first, to, limit, after)
    if first is None or to is None:
        raise BadRequest("give date, or from and to, or folder", field="query.from" if to else "query.date")
    return _of_days(first, to, limit, after)


def _of_folder(folder: str, first: Day | None, last: Day | None, limit: int, after: str | None) -> Found:
    low = "0" if first is None else f"{first}T00:00:00"
    high = "9" if last is None else f"{last}T23:59:59.999999Z"
    if low > high:
        raise BadRequest("from is after to", field="query.from")
    page = errors.index("by_folder").query(folder, sort=between(low, high), limit=limit, descending=True, after=after)
    return Found(page.items, page.next)


def _of_days(first: Day, last: Day, limit: int, after: str | None) -> Found:
    """Day after day, from the last to the first. The cursor names the day that was reached."""
    scope = f"{first}/{last}"
    days = list(_days(first, last))
    inner = None
    if after is not None:
        position = read_cursor(scope, after)
        inner = position["after"]
        days = days[: days.index(position["day"]) + 1]
    found: list[Breach] = []
    for day in reversed(days):
        if len(found) == limit:
            return Found(found, make_cursor(scope, {"day": day, "after": None}))
        page: Page[Breach] = errors.index("by_day").query(day, limit=limit - len(found), descending=True, after=inner)
        found += page.items
        if page.next is not None:
            return Found(found, make_cursor(scope, {"day": day, "after": page.next}))
        inner = None
    return Found(found)


def _days(first: Day, last: Day) -> Iterator[str]:
    if first > last:
        raise BadRequest("from is after to", field="query.from")
    count = (last - first).days + 1
    if count > MOST_DAYS:
        raise BadRequest(f"from and to span {count} days; the most is {MOST_DAYS}", field="query.from")
    return (str(first + datetime.timedelta(days=number)) for number in range(count))


@api.get("/summary", roles=["viewer"], uses=[counts.query])
def summary(first: Annotated[Day, QueryName("from")], to: Day) -> Summary:
    """Count breaches and files by folder and by day, for a trend. Days are UTC, both included."""
    days = {day: DayCount(day=day) for day in _days(first, to)}
    folders: defaultdict[str, Count] = defaultdict(Count)
    total = Count()
    for month in sorted({day[:7] for day in days}):
        for entry in _entries(month, str(first), str(to)):
            for count in (total, days[entry.Day], folders[entry.Folder]):
                count.add(entry.Breaches, entry.Files)
    by_folder = [FolderCount(c.breaches, c.files, folder=name) for name, c in folders.items()]
    by_folder.sort(key=lambda count: (-count.breaches, -count.files, count.folder))
    return Summary(str(first), str(to), total, by_folder, list(days.values()))


def _entries(month: str, first: str, last: str) -> Iterator[FolderDay]:
    after = None
    while True:
        page = counts.query(month, sort=between(first, f"{last}$"), limit=1000, after=after)
        yield from page.items
        if page.next is None:
            return
        after = page.next
