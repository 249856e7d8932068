"""The bare floor: granian, msgspec and one INSERT, with nothing between them: `python FILE DATABASE PORT [full]`.

With `full` there is an fsync with each commit.
"""

import sqlite3
import sys
import uuid
from typing import Annotated, Any

import msgspec
import uvloop
from granian.constants import Interfaces
from granian.server.embed import Server

JSON = [("content-type", "application/json")]


class NewItem(msgspec.Struct):
    folder: Annotated[str, msgspec.Meta(min_length=1, max_length=1024)]
    sla: Annotated[int, msgspec.Meta(ge=1, le=1440)]
    files: list[str]


class Item(NewItem):
    id: str


decode, encode = msgspec.json.Decoder(NewItem).decode, msgspec.json.Encoder().encode
db = sqlite3.connect(sys.argv[1], isolation_level=None)
db.execute("pragma journal_mode = wal")
db.execute(f"pragma synchronous = {'full' if sys.argv[3:] == ['full'] else 'normal'}")
db.execute("create table if not exists items (id text primary key, body text not null)")


async def app(scope: Any, proto: Any) -> None:
    """POST stores an item, GET reads one."""
    if scope.method == "POST":
        new = decode(await proto())
        item = Item(new.folder, new.sla, new.files, str(uuid.uuid4()))
        body = encode(item)
        db.execute("insert into items (id, body) values (?, ?)", (item.id, body))
        proto.response_bytes(201, JSON, body)
        return
    row = db.execute("select body from items where id = ?", (scope.path.rpartition("/")[2],)).fetchone()
    if row is None:
        proto.response_empty(404, [])
    else:
        proto.response_bytes(200, JSON, row[0])


if __name__ == "__main__":
    server = Server(app, port=int(sys.argv[2]), interface=Interfaces.RSGI, log_enabled=False)
    uvloop.run(server.serve())
