"""What is recorded of everything that happens: spans, which a trace id holds together (W3C Trace Context)."""

from __future__ import annotations

import itertools
import os
import random
import re
from collections.abc import Iterator
from typing import Literal, NamedTuple

import msgspec

__all__ = ["Origin", "Outcome", "Span", "SpanKind", "new_span_id", "new_trace_id", "origin_of", "traceparent"]

SpanKind = Literal["request", "authorizer", "delivery", "tick", "call"]
Outcome = Literal["ok", "refused", "error"]

_HEADER = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]{2}(-.*)?\Z")


class Span(msgspec.Struct, gc=False, omit_defaults=True, kw_only=True):
    """One thing that was done: a request, a delivery of messages, a firing, or one call of a resource.

    `start` is in epoch seconds on the engine's clock; `seconds` is how long it took (while it runs: minus the
    `time.perf_counter()` of its start). `parent` is the id of the span that caused it, empty at the root; `links` are
    further causes, `TRACE-SPAN` each: a batch of messages comes from several. `ran` is how many of the seconds its
    handler took, below 0 when none ran. `outcome` is `refused` where the caller was at fault, and `error` says what was
    raised. `count` is the number of messages of a delivery.
    """

    kind: SpanKind
    name: str
    system: str
    trace: str
    id: str
    start: float
    seconds: float
    parent: str = ""
    handler: str = ""
    resource: str = ""
    noun: str = ""
    operation: str = ""
    status: int = 0
    outcome: Outcome = "ok"
    error: str = ""
    ran: float = -1.0
    count: int = 0
    links: list[str] = []


class Origin(NamedTuple):
    """Where something comes from: a trace, and the span in it."""

    trace: str
    span: str

    def __str__(self) -> str:
        return f"{self.trace}-{self.span}" if self.span else self.trace


# A random half that is the process's own, and a count: made several times as fast as 64 random bits.
_ids: Iterator[str] = iter(())
_random = random.Random()


def _begin_process() -> None:
    global _ids
    counts = itertools.chain.from_iterable(itertools.repeat(range(1, 2**32)))
    _ids = map((os.urandom(4).hex() + "%08x").__mod__, counts)
    _random.seed(os.urandom(32))


_begin_process()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_begin_process)


def new_span_id() -> str:
    """16 hexadecimal digits that no other span of the trace has."""
    return next(_ids)


def new_trace_id() -> str:
    """32 random hexadecimal digits."""
    return _random.randbytes(16).hex()


def origin_of(header: str) -> Origin | None:
    """What a `traceparent` header says (https://www.w3.org/TR/trace-context/), None where it says nothing valid."""
    match = _HEADER.match(header.strip())
    # Only versions to come may have more behind the flags.
    if (
        match is None
        or match[1] == "ff"
        or (match[1] == "00" and match[4] is not None)
        or match[2] == "0" * 32
        or match[3] == "0" * 16
    ):
        return None
    return Origin(match[2], match[3])


def traceparent(origin: Origin) -> str:
    """The header for a call to another service."""
    return f"00-{origin.trace}-{origin.span}-01"
