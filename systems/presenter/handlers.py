"""The handlers of presenter."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import urlencode, urlsplit

import msgspec

from windlass import (
    BadRequest,
    Batch,
    Caller,
    FieldError,
    InvalidItem,
    Meta,
    Reply,
    metric,
    new_id,
    now,
)

from .system import Information, api, data, information

Text = Annotated[str, Meta(min_length=1, max_length=2000)]


class NewInformation(msgspec.Struct, rename="camel"):
    """What a caller posts: two texts of 1 to 2,000 characters that are more than blanks."""

    information_one: Text
    information_two: Text


class Shown(msgspec.Struct):
    """One item, as its user sees it. `Date` is when it was posted, ISO 8601 in UTC."""

    User: str
    Date: str
    InformationOne: str
    InformationTwo: str


@api.post("/data", status=201, roles=["data.write"], uses=[data.send])
def take(body: NewInformation, caller: Caller) -> None:
    """Take information: it is queued, and can be read a moment later."""
    fields = {"informationOne": body.information_one, "informationTwo": body.information_two}
    blank = [FieldError(f"body.{name}", "is blank") for name, text in fields.items() if not text.strip()]
    if blank:
        raise BadRequest("a field is blank", errors=blank)
    date = now().replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"
    data.send(Information(caller.id, f"{date}#{new_id()}", date, body.information_one, body.information_two))


@data.consumer(uses=[information.put], batch=100)
def persist(batch: Batch[Information]) -> None:
    """Store what was queued. What cannot be stored fails by itself; storing a message twice changes nothing."""
    stored = now()
    for message in batch:
        try:
            information.put(message.body)
        except InvalidItem as error:
            batch.fail(message, str(error))
            continue
        metric("seconds_until_stored", max(0.0, (stored - message.sent_at).total_seconds()))


@api.get("/data", roles=["data.read"], uses=[information.query])
def show(
    caller: Caller, limit: Annotated[int, Meta(ge=1, le=100)] = 20, after: str | None = None
) -> Reply[list[Shown]]:
    """Read your own information, the newest first. The header `Link` with rel="next" names the following page."""
    page = information.query(caller.id, limit=limit, descending=True, after=after)
    shown = [Shown(item.User, item.Date, item.InformationOne, item.InformationTwo) for item in page.items]
    headers = {"Cache-Control": "no-store"}
    if page.next is not None:
        # Without scheme and host: a client behind a proxy must not be sent, with its token, past it.
        query = urlencode({"limit": limit, "after": page.next})
        headers["Link"] = f'<{urlsplit(api.url()).path}/data?{query}>; rel="next"'
    return Reply(shown, headers=headers)
