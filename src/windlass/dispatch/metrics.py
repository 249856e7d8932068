"""Counts and durations of what happens, kept in memory."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Mapping

__all__ = ["Metrics", "Series", "series"]

Series = tuple[str, tuple[tuple[str, str], ...]]
_SAMPLES = 1024


def series(name: str, **labels: str) -> Series:
    """The series of a name and labels, to be made once and counted often."""
    return (name, tuple(sorted(labels.items())))


class Metrics:
    """Counters, and the latest 1,024 samples of each duration. A series is a name and labels:
    `metrics.value("requests", handler="create", status="200")`."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: dict[Series, float] = {}
        self._samples: dict[Series, deque[float]] = {}

    def count(self, counted: Series, value: float = 1) -> None:
        """Adds `value` to a counter."""
        with self._lock:
            self._counts[counted] = self._counts.get(counted, 0) + value

    def observe(self, series: Series, seconds: float) -> None:
        """Adds a sample to a duration."""
        samples = self._samples.get(series)
        if samples is None:
            with self._lock:
                samples = self._samples.setdefault(series, deque(maxlen=_SAMPLES))
        samples.append(seconds)

    def value(self, name: str, **labels: str) -> float:
        """The sum of all counters of `name` that carry these labels; 0 when there are none."""
        wanted = set(labels.items())
        with self._lock:
            return sum(value for (found, have), value in self._counts.items() if found == name and wanted <= set(have))

    def percentile(self, name: str, rank: float, **labels: str) -> float | None:
        """The `rank`th percentile (0 to 100) in seconds of the samples with these labels; None without any."""
        wanted = set(labels.items())
        with self._lock:
            found = [s for (n, have), s in self._samples.items() if n == name and wanted <= set(have)]
        samples = sorted(sample for part in found for sample in tuple(part))
        return samples[min(len(samples) - 1, int(len(samples) * rank / 100))] if samples else None

    def snapshot(self) -> Mapping[Series, float]:
        """All counters as they are now."""
        with self._lock:
            return dict(self._counts)
