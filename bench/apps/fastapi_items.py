"""The measured service as one would write it with FastAPI, Pydantic and sqlite3: `python FILE DATABASE PORT WHERE`.

WHERE is `threads`: the functions are synchronous, as Windlass's handlers are, and run on FastAPI's thread pool, where a
slow one does not stop the others; each thread has its own connection (one for all, under a lock, was slower). Or it is
`loop`: they run on the event loop, which is faster, and where a slow one stops everything. Every insert is committed
before it is answered. uvicorn runs on uvloop and httptools.
"""

import sqlite3
import sys
import threading
import uuid
from typing import Annotated

import uvicorn
from fastapi import FastAPI, HTTPException
from pydantic import BaseModel, Field

app = FastAPI()
local = threading.local()


class NewItem(BaseModel):
    folder: Annotated[str, Field(min_length=1, max_length=1024)]
    sla: Annotated[int, Field(ge=1, le=1440)]
    files: list[str]


class Item(NewItem):
    id: str


def connection() -> sqlite3.Connection:
    """This thread's connection, in autocommit mode: an INSERT is a transaction."""
    if not hasattr(local, "db"):
        local.db = sqlite3.connect(sys.argv[1], isolation_level=None, timeout=10)
        local.db.execute("pragma journal_mode = wal")
        local.db.execute("pragma synchronous = normal")
    db: sqlite3.Connection = local.db
    return db


def create(body: NewItem) -> Item:
    """Store an item."""
    item = Item(id=str(uuid.uuid4()), folder=body.folder, sla=body.sla, files=body.files)
    connection().execute("insert into items (id, body) values (?, ?)", (item.id, item.model_dump_json()))
    return item


def read(id: str) -> Item:
    """Read an item."""
    row = connection().execute("select body from items where id = ?", (id,)).fetchone()
    if row is None:
        raise HTTPException(404, "there is no such item")
    return Item.model_validate_json(row[0])


async def create_on_loop(body: NewItem) -> Item:
    """`create`, blocking the event loop."""
    return create(body)


async def read_on_loop(id: str) -> Item:
    """`read`, blocking the event loop."""
    return read(id)


if __name__ == "__main__":
    on_loop = sys.argv[3] == "loop"
    app.post("/items", status_code=201)(create_on_loop if on_loop else create)
    app.get("/items/{id}")(read_on_loop if on_loop else read)
    connection().execute("create table if not exists items (id text primary key, body text not null)")
    uvicorn.run(app, port=int(sys.argv[2]), log_level="warning", access_log=False, loop="uvloop", http="httptools")
