"""What was reported already, so that `--report-again` can hold an unchanged breach back for a while.

The memory is a JSON file beside the spool. It is written only after the posts are in the spool: a crash
between the two reports a breach twice, never not at all. Losing the file does no harm either.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from pathlib import Path

from file_sla_collector.clock import iso
from file_sla_collector.scan import Breach

_VERSION = 1

Key = tuple[str, int, str, str]


class Memory:
    """The breaches reported within `interval`, in `file`.

    A breach is unchanged while its folder, SLA, file name and creation date are. `write` replaces a file so
    that it is never seen half-written; it may raise OSError, which `remember` passes on.
    """

    def __init__(self, file: Path, interval: timedelta, write: Callable[[Path, bytes], None]) -> None:
        self._file = file
        self._interval = interval
        self._write = write

    def fresh(self, breaches: Iterable[Breach], now: datetime) -> list[Breach]:
        """Only what was not reported within the interval before `now`."""
        if not self._interval:
            return list(breaches)
        known = self._known(now)
        fresh = []
        for breach in breaches:
            files = tuple(
                file
                for file in breach.files
                if (breach.folder, breach.sla, file.filename, iso(file.created)) not in known
            )
            if files:
                fresh.append(Breach(breach.folder, breach.sla, files))
        return fresh

    def remember(self, breaches: Iterable[Breach], now: datetime) -> None:
        """Note that `breaches` were reported at `now`, and forget what is older than the interval."""
        if not self._interval:
            return
        known = self._known(now)
        for breach in breaches:
            for file in breach.files:
                known[(breach.folder, breach.sla, file.filename, iso(file.created))] = now
        rows = [[*key, iso(at)] for key, at in known.items()]
        text = json.dumps({"version": _VERSION, "reported": rows}, ensure_ascii=False)
        self._write(self._file, text.encode("utf-8"))

    def _known(self, now: datetime) -> dict[Key, datetime]:
        try:
            stored = json.loads(self._file.read_bytes())
            rows = stored["reported"] if stored["version"] == _VERSION else []
            noted = {
                (str(folder), int(sla), str(filename), str(created)): datetime.fromisoformat(at)
                for folder, sla, filename, created, at in rows
            }
            # A moment ahead of `now` means that the clock was set back: report rather than stay silent.
            return {key: at for key, at in noted.items() if now - self._interval < at <= now}
        except (OSError, ValueError, TypeError, KeyError, RecursionError):
            return {}
