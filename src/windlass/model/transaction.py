"""Transactions: writes of several items, of one table or more, that stand or fall together."""

from __future__ import annotations

import msgspec

from windlass.errors import DeclarationError, InvalidItem
from windlass.ports.binding import port
from windlass.ports.table import TablePort, Write

__all__ = ["TableWrite", "transact"]

MAX_TRANSACTION = 100


class TableWrite(msgspec.Struct, frozen=True):
    """One write of a transaction, made by `Table.to_put` and its siblings. `operation` is what it needs granted."""

    table: str
    operation: str
    write: Write


def transact(*writes: TableWrite) -> None:
    """Applies all writes or none, across tables of one system: 1 to 100 writes, each to another item.

        transact(accounts.to_update("a", add={"cents": -5}, when=field("cents") >= 5),
                 accounts.to_update("b", add={"cents": 5}))

    Needs the grant of each write's own operation (`accounts.update`). Raises TransactionConflict, whose `reasons`
    say which writes were refused and why.
    """
    if not 1 <= len(writes) <= MAX_TRANSACTION:
        raise InvalidItem(f"a transaction has 1 to {MAX_TRANSACTION} writes, not {len(writes)}")
    seen = set()
    for write in writes:
        if not isinstance(write, TableWrite):
            raise DeclarationError(
                f"transact takes writes, and one of its arguments is of type {type(write).__name__}",
                fix="transact(items.to_put(item), items.to_delete(key)): to_put, and not put; no list around them",
            )
        target = (write.table, write.write.key)
        if target in seen:
            raise InvalidItem(f"a transaction writes {write.table} {write.write.key} twice; merge the two writes")
        seen.add(target)
    tables: list[TablePort] = [port(write.table, write.operation) for write in writes]
    tables[0].transact([(write.table, write.write) for write in writes])
