"""Telemetry sent on with OTLP over HTTP (https://opentelemetry.io/docs/specs/otlp/), by OpenTelemetry's exporters.

They come with the extra `otlp`, and cost far more than writing a file. So what waits is bounded, and more than that
is dropped and counted.
"""

from __future__ import annotations

import logging
import re
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from importlib.util import find_spec
from typing import Any
from urllib.parse import unquote, urlsplit

from windlass.dispatch.log_entries import LogEntry
from windlass.dispatch.metrics import Deltas, Distribution, Series
from windlass.engines.embedded.metric_catalogue import described
from windlass.errors import WindlassError
from windlass.ports.telemetry import Span

__all__ = ["OtlpExport", "checked_endpoint", "header_secrets"]

_MOST_WAITING = 20_000
_BATCH = 512
_ROUND_SECONDS = 1.0
_METRIC_SECONDS = 15.0
_WARN_SECONDS = 60.0
_LAST_SECONDS = 3.0
_REST = 4.0

logger = logging.getLogger("windlass")


def checked_endpoint(url: str) -> str:
    """The base URL of an OTLP receiver, such as http://localhost:4318. Raises WindlassError when it is none, or when
    what sends to it is not installed."""
    try:
        parts = urlsplit(url)
        valid = parts.scheme in ("http", "https") and parts.hostname and (parts.port or 0) >= 0
    except ValueError:
        valid = False
    if not valid:
        raise WindlassError(
            f"{url!r} cannot be an OTLP endpoint\n  fix: give the base URL of its HTTP receiver, as in "
            f"--otlp http://localhost:4318"
        )
    if not _installed("opentelemetry.exporter.otlp.proto.http"):
        raise WindlassError(
            "what --otlp needs is not installed\n  fix: pip install 'windlass[otlp]', or leave out --otlp and "
            "OTEL_EXPORTER_OTLP_ENDPOINT"
        )
    return url.rstrip("/")


def _installed(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:
        return False


def header_secrets(environ: Mapping[str, str]) -> list[str]:
    """The values of the headers that the exporters are told to send, which no log may show."""
    headers = environ.get("OTEL_EXPORTER_OTLP_HEADERS", "")
    values = [unquote(pair.partition("=")[2]).strip() for pair in headers.split(",")]
    return [word for value in values for word in {value, re.sub(r"^\S+\s+", "", value)} if word]


class OtlpExport:
    """Sends spans, log entries and metrics to the receiver at `endpoint`, on a thread of its own.

    Headers, timeouts and certificates are those of OpenTelemetry's environment variables. At most `most_waiting`
    spans, and as many entries, wait; what comes on top is dropped, and said once a minute. Metrics are what this
    process has measured since its start.
    """

    def __init__(
        self, endpoint: str, *, most_waiting: int = _MOST_WAITING, metric_seconds: float = _METRIC_SECONDS
    ) -> None:
        from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
        from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

        self._traces = OTLPSpanExporter(endpoint=f"{endpoint}/v1/traces")
        self._metrics = OTLPMetricExporter(endpoint=f"{endpoint}/v1/metrics")
        self._logs = OTLPLogExporter(endpoint=f"{endpoint}/v1/logs")
        self._most_waiting, self._metric_seconds = most_waiting, metric_seconds
        self._spans: deque[Span] = deque()
        self._entries: deque[LogEntry] = deque()
        self._lock = threading.Lock()
        self._totals: dict[Series, Distribution] = {}
        self._gauges: dict[Series, float] = {}
        self._since = time.time_ns()
        self.dropped = 0
        self._told = 0
        self._told_at = 0.0
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="windlass-otlp", daemon=True)
        self._thread.start()

    def offer(self, spans: Sequence[Span], entries: Sequence[LogEntry], deltas: Deltas) -> None:
        """Takes what there is room for."""
        self._dropped(_put(self._spans, spans, self._most_waiting))
        # What the exporters log about a receiver that is away would only be more for it.
        own = [entry for entry in entries if not entry.logger.startswith("opentelemetry")]
        self._dropped(_put(self._entries, own, self._most_waiting))
        if deltas:
            with self._lock:
                for (_, series), delta in sorted(deltas.items(), key=lambda item: item[0][0]):
                    if described(series[0]).kind == "gauge":
                        self._gauges[series] = delta.average
                    else:
                        self._totals.setdefault(series, Distribution()).merge(delta)

    def close(self) -> None:
        """Sends what is left, for a few seconds at the most."""
        self._over.set()
        self._thread.join(_LAST_SECONDS)
        if self._thread.is_alive():
            # It waits for a receiver that does not answer: this ends the wait between its tries.
            self._dropped(len(self._spans) + len(self._entries))
        for exporter in (self._traces, self._metrics, self._logs):
            exporter.shutdown()

    def _run(self) -> None:
        measured = time.monotonic()
        while not self._over.is_set():
            self._over.wait(_ROUND_SECONDS)
            self._guarded(self._send)
            if self._over.is_set() or time.monotonic() - measured >= self._metric_seconds:
                measured = time.monotonic()
                self._guarded(self._send_metrics)
            self._tell()

    def _guarded(self, work: Callable[[], None]) -> None:
        try:
            work()
        except Exception as error:
            logger.warning("telemetry could not be sent: %s: %s", type(error).__name__, error)

    def _send(self) -> None:
        from windlass.engines.embedded.otlp_data import log_record, readable_span

        began = time.thread_time()
        while spans := _taken(self._spans):
            self._sent(self._traces, _converted(readable_span, spans), len(spans))
            self._rest(began)
            began = time.thread_time()
        while entries := _taken(self._entries):
            self._sent(self._logs, _converted(log_record, entries), len(entries))
            self._rest(began)
            began = time.thread_time()

    def _send_metrics(self) -> None:
        from windlass.engines.embedded.otlp_data import metrics_data

        with self._lock:
            if not self._totals and not self._gauges:
                return
            data = metrics_data(self._totals, self._gauges, self._since)
        self._metrics.export(data)

    def _sent(self, exporter: Any, batch: list[Any], number: int) -> None:
        """Sends a batch; what the receiver does not take after some tries is dropped."""
        taken = bool(batch) and exporter.export(batch).name == "SUCCESS"
        self._dropped(number - (len(batch) if taken else 0))

    def _rest(self, began: float) -> None:
        """Leaves the interpreter to the others, so that sending takes a fifth of a core at the most. `began` is the
        thread's time before."""
        self._over.wait(_REST * (time.thread_time() - began))

    def _dropped(self, number: int) -> None:
        if number:
            with self._lock:
                self.dropped += number

    def _tell(self) -> None:
        now = time.monotonic()
        if self.dropped > self._told and now - self._told_at >= _WARN_SECONDS:
            logger.warning("%s spans and log entries were not sent with OTLP", f"{self.dropped - self._told:,}")
            self._told, self._told_at = self.dropped, now


def _put(line: deque[Any], offered: Sequence[Any], most: int) -> int:
    """Puts as many as there is room for on the line; returns how many that were not."""
    room = max(0, most - len(line))
    line.extend(offered[:room])
    return max(0, len(offered) - room)


def _taken(line: deque[Any]) -> list[Any]:
    return [line.popleft() for _ in range(min(len(line), _BATCH))]


def _converted(convert: Callable[[Any], Any], found: Sequence[Any]) -> list[Any]:
    converted = []
    for one in found:
        try:
            converted.append(convert(one))
        except ValueError as error:
            logger.debug("something that OpenTelemetry has no form for is not sent: %s", error)
    return converted
