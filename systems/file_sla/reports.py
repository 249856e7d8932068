"""A posted report: as PowerShell, Python and curl really send it, and what is made of it."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Annotated

import msgspec

from windlass import BadRequest, Meta

__all__ = ["File", "Folder", "Report", "utc"]

Name = Annotated[str, Meta(min_length=1, max_length=1024)]

_MICROSOFT = re.compile(r"/Date\((-?\d{1,16})(?:[+-]\d{4})?\)/\Z")


class DateValue(msgspec.Struct, frozen=True):
    """A date as `ConvertTo-Json` of Windows PowerShell 5.1 writes it when it was made by `Get-Date`."""

    value: str


class File(msgspec.Struct, frozen=True):
    """`creationDate` is ISO 8601 with a time zone, or `/Date(milliseconds)/`."""

    filename: Name
    creation_date: str | DateValue = msgspec.field(name="creationDate")


class FileList(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A list as Windows PowerShell 5.1 writes it when its type data get in the way."""

    value: list[File]
    count: int = msgspec.field(name="Count")


class Folder(msgspec.Struct, frozen=True):
    """One folder and its files that are older than `sla` minutes."""

    folder: Name
    sla: Annotated[int, Meta(ge=1, le=525_600)]
    files: list[File] | File


class Report(msgspec.Struct, frozen=True):
    """What a collector posts. PowerShell 5.1 flattens a list of one element into that element."""

    sla_error: list[Folder] | Folder


def utc(date: str | DateValue, field: str) -> str:
    """A posted date as ISO 8601 in UTC with microseconds. Raises BadRequest naming `field`."""
    text = date.value if isinstance(date, DateValue) else date
    refused = BadRequest(
        "must be ISO 8601 with a time zone, such as 2024-06-12T10:00:00Z, or /Date(milliseconds)/", field=field
    )
    try:
        if (match := _MICROSOFT.match(text)) is not None:
            moment = datetime.fromtimestamp(int(match.group(1)) / 1000, UTC)
        else:
            # PowerShell writes seven decimals; Python reads six.
            moment = datetime.fromisoformat(re.sub(r"(\.\d{6})\d+", r"\1", text))
        if moment.tzinfo is None:
            raise refused
        return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    except (ValueError, OverflowError, OSError):
        raise refused from None
