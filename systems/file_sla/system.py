"""file_sla: folders whose files must be moved within an SLA; breaches are posted here, stored, searched, counted."""

from __future__ import annotations

from datetime import timedelta

import msgspec

from windlass import Index, System

file_sla = System(
    "file_sla",
    title="File SLA",
    description="Breaches of folders' service levels, as collectors post them.",
)


class File(msgspec.Struct, frozen=True):
    """A file that lay too long. `CreationDate` is ISO 8601 in UTC."""

    Filename: str
    CreationDate: str


class Breach(msgspec.Struct, frozen=True):
    """One folder whose SLA was breached, as it is stored and shown.

    `AffectedDate` is when that was found, ISO 8601 in UTC; `SLA` is in minutes; `Day` is the day of
    `AffectedDate`, `YYYY-MM-DD`, the partition key of the search by date.
    """

    ErrorId: str
    Folder: str
    AffectedDate: str
    SLA: int
    Files: list[File]
    Day: str


class FolderDay(msgspec.Struct, frozen=True):
    """How many breaches and files one folder had on one day. `Month`, `YYYY-MM`, is the partition key, so that a
    summary of a month is one query; `DayFolder` is the day and the folder, parted by `#`."""

    Month: str
    DayFolder: str
    Day: str
    Folder: str
    Breaches: int = 0
    Files: int = 0


users = file_sla.user_pool(
    "users",
    sign_in="username",
    groups=["collector", "viewer"],
    first_user="collector",
    first_user_groups=["collector", "viewer"],
)

errors = file_sla.table(
    "errors",
    Breach,
    key="ErrorId",
    indexes={
        "by_day": Index("Day", sort="AffectedDate"),
        "by_folder": Index("Folder", sort="AffectedDate"),
    },
)

counts = file_sla.table("counts", FolderDay, key="Month", sort="DayFolder")

api = file_sla.api(
    "api",
    auth=users,
    cors=["*"],
    throttle=500,
    throttle_per_caller=100,
    max_body=256 * 1024,
    title="File SLA",
    description="Post breaches of folders' SLAs, search them by date and by folder, and watch the trend.",
)

KEPT_ANSWERS = timedelta(hours=24)

file_sla.alarm(
    "breaches",
    metric="breaches",
    statistic="sum",
    above=0,
    period=timedelta(minutes=5),
    description="Files lie longer in their folders than they may: whoever moves them stands still or is slow.",
)
