"""What services count of a call: DynamoDB's read and write units, SQS's requests."""

from __future__ import annotations

import math
from typing import Any

from windlass.model.table import Table
from windlass.synth.recording import Call

__all__ = ["is_read", "is_write", "read_units", "sqs_requests", "write_units"]

_WRITES = frozenset({"PutItem", "UpdateItem", "DeleteItem", "BatchWriteItem", "TransactWriteItems"})
_ITEM_READS = frozenset({"GetItem", "BatchGetItem", "TransactGetItems"})
_PAGE_READS = frozenset({"Query", "Scan"})
_WRITE_BYTES = 1024
_READ_BYTES = 4096
_REQUEST_BYTES = 65_536


def is_write(call: Call) -> bool:
    """Whether a call consumes write units."""
    return call.service == "dynamodb" and call.operation in _WRITES


def is_read(call: Call) -> bool:
    """Whether a call consumes read units."""
    return call.service == "dynamodb" and (call.operation in _ITEM_READS or call.operation in _PAGE_READS)


def write_units(call: Call, table: Table[Any] | None) -> float:
    """The write units of a writing call: one for each KB of an item, begun, twice that in a transaction, and as many
    again for each index. That is the most: an index that keeps few fields needs less, an item that is not in an index
    needs nothing there; only an update of an index's key needs more, one more.

    https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/read-write-operations.html
    """
    if not call.items:
        return call.count  # a write that a condition refused, or of nothing
    each = _begun(call.bytes / call.items, _WRITE_BYTES)
    transaction = 2 if call.operation == "TransactWriteItems" else 1
    return call.items * each * transaction * (1 + (len(table.indexes) if table is not None else 0))


def read_units(call: Call) -> float:
    """The read units of a reading call: one for each 4 KB begun, of an item or, of a query or scan, of all that it
    looked at; half for an eventually consistent read, twice in a transaction. What is not there costs one unit."""
    if not call.count:
        return 0.0
    if call.operation in _PAGE_READS:
        whole = call.count * _begun(call.bytes / call.count, _READ_BYTES)
    else:
        whole = max(call.items, call.count) * _begun(call.bytes / call.items if call.items else 0.0, _READ_BYTES)
    if call.operation == "TransactGetItems":
        return whole * 2
    return whole if call.consistent else whole / 2


def sqs_requests(calls: float, size: float) -> float:
    """What SQS counts for so many calls with a payload of `size` bytes each: 64 KB begun is a request.
    https://aws.amazon.com/sqs/pricing/"""
    return calls * _begun(size, _REQUEST_BYTES)


def _begun(size: float, part: int) -> int:
    # Sums of floats must not begin a part that is not there.
    return max(1, math.ceil(size / part - 1e-9))
