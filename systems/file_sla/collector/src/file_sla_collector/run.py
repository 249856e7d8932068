"""One run: look, note, send. What is late is in the spool, on disk, before the first byte of it is sent."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from file_sla_collector.client import Client, RefusedError, SignInError, UnavailableError
from file_sla_collector.clock import Clock, iso
from file_sla_collector.config import ConfigError, Folder
from file_sla_collector.memory import Memory
from file_sla_collector.outcome import Outcome, SetAside
from file_sla_collector.paths import identity
from file_sla_collector.report import Post, split
from file_sla_collector.scan import Breach, scan
from file_sla_collector.spool import Corrupt, Spool, SpoolError, write_whole


class Collector:
    """Watches `folders` and reports through `spool` and `client`.

    A breach that has not changed is reported again only after `report_again`; zero reports it at every run.
    """

    def __init__(
        self,
        folders: Sequence[Folder],
        spool: Spool,
        client: Client,
        clock: Clock,
        *,
        report_again: timedelta = timedelta(0),
    ) -> None:
        self._folders = folders
        self._spool = spool
        self._client = client
        self._clock = clock
        self._memory = Memory(spool.folder / "reported.json", report_again, write_whole)

    def run(self) -> Outcome:
        """Look at every folder once and send whatever the spool holds, this run's reports last.

        Raises nothing for the state of the disk, the network or the API: the outcome tells.
        """
        started = self._clock.now()
        outcome = Outcome(started, started)
        discarded = self._spool.discarded
        waiting = list(split(self._look(outcome)))
        try:
            waiting = self._store(waiting, outcome)
            while self._send(outcome) and waiting:
                # What was sent has made room.
                before = len(waiting)
                waiting = self._store(waiting, outcome)
                if len(waiting) == before:
                    break
            if waiting:
                waiting = self._store(waiting, outcome)
        except SpoolError as error:
            outcome.spool_error = str(error)
        outcome.not_spooled = len(waiting)
        outcome.pending = len(self._spool)
        outcome.discarded = self._spool.discarded - discarded
        outcome.finished = self._clock.now()
        return outcome

    def _look(self, outcome: Outcome) -> list[Breach]:
        now = self._clock.now()
        # The spool, too: it may lie in a watched folder, and what waits in it is nobody's late file.
        places = [*(folder.path for folder in self._folders), self._spool.folder]
        listed = frozenset(identity(place) for place in places)
        found: list[Breach] = []
        for folder in self._folders:
            seen = scan(folder, now, listed=listed)
            outcome.folders += 1
            outcome.checked += seen.checked
            outcome.unreadable += seen.unreadable
            if seen.breach is not None:
                found.append(seen.breach)
        fresh = self._memory.fresh(found, now)
        outcome.late_folders = len(found)
        outcome.late_files = sum(len(breach.files) for breach in found)
        outcome.held_back = outcome.late_files - sum(len(breach.files) for breach in fresh)
        return fresh

    def _store(self, posts: list[Post], outcome: Outcome) -> list[Post]:
        """Put posts into the spool; those for which there is no room are returned."""
        outcome.spool_error = None
        stored: list[Breach] = []
        left = list(posts)
        try:
            while left:
                self._spool.add(left[0].payload())
                stored += left.pop(0).breaches
                outcome.spooled += 1
        except SpoolError as error:
            outcome.spool_error = str(error)
        self._remember(stored, outcome)
        return left

    def _remember(self, stored: list[Breach], outcome: Outcome) -> None:
        if not stored:
            return
        try:
            self._memory.remember(stored, self._clock.now())
        except OSError as error:
            # Without it the same breaches are reported again, which is better than not sending them now.
            outcome.warnings.append(f"what was reported could not be noted: {error}")

    def _send(self, outcome: Outcome) -> bool:
        """Send what waits, the oldest first. False when the API takes no more now."""
        for post in self._spool.pending():
            if isinstance(post, Corrupt):
                outcome.set_aside.append(SetAside(post.name, None, post.reason))
                continue
            if self._clock.wait(0):
                outcome.unavailable = "stopped before everything was sent"
                return False
            try:
                self._client.post(post.body, post.key)
            except RefusedError as error:
                at = iso(self._clock.now())
                self._spool.reject(post, status=error.status, reason=error.reason, at=at)
                outcome.set_aside.append(SetAside(post.name, error.status, error.reason))
            except (SignInError, ConfigError) as error:
                outcome.sign_in_error = str(error)
                return False
            except UnavailableError as error:
                outcome.unavailable = str(error)
                return False
            else:
                self._spool.sent(post)
                outcome.sent += 1
        return True
