"""Keeps what was recorded: one thread that takes spans, metrics and log entries and writes them, masked.

It stands beside the work, so it is quick and never in the way: what cannot be written is dropped, and said once a
minute.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import msgspec

from windlass.dispatch.log_entries import LogEntry, entry_of
from windlass.dispatch.metrics import Deltas, Distribution, minute_of
from windlass.dispatch.redact import Redactor
from windlass.dispatch.telemetry import Telemetry
from windlass.engines.embedded.baton import Baton
from windlass.engines.embedded.metric_store import MetricStore
from windlass.engines.embedded.segments import SegmentReader, SegmentWriter
from windlass.errors import EngineUnavailable
from windlass.ports.telemetry import Span

__all__ = ["Export", "Limits", "Recorder", "log_reader", "metrics_path", "span_reader", "telemetry_folder"]

_ROUND_SECONDS = 0.25
_MERGE_SECONDS = 1.0
_SWEEP_SECONDS = 60.0
_WARN_SECONDS = 60.0
# A slice takes about a millisecond, in which hardly any other thread runs; after it they may.
_SLICE = 1000
_PAUSE_SECONDS = 0.0005
_MOST_ENTRIES = 20_000
_MOST_UNMERGED = 50_000
_LONGEST_MESSAGE = 32 * 1024

logger = logging.getLogger("windlass")


@dataclass(frozen=True, slots=True)
class Limits:
    """How much is kept: bytes of spans and of logs, 0 for none at all, and for how many seconds."""

    spans_bytes: int = 256 * 1024 * 1024
    logs_bytes: int = 64 * 1024 * 1024
    seconds: float = 7 * 86400.0

    @classmethod
    def of(cls, megabytes: int, days: float) -> Limits:
        """Of `megabytes` for spans, a quarter as much for logs."""
        return cls(megabytes * 1024 * 1024, megabytes * 1024 * 1024 // 4, days * 86400.0)


class Export(Protocol):
    """Somewhere else that telemetry is sent to. What it is offered is its own; it must return at once and not raise."""

    def offer(self, spans: Sequence[Span], entries: Sequence[LogEntry], deltas: Deltas) -> None:
        """Takes what is new, as much of it as it can."""
        ...

    def close(self) -> None:
        """Sends what is left, for some seconds at the most."""
        ...


def telemetry_folder(namespace: Path) -> Path:
    """Where the telemetry of a namespace is."""
    return namespace / "telemetry"


def metrics_path(namespace: Path) -> Path:
    """Where the `MetricStore` of a namespace is."""
    return telemetry_folder(namespace) / "metrics.sqlite"


def span_reader(namespace: Path) -> SegmentReader[Span]:
    """Reads the spans of a namespace; the time of one is its start."""
    return SegmentReader(telemetry_folder(namespace), "spans", Span, lambda span: span.start)


def log_reader(namespace: Path) -> SegmentReader[LogEntry]:
    """Reads the log entries of a namespace."""
    return SegmentReader(telemetry_folder(namespace), "logs", LogEntry, lambda entry: entry.time.timestamp())


class Recorder:
    """Keeps the telemetry of this process in the folder of a `namespace`, where other processes may keep theirs.

    `metrics` may be read, and `merge` called, from any thread, also while it is not started.
    """

    def __init__(
        self,
        telemetry: Telemetry,
        redactor: Redactor,
        namespace: Path,
        *,
        limits: Limits | None = None,
        export: Export | None = None,
        baton: Baton | None = None,
    ) -> None:
        self._baton = baton or Baton()
        self._telemetry, self._redactor, self._export = telemetry, redactor, export
        self._limits = limits = limits or Limits()
        self.metrics = MetricStore(metrics_path(namespace))
        folder = telemetry_folder(namespace)
        self._spans = SegmentWriter(folder, "spans", most_bytes=limits.spans_bytes, most_seconds=limits.seconds)
        self._logs = SegmentWriter(folder, "logs", most_bytes=limits.logs_bytes, most_seconds=limits.seconds)
        self._encode = msgspec.json.Encoder().encode_lines
        self._entries: deque[LogEntry] = deque(maxlen=_MOST_ENTRIES)
        self._handler = _Handler(redactor, self._entries.append)
        self._lock = threading.Lock()
        self._merging = threading.Lock()
        self._unmerged: Deltas = {}
        self._warned: dict[str, float] = {}
        self._over = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Starts the thread, and takes log records of all loggers from INFO up."""
        if self._limits.logs_bytes or self._export is not None:
            logging.getLogger().addHandler(self._handler)
        self._thread = threading.Thread(target=self._run, name="windlass-recorder", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Writes what is left and ends the thread."""
        if self._thread is not None:
            self._over.set()
            self._thread.join()
            self._thread = None
            logging.getLogger().removeHandler(self._handler)
            self._guarded(self.record)
            self._guarded(self.merge)
        self._spans.close()
        self._logs.close()
        self.metrics.close()
        if self._export is not None:
            self._export.close()

    def _run(self) -> None:
        merged = swept = 0.0
        while not self._over.wait(_ROUND_SECONDS):
            self._guarded(self.record)
            now = time.monotonic()
            if now - merged >= _MERGE_SECONDS:
                merged = now
                self._guarded(self.merge)
            if now - swept >= _SWEEP_SECONDS:
                swept = now
                self._guarded(self._sweep)

    def _guarded(self, work: Callable[[], None]) -> None:
        try:
            work()
        except Exception as error:
            self._warn("telemetry is incomplete: %s: %s", type(error).__name__, error)

    def _warn(self, text: str, *details: object) -> None:
        """Says it, once a minute."""
        now = time.monotonic()
        if now - self._warned.get(text, -_WARN_SECONDS) >= _WARN_SECONDS:
            self._warned[text] = now
            logger.warning(text, *details)

    # ---- spans and logs

    def record(self) -> None:
        """Writes the spans that have ended and what was logged."""
        with self._lock:
            while self._record_spans() == _SLICE:
                time.sleep(_PAUSE_SECONDS)
            entries = [self._entries.popleft() for _ in range(len(self._entries))]
            for first in range(0, len(entries), _SLICE):
                part_of_entries = entries[first : first + _SLICE]
                if self._limits.logs_bytes:
                    self._write(self._logs, self._encoded(part_of_entries))
                self._offer(entries=part_of_entries)

    def _record_spans(self) -> int:
        """Writes a slice of spans, encoded while nobody who serves needs the interpreter; returns how many they
        were."""
        self._baton.take(self)
        try:
            spans = self._telemetry.take(_SLICE)
            for span in spans:
                if span.error:
                    span.error = self._redactor.mask(span.error)
            lines = self._encoded(spans) if self._limits.spans_bytes else b""
        finally:
            self._baton.give(self)
        self._write(self._spans, lines)
        if spans:
            self._offer(spans=spans)
        return len(spans)

    def _encoded(self, lines: Sequence[Any]) -> bytes:
        try:
            return self._encode(lines)
        except (msgspec.MsgspecError, UnicodeError) as error:
            self._warn("telemetry is dropped, it cannot be written: %s", error)
            return b""

    def _write(self, segment: SegmentWriter, lines: bytes) -> None:
        if lines:
            try:
                segment.write(lines)
            except OSError as error:
                self._warn("telemetry is dropped, it cannot be written: %s", error)

    def _offer(
        self, spans: Sequence[Span] = (), entries: Sequence[LogEntry] = (), deltas: Deltas | None = None
    ) -> None:
        if self._export is not None:
            self._export.offer(spans, entries, deltas or {})

    # ---- metrics

    def merge(self) -> None:
        """Adds what this process has measured since the last time to what is stored."""
        with self._merging:
            deltas = self._telemetry.metrics.take()
            self._offer(deltas=deltas)
            for key, delta in deltas.items():
                self._unmerged.setdefault(key, Distribution()).merge(delta)
            try:
                self.metrics.merge(self._unmerged)
            except EngineUnavailable as error:
                dropped = len(self._unmerged) > _MOST_UNMERGED
                if dropped:
                    self._unmerged = {}
                what = "are dropped" if dropped else "wait in memory"
                self._warn("metrics %s, they cannot be stored: %s", what, error)
            else:
                self._unmerged = {}

    def _sweep(self) -> None:
        self._spans.sweep()
        self._logs.sweep()
        try:
            self.metrics.remove_before(minute_of(self._telemetry.clock.now() - self._limits.seconds))
        except EngineUnavailable as error:
            self._warn("old metrics cannot be deleted: %s", error)


class _Handler(logging.Handler):
    def __init__(self, redactor: Redactor, keep: Callable[[LogEntry], None]) -> None:
        super().__init__(logging.INFO)
        self._redactor, self._keep = redactor, keep

    def emit(self, record: logging.LogRecord) -> None:
        try:
            entry = entry_of(record, self._redactor)
            if len(entry.message) > _LONGEST_MESSAGE:
                left = f"{entry.message[:_LONGEST_MESSAGE]}... (of {len(entry.message):,} characters)"
                entry = msgspec.structs.replace(entry, message=left)
            self._keep(entry)
        except Exception:
            self.handleError(record)
