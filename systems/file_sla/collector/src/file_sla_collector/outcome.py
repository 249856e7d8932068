"""What a run came to, for a person (lines), a scheduler (exit code) and a program (JSON)."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import IntEnum
from typing import Any

from file_sla_collector.clock import iso
from file_sla_collector.scan import Unreadable


class ExitCode(IntEnum):
    """How a run ended. A breach found and sent is success: schedulers take anything but 0 for a failure."""

    SENT = 0
    USAGE = 2
    SIGN_IN = 3
    SPOOLED = 4
    UNREADABLE = 5
    REJECTED = 6
    NOT_SPOOLED = 7
    IN_USE = 8


@dataclass(frozen=True, slots=True)
class SetAside:
    """A spool file that will not be sent: `status` is the API's, None if the file was damaged."""

    name: str
    status: int | None
    reason: str


@dataclass(slots=True)
class Outcome:
    """One run. Counts of files are of this run's scan; counts of posts are of the spool."""

    started: datetime
    finished: datetime
    folders: int = 0
    checked: int = 0
    late_folders: int = 0
    late_files: int = 0
    held_back: int = 0
    spooled: int = 0
    not_spooled: int = 0
    sent: int = 0
    pending: int = 0
    discarded: int = 0
    set_aside: list[SetAside] = field(default_factory=list)
    unreadable: list[Unreadable] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    sign_in_error: str | None = None
    unavailable: str | None = None
    spool_error: str | None = None

    @property
    def exit_code(self) -> ExitCode:
        """What has the widest effect: reports lost, none arriving, one not arriving, one folder not seen."""
        if self.spool_error is not None or self.not_spooled:
            return ExitCode.NOT_SPOOLED
        if self.sign_in_error is not None:
            return ExitCode.SIGN_IN
        if self.unavailable is not None or self.pending:
            return ExitCode.SPOOLED
        if self.set_aside:
            return ExitCode.REJECTED
        if self.unreadable:
            return ExitCode.UNREADABLE
        return ExitCode.SENT

    def as_json(self) -> dict[str, Any]:
        """The object that `--json` prints."""
        code = self.exit_code
        return {
            "exit_code": int(code),
            "exit": code.name.lower(),
            "started": iso(self.started),
            "finished": iso(self.finished),
            "folders": self.folders,
            "files_checked": self.checked,
            "late_folders": self.late_folders,
            "late_files": self.late_files,
            "files_held_back": self.held_back,
            "posts_spooled": self.spooled,
            "posts_not_spooled": self.not_spooled,
            "posts_sent": self.sent,
            "posts_pending": self.pending,
            "set_aside": [{"name": each.name, "status": each.status, "reason": each.reason} for each in self.set_aside],
            "set_aside_discarded": self.discarded,
            "unreadable": [
                {"folder": each.folder, "path": each.path, "reason": each.reason} for each in self.unreadable
            ],
            "warnings": self.warnings,
            "error": self.spool_error or self.sign_in_error or self.unavailable,
        }

    def problems(self) -> list[str]:
        """A line for everything that did not go well."""
        lines = [f"unreadable: {each.path}: {each.reason}" for each in self.unreadable]
        for each in self.set_aside:
            where = "corrupt" if each.status is None else "rejected"
            lines.append(f"set aside as {where}/{each.name}: {each.reason}")
        if self.discarded:
            lines.append(f"deleted {self.discarded} of the oldest files that were set aside")
        if self.not_spooled:
            lines.append(f"{self.not_spooled} posts were not stored; the next run finds their files again")
        lines += [error for error in (self.spool_error, self.sign_in_error, self.unavailable) if error is not None]
        return lines + self.warnings

    def summary(self) -> str:
        """One line on the run."""
        held = f", {self.held_back} of them reported before" if self.held_back else ""
        return (
            f"{self.late_files} late files in {self.late_folders} of {self.folders} folders{held}; "
            f"{self.sent} posts sent, {self.pending} waiting"
        )
