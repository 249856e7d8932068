"""A secondary index of a table: other keys for the same items."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from windlass.errors import DeclarationError, Misuse
from windlass.model.keys import condition_fields
from windlass.model.resource import Resource, operation
from windlass.ports.binding import port
from windlass.ports.table import Condition, KeyCondition, KeyValue

if TYPE_CHECKING:
    from windlass.model.table import Page, Table

__all__ = ["Index", "TableIndex", "check_indexes"]

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Index:
    """What `table(indexes={...})` takes: the fields that are the index's partition and sort key. An item whose
    field is None is not in the index. `fields` lists the attributes that the index keeps besides the keys; None
    keeps all."""

    key: str
    sort: str | None = None
    fields: Sequence[str] | None = None


def check_indexes(indexes: object, *, where: str) -> None:
    """Raises DeclarationError for what is not a dict of Index by name."""
    if not isinstance(indexes, Mapping):
        raise DeclarationError("indexes is not a dict", where=where, fix='indexes={"by_day": Index("day")}')
    for name, index in indexes.items():
        if not isinstance(index, Index):
            raise DeclarationError(
                f"indexes has {index!r} where an Index should be",
                where=where,
                fix=f'indexes={{{name!r}: Index("day")}}',
            )


class TableIndex(Resource, Generic[T]):
    """An index to be queried, from `table.index(name)`."""

    noun = "index"

    def __init__(self, table: Table[T], name: str, index: Index) -> None:
        super().__init__(table.system, name)
        self.table, self.index = table, index
        self.address = f"{table.name}/{name}"

    @operation
    def query(
        self,
        partition: KeyValue,
        *,
        sort: KeyCondition | None = None,
        where: Condition | None = None,
        limit: int = 50,
        descending: bool = False,
        after: str | None = None,
        fields: Sequence[str] | None = None,
    ) -> Page[T]:
        """A page of the items whose index key is `partition`; see `Table.query`.

        On AWS an index follows its table within about a second, so a write may not show at once.
        """
        table_port = port(self.table.name, "query", self.address)
        return self.table._page(
            table_port, self, partition, sort, where, limit, descending, after, self._kept(fields, where)
        )

    def _kept(self, fields: Sequence[str] | None, where: Condition | None) -> Sequence[str] | None:
        if self.index.fields is None:
            return fields
        kept = [*self.key_names(), *self.index.fields]
        read = [*(fields or ()), *(sorted(condition_fields(where)) if where is not None else ())]
        if lost := [name for name in read if name not in kept]:
            raise Misuse(f"{self.where} does not keep {', '.join(lost)}; it keeps {', '.join(kept)}")
        return kept if fields is None else fields

    def key_names(self) -> list[str]:
        """The fields that are keys here: the index's own, then the table's."""
        names: list[Any] = [self.index.key, self.index.sort, self.table.key, self.table.sort]
        return list(dict.fromkeys(name for name in names if name is not None))
