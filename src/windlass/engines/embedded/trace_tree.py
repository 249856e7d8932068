"""One trace, put together again: its spans, and the batches of messages that it led to, in traces of their own."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from windlass.engines.embedded.segments import SegmentReader
from windlass.errors import NotFound
from windlass.ports.telemetry import Span

__all__ = ["Trace", "find_trace", "is_begin"]

_MOST_TRACES = 50
_MOST_SPANS = 100_000


class Trace:
    """The spans of the trace `id` and of those that came of it, by their start; `causes` are the `TRACE-SPAN` of
    others that it comes from; `cut_off` says that more came of it than was looked for."""

    def __init__(self, trace_id: str, spans: Iterable[Span], *, cut_off: bool = False) -> None:
        self.id, self.cut_off = trace_id, cut_off
        self.spans = sorted(spans, key=lambda span: span.start)
        self.start = self.spans[0].start if self.spans else 0.0
        here = {span.trace for span in self.spans}
        links = (link for span in self.spans if span.trace == trace_id for link in span.links)
        self.causes = [link for link in dict.fromkeys(links) if link.partition("-")[0] not in here]

    def lines(self) -> list[tuple[str, Span]]:
        """The spans as a tree, each after what caused it, with what is drawn before it."""
        known = {f"{span.trace}-{span.id}" for span in self.spans}
        below: dict[str, list[Span]] = defaultdict(list)
        roots = []
        for span in self.spans:
            causes = [f"{span.trace}-{span.parent}", *span.links]
            cause = next((cause for cause in causes if cause in known), None)
            if cause is None:
                roots.append(span)
            else:
                below[cause].append(span)
        found: list[tuple[str, Span]] = []
        seen: set[int] = set()
        # What causes itself, as only a damaged file says, has no root: it begins with whatever comes first.
        for root in [*roots, *self.spans]:
            stack = [(root, "", "")]
            while stack:
                span, before, after = stack.pop()
                if id(span) in seen:
                    continue
                seen.add(id(span))
                found.append((before, span))
                children = [child for child in below[f"{span.trace}-{span.id}"] if id(child) not in seen]
                for number, child in reversed(list(enumerate(children))):
                    last = number == len(children) - 1
                    branch = ("└─ ", "   ") if last else ("├─ ", "│  ")
                    stack.append((child, after + branch[0], after + branch[1]))
        return found


def is_begin(span: Span) -> bool:
    """Whether something begins with it here: a request, a firing, or a batch whose messages come from several
    traces."""
    return span.kind in ("request", "tick") or (span.kind == "delivery" and not span.parent)


def find_trace(reader: SegmentReader[Span], wanted: str) -> Trace | None:
    """The trace whose id is `wanted` or begins with it; None when there is none. Raises NotFound when several begin
    with it."""
    found: dict[tuple[str, str, float], Span] = {}
    names: set[str] = set()
    linked: list[Span] = []
    for span in reader.lines(0.0, wanted):
        if span.trace.startswith(wanted):
            names.add(span.trace)
            if len(found) < _MOST_SPANS:
                found[span.trace, span.id, span.start] = span
        elif span.links:
            linked.append(span)
    if len(names) > 1:
        shown = ", ".join(sorted(names)[:5])
        raise NotFound(f"{len(names)} traces begin with {wanted}: {shown}\n  fix: give more digits")
    if not names:
        return None
    (trace_id,) = names
    looked, cut_off = {trace_id}, False
    while True:
        here = {f"{span.trace}-{span.id}" for span in found.values()}
        following = {span.trace for span in linked if span.trace not in looked and not here.isdisjoint(span.links)}
        room = _MOST_TRACES - len(looked) if len(found) < _MOST_SPANS else 0
        cut_off = cut_off or len(following) > room
        following = set(sorted(following)[:room])
        if not following:
            break
        looked |= following
        linked = []
        for span in reader.lines(0.0, *sorted(following)):
            if span.trace in following:
                found[span.trace, span.id, span.start] = span
            elif span.links:
                linked.append(span)
    return Trace(trace_id, found.values(), cut_off=cut_off)
