"""What was promised to callers, what is there in the end, and the difference."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

__all__ = ["Posted", "Stored", "Verdict", "judge"]

UNHANDLED = "its handler never came to an end"


@dataclass
class Posted:
    """What callers sent. `breaches` maps an idempotency key to the ids that were answered, `entries` an id to its
    kind, `steps` a group to the last number that was answered. Texts of `information` were answered; whether those
    of `unanswered` were taken, nobody knows. `surprises` are answers that should never be."""

    breaches: dict[str, list[str]] = field(default_factory=dict)
    information: list[str] = field(default_factory=list)
    unanswered: list[str] = field(default_factory=list)
    entries: dict[str, str] = field(default_factory=dict)
    steps: dict[str, int] = field(default_factory=dict)
    surprises: list[str] = field(default_factory=list)
    repeated: int = 0
    """How many posts were sent again under the same key."""

    @property
    def acknowledged(self) -> int:
        """How many posts were answered."""
        return len(self.breaches) + len(self.information) + len(self.entries) + sum(self.steps.values())

    def add(self, other: Posted) -> None:
        """Takes over what another caller posted."""
        self.breaches.update(other.breaches)
        self.information += other.information
        self.unanswered += other.unanswered
        self.entries.update(other.entries)
        self.steps.update(other.steps)
        self.surprises += other.surprises
        self.repeated += other.repeated


@dataclass
class Stored:
    """What is there in the end. `breaches` maps a folder to ids, the `dead_` ones a message to its reason; `done`
    maps a kind of thing to the ids of what was done, `totals` to their count; `fired` holds the minutes, in order."""

    breaches: dict[str, list[str]] = field(default_factory=dict)
    breaches_counted: int = 0
    information: Counter[str] = field(default_factory=Counter)
    dead_information: dict[str, str] = field(default_factory=dict)
    done: dict[str, list[str]] = field(default_factory=dict)
    totals: dict[str, int] = field(default_factory=dict)
    dead_entries: dict[str, str] = field(default_factory=dict)
    steps: dict[str, int] = field(default_factory=dict)
    fired: list[str] = field(default_factory=list)


@dataclass
class Verdict:
    """What is wrong, each thing told by what it is about; all empty when every promise was kept."""

    acknowledged: int
    lost: list[str] = field(default_factory=list)
    doubled: list[str] = field(default_factory=list)
    disordered: list[str] = field(default_factory=list)
    miscounted: list[str] = field(default_factory=list)
    misdirected: list[str] = field(default_factory=list)
    """Poison that was handled, good messages that are dead for another reason than kills, and what nobody sent."""
    surprises: list[str] = field(default_factory=list)
    killed_off: int = 0
    """Messages that were being handled at so many kills that they went to the dead-letter queue."""

    @property
    def kept(self) -> bool:
        """Whether every promise was kept."""
        return not (
            self.lost or self.doubled or self.disordered or self.miscounted or self.misdirected or self.surprises
        )

    def lines(self) -> Iterable[str]:
        """The verdict for people."""
        rate = len(self.lost) / self.acknowledged if self.acknowledged else 0.0
        yield f"acknowledged {self.acknowledged}, lost {len(self.lost)} (rate {rate:g}), doubled {len(self.doubled)}"
        yield f"dead after being handled at every kill: {self.killed_off}"
        for what in ("lost", "doubled", "disordered", "miscounted", "misdirected", "surprises"):
            found: list[str] = getattr(self, what)
            if found:
                yield f"{what}: {len(found)}"
                yield from (f"  {text}" for text in found[:20])


def judge(posted: Posted, stored: Stored, minutes: Iterable[str] = ()) -> Verdict:
    """Compares. `minutes` are those at which the schedule must have fired."""
    verdict = Verdict(posted.acknowledged, surprises=list(posted.surprises))
    _breaches(posted.breaches, stored, verdict)
    _information(posted, stored, verdict)
    _entries(posted.entries, stored, verdict)
    for group, last in posted.steps.items():
        reached = stored.steps.get(group, 0)
        if reached != last:
            where = verdict.lost if reached < last else verdict.misdirected
            where.append(f"step {group} reached {reached}, posted {last}")
    verdict.disordered += stored.done.get("out of order", [])
    verdict.lost += [f"firing at {minute}" for minute in minutes if minute not in stored.fired]
    verdict.doubled += [f"firing at {minute}" for minute in _twice(stored.fired)]
    for what, ids in stored.done.items():
        if stored.totals.get(what, 0) != len(ids):
            verdict.miscounted.append(f"{what}: {len(ids)} were done, {stored.totals.get(what, 0)} counted")
    return verdict


def _breaches(answered: Mapping[str, list[str]], stored: Stored, verdict: Verdict) -> None:
    for key, ids in answered.items():
        there = stored.breaches.get(f"/in/{key}", [])
        if len(there) > len(ids):
            verdict.doubled.append(f"breach {key}")
        if not set(ids) <= set(there):
            verdict.lost.append(f"breach {key}")
    strangers = stored.breaches.keys() - {f"/in/{key}" for key in answered}
    verdict.misdirected += [f"breach of {folder} that nobody was told of" for folder in sorted(strangers)]
    number = sum(len(ids) for ids in stored.breaches.values())
    if stored.breaches_counted != number:
        verdict.miscounted.append(f"breaches: {number} are stored, {stored.breaches_counted} counted")


def _information(posted: Posted, stored: Stored, verdict: Verdict) -> None:
    for text in posted.information:
        if text not in stored.information and text not in stored.dead_information:
            verdict.lost.append(f"information {text}")
    verdict.doubled += [f"information {text}" for text, times in stored.information.items() if times > 1]
    strangers = stored.information.keys() - set(posted.information) - set(posted.unanswered)
    verdict.misdirected += [f"information {text} that nobody posted" for text in sorted(strangers)]
    _dead(stored.dead_information, {}, verdict)


def _entries(answered: Mapping[str, str], stored: Stored, verdict: Verdict) -> None:
    accepted, recorded = set(stored.done.get("accepted", [])), set(stored.done.get("recorded", []))
    for id, kind in answered.items():
        if id not in accepted:
            verdict.lost.append(f"entry {id} was not noted")
        if id not in recorded and id not in stored.dead_entries:
            verdict.lost.append(f"{kind} entry {id} was neither recorded nor is it dead")
        if kind == "poison" and id in recorded:
            verdict.misdirected.append(f"poisoned entry {id} was recorded")
    verdict.misdirected += [f"entry {id} that nobody was told of" for id in sorted((accepted | recorded) - {*answered})]
    _dead(stored.dead_entries, answered, verdict)


def _dead(dead: Mapping[str, str], kinds: Mapping[str, str], verdict: Verdict) -> None:
    """Why messages are dead: poison says so, everything else was killed at each attempt."""
    for id, reason in dead.items():
        if reason == "ValueError: poisoned" and kinds.get(id) == "poison":
            continue
        # The reason is that of an earlier attempt where that failed by itself and the last was cut off.
        if reason == UNHANDLED or (reason == "TimeoutError: not at the first attempt" and kinds.get(id) == "flaky"):
            verdict.killed_off += 1
        else:
            verdict.misdirected.append(f"{kinds.get(id, '')} message {id} is dead: {reason}")


def _twice(found: list[str]) -> list[str]:
    return [what for what, times in Counter(found).items() if times > 1]
