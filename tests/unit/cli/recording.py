"""What the tests of `windlass logs`, `traces` and `metrics` share: a state in which telemetry was kept."""

from __future__ import annotations

import time
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from windlass.dispatch.log_entries import LogEntry
from windlass.dispatch.metrics import Distribution, minute_of, series
from windlass.engines.embedded.metric_store import MetricStore
from windlass.engines.embedded.recorder import metrics_path, telemetry_folder
from windlass.engines.embedded.segments import SegmentWriter
from windlass.ports.telemetry import Span

__all__ = ["BATCH", "FAILED", "POSTED", "record"]

POSTED, FAILED, BATCH = "a1" * 16, "b2" * 16, "c3" * 16
_FIRST = datetime(2026, 5, 4, 9, tzinfo=UTC)


def record(home: Path) -> Path:
    """Telemetry of one morning, and metrics of the last ten minutes, in the default namespace of `home`; returns its
    folder."""
    namespace = home / "default"
    namespace.mkdir(parents=True)
    first = _FIRST.timestamp()

    def span(kind: str, name: str, trace: str, number: str, at: float, seconds: float, **more: object) -> bytes:
        fields = {"kind": kind, "name": name, "system": "shop", "trace": trace, "id": number}
        return msgspec.json.encode(msgspec.convert(fields | {"start": first + at, "seconds": seconds} | more, Span))

    spans = [
        span("request", "POST /orders", POSTED, "01", 0.0, 0.0026, handler="create", status=202, ran=0.001),
        span("call", "placed.send", POSTED, "02", 0.0015, 0.0003, parent="01"),
        span(
            "request", "GET /broken", FAILED, "11", 1.0, 0.25, system="desk", status=500, outcome="error", error="E: x"
        ),
        span("delivery", "queue placed", BATCH, "21", 2.0, 0.001, handler="store", count=2, links=[f"{POSTED}-01"]),
        span("call", "orders.write", BATCH, "22", 2.0005, 0.0001, parent="21"),
        span(
            "delivery", "queue late", POSTED, "03", 3.0, 0.001, parent="01", outcome="error", error="E: \x1b[31m\nred"
        ),
    ]

    def entry(level: str, message: str, at: float, **more: str) -> bytes:
        moment = datetime.fromtimestamp(first + at, UTC)
        return msgspec.json.encode(LogEntry(time=moment, level=level, logger="shop", message=message, **more))

    entries = [
        entry("INFO", "order 1 is taken", 0.001, trace_id=POSTED, system="shop", handler="create"),
        entry("WARNING", "it is low", 0.5, trace_id=POSTED, system="shop", handler="store"),
        entry("ERROR", "GET /broken failed\nValueError: \x1b[31mx", 1.2, trace_id=FAILED, system="desk"),
    ]
    for kind, lines in (("spans", spans), ("logs", entries)):
        folder = telemetry_folder(namespace)
        limits = {"most_bytes": 1 << 24, "most_seconds": 1e9}
        with closing(SegmentWriter(folder, "spans" if kind == "spans" else "logs", **limits)) as writer:  # type: ignore[arg-type]
            writer.write(b"\n".join([*lines, b""]))
    slow, fast = Distribution(), Distribution()
    slow.add([0.5] * 10)
    fast.add([0.001] * 90)
    minute = minute_of(time.time())
    seconds = series("request_seconds", system="shop", handler="create")
    other = series("requests", system="desk", handler="read")
    with closing(MetricStore(metrics_path(namespace))) as store:
        store.merge({(minute - 5, seconds): slow, (minute, seconds): fast, (minute, other): fast})
    return namespace
