"""What a system's handlers call of AWS, as it was recorded: `calls.json`, beside its `system.py`.

A recording has numbers and sizes of calls, and no price and no rate, so that it changes only when the system or the
engine does. For a queue's consumer it has several *samples*, deliveries of different size; what a delivery of another
size calls lies on the line through them.
"""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import msgspec

from windlass.errors import LoadError, NotFound
from windlass.model.system import System

__all__ = ["VERSION", "Call", "Recorded", "Recording", "Sample", "path_of", "read"]

VERSION = 1

_HOW = "record it: tests/aws/calls.py runs a system's handlers and writes the file (docs/cost.md)"


class Call(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What one delivery calls of an operation: `count` calls, which write, read or send `items` in all, of `bytes` in
    all. A reading call has the items that it looked at; `bytes` of an item are DynamoDB's, of a message or a mail those
    of its body. `resource` is the table, queue, secret, user pool or mailer; an index as `items/by_day`. `consistent`
    says that reads were strongly consistent."""

    service: str
    operation: str
    resource: str = ""
    count: float
    items: float = 0.0
    bytes: float = 0.0
    consistent: bool = False

    def times(self, factor: float) -> Call:
        """The same calls, so many times."""
        return msgspec.structs.replace(
            self, count=self.count * factor, items=self.items * factor, bytes=self.bytes * factor
        )


class Sample(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One delivery to an execution environment that has had others before. `messages` is how many came (1 for what is
    no queue's), `own_ms` how long it took in all save its calls, in milliseconds on one whole CPU. `log_bytes` is what
    it wrote to its log, `answer_bytes` what the caller was sent, headers and body."""

    messages: int = 1
    own_ms: float
    log_bytes: float = 0.0
    answer_bytes: float = 0.0
    calls: list[Call] = []


class Recorded(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What was recorded of a handler. `first` is what only the first delivery of an environment calls, and what is
    called anew when `again_after` seconds have passed (0: never). `metrics` are the series of custom metrics that it
    wrote to its log, each a name with its dimensions: `seconds_until_stored system=presenter`."""

    samples: list[Sample]
    first: list[Call] = []
    again_after: float = 0.0
    metrics: list[str] = []

    def sample(self, messages: float) -> Sample:
        """A delivery of so many messages: on the line through the nearest two samples; through a single one and
        nothing, where there is but one."""
        known = sorted(self.samples, key=lambda sample: sample.messages)
        if len(known) == 1:
            only = known[0]
            return only if messages == only.messages else _between(_nothing(only), only, messages / only.messages)
        low, high = next((pair for pair in pairwise(known) if messages <= pair[1].messages), (known[-2], known[-1]))
        return _between(low, high, (messages - low.messages) / (high.messages - low.messages))


class Recording(msgspec.Struct, frozen=True, kw_only=True):
    """The recording of a system. `made_on` says what stood in for AWS: `moto 5.2.5`."""

    version: int = VERSION
    system: str
    made_on: str
    handlers: dict[str, Recorded]

    def encode(self) -> bytes:
        """The recording as JSON, indented and ending in a line break."""
        return msgspec.json.format(msgspec.json.encode(self), indent=2) + b"\n"


def path_of(system: Path) -> Path:
    """Where the recording of a system is, that `windlass.graph.load.load` takes: `calls.json` in its folder, or
    `app.calls.json` beside its `app.py`."""
    if system.is_dir():
        return system / "calls.json"
    return system.with_name("calls.json") if system.name == "system.py" else system.with_suffix(".calls.json")


def read(file: Path, system: System) -> Recording:
    """The recording of `system` in `file`. Raises NotFound when there is none, LoadError for one that is damaged, of
    another version or another system, or that does not have every handler."""
    try:
        data = file.read_bytes()
    except FileNotFoundError:
        raise NotFound(
            f"there is no recording of what {system.name} calls: {file} does not exist\n  fix: {_HOW}"
        ) from None
    try:
        recording = msgspec.json.decode(data, type=Recording)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise LoadError(f"{file} is no recording of calls: {error}\n  fix: {_HOW}") from None
    if recording.version != VERSION:
        raise LoadError(
            f"{file} has version {recording.version}, and this Windlass reads version {VERSION}\n  fix: {_HOW}"
        )
    declared = {handler.name for handler in system.handlers}
    missing, unknown = sorted(declared - set(recording.handlers)), sorted(set(recording.handlers) - declared)
    if recording.system != system.name or missing or unknown:
        wrong = f"is of {recording.system}, not of {system.name}" if recording.system != system.name else ""
        wrong = wrong or (f"lacks {', '.join(missing)}" if missing else f"has {', '.join(unknown)}, which is gone")
        raise LoadError(f"{file} {wrong}: it was made of another state of the system\n  fix: {_HOW}")
    empty = [name for name, recorded in recording.handlers.items() if not _sound(recorded)]
    if empty:
        raise LoadError(
            f"{file} has no samples of {', '.join(empty)}, or two of one size, or one of no message\n  fix: {_HOW}"
        )
    return recording


def _sound(recorded: Recorded) -> bool:
    sizes = [sample.messages for sample in recorded.samples]
    return bool(sizes) and min(sizes) >= 1 and len(set(sizes)) == len(sizes)


def _nothing(sample: Sample) -> Sample:
    return Sample(messages=0, own_ms=0.0, calls=[call.times(0.0) for call in sample.calls])


def _between(low: Sample, high: Sample, share: float) -> Sample:
    """The point on the line at `share` of the way from `low` to `high`, nothing of it below zero."""

    def at(a: float, b: float) -> float:
        return max(0.0, a + (b - a) * share)

    kinds: dict[tuple[str, str, str, bool], list[Call | None]] = {}
    for place, sample in enumerate((low, high)):
        for call in sample.calls:
            kind = (call.service, call.operation, call.resource, call.consistent)
            kinds.setdefault(kind, [None, None])[place] = call
    calls = []
    for (service, operation, resource, consistent), (a, b) in kinds.items():
        calls.append(
            Call(
                service=service,
                operation=operation,
                resource=resource,
                consistent=consistent,
                count=at(a.count if a else 0.0, b.count if b else 0.0),
                items=at(a.items if a else 0.0, b.items if b else 0.0),
                bytes=at(a.bytes if a else 0.0, b.bytes if b else 0.0),
            )
        )
    return Sample(
        messages=round(at(low.messages, high.messages)),
        own_ms=at(low.own_ms, high.own_ms),
        log_bytes=at(low.log_bytes, high.log_bytes),
        answer_bytes=at(low.answer_bytes, high.answer_bytes),
        calls=calls,
    )
