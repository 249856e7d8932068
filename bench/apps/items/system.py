"""The measured service with Windlass: POST an item, GET it by its key."""

from typing import Annotated

import msgspec

from windlass import Meta, NotFound, System, new_id

items_system = System("items")


class NewItem(msgspec.Struct):
    folder: Annotated[str, Meta(min_length=1, max_length=1024)]
    sla: Annotated[int, Meta(ge=1, le=1440)]
    files: list[str]


class Item(msgspec.Struct):
    id: str
    folder: str
    sla: int
    files: list[str]


table = items_system.table("items", Item, key="id")
api = items_system.api("api")


@api.post("/items", status=201, uses=[table.put])
def create(body: NewItem) -> Item:
    """Store an item."""
    item = Item(new_id(), body.folder, body.sla, body.files)
    return table.put(item, if_absent=True)


@api.get("/items/{id}", uses=[table.get])
def read(id: str) -> Item:
    """Read an item."""
    item = table.get(id)
    if item is None:
        raise NotFound("there is no such item")
    return item
