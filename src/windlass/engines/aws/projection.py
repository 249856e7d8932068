"""Which attributes an index of DynamoDB is to have, besides its keys.

https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/GSI.html#GSI.Projections
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from windlass.model.index import TableIndex

__all__ = ["projected"]


def projected(index: TableIndex[Any]) -> list[str] | None:
    """The attributes of a projection `INCLUDE`: none for `KEYS_ONLY`, None for `ALL`. The time to live is always among
    them: by it a query leaves out what has expired, days before DynamoDB deletes it."""
    if index.index.fields is None:
        return None
    kept = [*index.index.fields, *([index.table.ttl] if index.table.ttl else [])]
    return [name for name in dict.fromkeys(kept) if name not in index.key_names()]
