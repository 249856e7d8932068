"""What was counted and measured: a distribution for each series and minute."""

from __future__ import annotations

import math
import threading
from bisect import bisect_left
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial

from windlass.ports.clock import Clock

__all__ = ["BOUNDS", "Deltas", "Distribution", "Metrics", "Series", "minute_of", "series"]

Series = tuple[str, tuple[tuple[str, str], ...]]
# Each bound is a tenth above the one before, so a percentile is off by a twentieth, or a tenth at the ends.
_RATIO = 1.1
BOUNDS: Sequence[float] = [1e-6 * _RATIO**power for power in range(363)]
_bucket = partial(bisect_left, BOUNDS)
_MOST_PENDING = 1_000_000


def series(name: str, **labels: str) -> Series:
    """The series of a name and labels, to be made once and counted often."""
    return (name, tuple(sorted(labels.items())))


def minute_of(seconds: float) -> int:
    """The minute that an epoch time is in, counted from 1970."""
    return int(seconds // 60)


class Distribution:
    """How many values there were, their sum, the least and the greatest, and how many lay between which `BOUNDS`
    (`buckets` maps the number of the first bound that is not below them)."""

    __slots__ = ("buckets", "count", "greatest", "least", "total")

    def __init__(self) -> None:
        self.count = 0
        self.total = 0.0
        self.least = float("inf")
        self.greatest = float("-inf")
        self.buckets: dict[int, int] = {}

    def add(self, values: Sequence[float]) -> None:
        """Adds values, one or more."""
        self.count += len(values)
        self.total += sum(values)
        self.least = min(self.least, min(values))
        self.greatest = max(self.greatest, max(values))
        self._count_buckets(Counter(map(_bucket, values)))

    def repeat(self, value: float, times: int) -> None:
        """Adds the same value several times, once or more."""
        self.count += times
        self.total += value * times
        self.least = min(self.least, value)
        self.greatest = max(self.greatest, value)
        self._count_buckets({_bucket(value): times})

    def merge(self, other: Distribution) -> None:
        """Adds all that `other` has."""
        self.count += other.count
        self.total += other.total
        self.least = min(self.least, other.least)
        self.greatest = max(self.greatest, other.greatest)
        self._count_buckets(other.buckets)

    def _count_buckets(self, counts: Mapping[int, int]) -> None:
        buckets = self.buckets
        for number, count in counts.items():
            buckets[number] = buckets.get(number, 0) + count

    @property
    def average(self) -> float:
        """The mean; 0 of nothing."""
        return self.total / self.count if self.count else 0.0

    def percentile(self, rank: float) -> float:
        """The value below which `rank` percent (0 to 100) lie, to within a twentieth, or a tenth near the least and the
        greatest; 0 of nothing."""
        if not self.count:
            return 0.0
        if rank <= 0:
            return self.least
        wanted = math.ceil(self.count * rank / 100)
        if wanted >= self.count:
            return self.greatest
        seen = 0
        for number in sorted(self.buckets):
            seen += self.buckets[number]
            if seen >= wanted:
                break
        # What is known of the ends is better than the middle of their buckets: of counts, they are what there is.
        if number == _bucket(self.least):
            return self.least
        if number == _bucket(self.greatest):
            return self.greatest
        return float(BOUNDS[number] / _RATIO**0.5)


Deltas = dict[tuple[int, Series], Distribution]


class Metrics:
    """Distributions by series, the total of all time and what is new since the last `take`. A series is a name and
    labels: `metrics.value("requests", handler="create", status="200")`.

    `fold`, when given, is called before reading: it adds what was recorded elsewhere.
    """

    def __init__(self, clock: Clock, fold: Callable[[], object] | None = None) -> None:
        self._clock = clock
        self._fold = fold
        self._lock = threading.RLock()
        self._pending: deque[tuple[Series, float, float]] = deque(maxlen=_MOST_PENDING)
        self._new: Deltas = {}
        self._totals: dict[Series, Distribution] = {}
        self._takes = 0

    def count(self, counted: Series, value: float = 1) -> None:
        """Adds `value`, now."""
        self._pending.append((counted, value, self._clock.now()))

    def add(self, added: Series, minute: int, values: Sequence[float]) -> None:
        """Adds values to a minute."""
        delta = Distribution()
        delta.add(values)
        self._merge(added, minute, delta)

    def repeat(self, added: Series, minute: int, value: float, times: int) -> None:
        """Adds the same value several times to a minute."""
        delta = Distribution()
        delta.repeat(value, times)
        self._merge(added, minute, delta)

    def _merge(self, added: Series, minute: int, delta: Distribution) -> None:
        with self._lock:
            new, total = self._new.get((minute, added)), self._totals.get(added)
            if new is None:
                new = self._new[minute, added] = Distribution()
            if total is None:
                total = self._totals[added] = Distribution()
            new.merge(delta)
            total.merge(delta)

    def take(self) -> Deltas:
        """What is new since the last time, by minute and series."""
        self._gather()
        with self._lock:
            new, self._new = self._new, {}
            self._takes += bool(new)
        return new

    def mark(self) -> int:
        """For `recorded_since`, to be taken right after `take`."""
        return self._takes

    def recorded_since(self, mark: int) -> bool:
        """Whether anything was added after that mark, be it taken since or not."""
        return bool(self._pending or self._new) or self._takes != mark

    def _gather(self) -> None:
        if self._fold is not None:
            self._fold()
        pending = self._pending
        if not pending:
            return
        grouped: dict[tuple[int, Series], list[float]] = defaultdict(list)
        with self._lock:
            for _ in range(len(pending)):
                counted, value, at = pending.popleft()
                grouped[minute_of(at), counted].append(value)
        for (minute, counted), values in grouped.items():
            self.add(counted, minute, values)

    # ---- reading

    def value(self, name: str, **labels: str) -> float:
        """The sum of all values of `name` with these labels; 0 when there are none."""
        return sum(distribution.total for distribution in self._found(name, labels))

    def percentile(self, name: str, rank: float, **labels: str) -> float | None:
        """The `rank`th percentile (0 to 100) of the values of `name` with these labels, as `Distribution.percentile`
        knows it; None when there are none."""
        together = Distribution()
        for distribution in self._found(name, labels):
            together.merge(distribution)
        return together.percentile(rank) if together.count else None

    def names(self) -> set[str]:
        """The names of all series."""
        self._gather()
        with self._lock:
            return {name for name, _ in self._totals}

    def _found(self, name: str, labels: Mapping[str, str]) -> Iterable[Distribution]:
        self._gather()
        wanted = set(labels.items())
        with self._lock:
            return [total for (found, have), total in self._totals.items() if found == name and wanted <= set(have)]
