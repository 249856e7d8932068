"""X-Ray: the trace that Lambda runs a function in, and the spans of an invocation as subsegments of it; those of a
consumer as segments of the traces that its messages were sent in.

https://docs.aws.amazon.com/xray/latest/devguide/xray-api-segmentdocuments.html
https://docs.aws.amazon.com/xray/latest/devguide/xray-api-sendingdata.html#xray-api-daemon
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from itertools import islice
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from windlass.dispatch.context import logger
from windlass.ports.telemetry import Origin, Span, new_span_id

if TYPE_CHECKING:
    import socket

__all__ = ["LambdaTrace", "Xray", "lambda_trace", "senders_in", "subsegment"]

_HEADER = b'{"format": "json", "version": 1}\n'
_ROOT = re.compile(r"1-([0-9a-f]{8})-([0-9a-f]{24})\Z")
_PARENT = re.compile(r"[0-9a-f]{16}\Z")
_LINK = re.compile(r"([0-9a-f]{32})-([0-9a-f]{16})\Z")
_NOT_IN_NAMES = re.compile(r"[^\w\s.:/%&#=+\-@]", re.ASCII)
_MOST_NAME = 200
_MOST_BYTES = 64_000
_MOST_SENDERS = 20
"""Of a batch: as many traces as X-Ray itself links one with.
https://docs.aws.amazon.com/xray/latest/devguide/xray-tracelinking.html"""

_encode = msgspec.json.Encoder().encode


class LambdaTrace(NamedTuple):
    """The trace of an invocation: `root` is X-Ray's name for it, `origin` ours, with the function's segment; `sampled`:
    X-Ray wants to know of it."""

    root: str
    origin: Origin
    sampled: bool


def lambda_trace(header: str | None) -> LambdaTrace | None:
    """What `_X_AMZN_TRACE_ID` says: `Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1`. None
    where it names no trace."""
    parts = dict(part.strip().partition("=")[::2] for part in (header or "").split(";"))
    root, parent = _ROOT.match(parts.get("Root", "")), parts.get("Parent", "")
    if root is None:
        return None
    known = _PARENT.match(parent) is not None
    origin = Origin(root[1] + root[2], parent if known else "")
    return LambdaTrace(root[0], origin, known and parts.get("Sampled") == "1")


def senders_in(event: Mapping[str, Any]) -> dict[str, LambdaTrace]:
    """The traces that X-Ray records of those that the messages in an event of SQS were sent in, by our names of
    them."""
    found: dict[str, LambdaTrace] = {}
    for record in event["Records"]:
        attributes = record.get("attributes")
        header = attributes.get("AWSTraceHeader") if isinstance(attributes, dict) else None
        trace = lambda_trace(header) if isinstance(header, str) else None
        if trace is not None and trace.sampled:
            found[trace.origin.trace] = trace
    return found


def subsegment(span: Span, trace: LambdaTrace, parent: str) -> dict[str, Any]:
    """A span as X-Ray's document of a subsegment below `parent`. A caller may have named a trace of its own, in
    `traceparent`, and a message comes with the sender's: X-Ray finds them by the annotation `trace_id`."""
    made: dict[str, Any] = {
        "type": "subsegment",
        "trace_id": trace.root,
        "id": span.id,
        "parent_id": parent,
        "name": _NOT_IN_NAMES.sub("", span.name)[:_MOST_NAME].strip() or span.kind,
        "start_time": span.start,
        "end_time": span.start + max(span.seconds, 0.0),
    }
    noted = {"system": span.system, "handler": span.handler, "resource": span.resource, "operation": span.operation}
    made["annotations"] = {"trace_id": span.trace, "kind": span.kind, **{k: v for k, v in noted.items() if v}}
    if span.kind == "call":
        made["namespace"] = "remote"
    if span.count:
        made["metadata"] = {"windlass": {"messages": span.count, "links": span.links}}
    if span.status:
        made["http"] = {"response": {"status": span.status}}
    if span.status == 429:
        made["throttle"] = True
    if span.outcome == "refused" or 400 <= span.status < 500:
        made["error"] = True
    elif span.outcome == "error" or span.status >= 500:
        made["fault"] = True
    if span.error:
        kind, _, message = span.error.partition(": ")
        raised = {"id": new_span_id(), "type": kind[:_MOST_NAME], "message": message or kind}
        made["cause"] = {"working_directory": "", "exceptions": [raised]}
    return made


class Xray:
    """Sends subsegments to X-Ray's daemon at `address`, `HOST:PORT`, by UDP: what does not arrive is lost."""

    def __init__(self, address: str) -> None:
        host, _, port = address.rpartition(":")
        self._to = (host.strip("[]"), int(port)) if host and port.isdecimal() else None
        self._socket: socket.socket | None = None
        if address and self._to is None:
            logger.warning("AWS_XRAY_DAEMON_ADDRESS is %r, which is not HOST:PORT: no traces are sent", address)

    def send(
        self, spans: Iterable[Span], trace: LambdaTrace | None, senders: Mapping[str, LambdaTrace] | None = None
    ) -> None:
        """Sends the spans of an invocation, where its trace is sampled; else those of messages, to their `senders`.
        Never raises OSError."""
        if self._to is None:
            return
        if trace is not None and trace.sampled:
            made = _below(list(spans), trace)
        elif senders:
            made = _beside(spans, senders)
        else:
            return
        try:
            if self._socket is None:
                self._socket = _socket(self._to[0])
            for one in made:
                document = _encode(one)
                if len(document) <= _MOST_BYTES:
                    with suppress(BlockingIOError):  # the system has no room for it now: this one is left out
                        self._socket.sendto(_HEADER + document, self._to)
        except OSError as error:
            logger.warning("X-Ray's daemon does not take traces: %s", error)
            self.close()
            self._to = None

    def close(self) -> None:
        """Closes the socket."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None


def _below(spans: list[Span], trace: LambdaTrace) -> Iterator[dict[str, Any]]:
    """Spans as subsegments of the function's own segment."""
    own = {span.id for span in spans}
    for span in spans:
        yield subsegment(span, trace, span.parent if span.parent in own else trace.origin.span)


def _beside(spans: Iterable[Span], senders: Mapping[str, LambdaTrace]) -> Iterator[dict[str, Any]]:
    """Spans in the traces of those who sent their messages: a delivery is a segment, and its calls are below it. A
    batch that comes from several traces has one of its own, with its calls; each of theirs has the delivery."""
    for span in spans:
        sender = senders.get(span.trace)
        if span.kind != "delivery":
            if sender is not None:
                yield subsegment(span, sender, span.parent)
            continue
        if sender is not None:
            yield _segment(span, sender, span.parent, span.id)
            continue
        sampled = (link for link in map(_LINK.match, span.links) if link is not None and link[1] in senders)
        for link in islice(sampled, _MOST_SENDERS):
            yield _segment(span, senders[link[1]], link[2], new_span_id())


def _segment(span: Span, trace: LambdaTrace, parent: str, id: str) -> dict[str, Any]:
    made = subsegment(span, trace, parent)
    del made["type"]
    made["id"] = id
    if not parent:
        del made["parent_id"]
    return made


def _socket(host: str) -> socket.socket:
    import socket  # only where something is sent

    made = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM)
    made.setblocking(False)
    return made
