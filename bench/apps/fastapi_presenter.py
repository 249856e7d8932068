"""presenter as one would write it with FastAPI, Pydantic, PyJWT and sqlite3: `python FILE DATABASE PORT KEY`.

POST /data verifies an HS256 token, checks the body, and puts it in a queue, a table of the database, committed before
the answer. A thread of the same process takes up to 100 messages at a time, persists them and deletes them, in one
transaction. Functions run on FastAPI's threads, each with its own connection (one for all, under a lock, was as fast).
uvicorn runs on uvloop and httptools.
"""

import sqlite3
import sys
import threading
import time
import uuid
from datetime import UTC, datetime
from functools import lru_cache
from typing import Annotated, Any

import jwt
import uvicorn
from fastapi import Depends, FastAPI, Header, HTTPException
from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

KEY = sys.argv[3]
BATCH = 100

app = FastAPI()
local = threading.local()
arrived = threading.Event()

Text = Annotated[str, Field(min_length=1, max_length=2000)]


class NewInformation(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel)

    information_one: Text
    information_two: Text


class Information(BaseModel):
    user: str
    key: str
    date: str
    information_one: str
    information_two: str


def connection() -> sqlite3.Connection:
    """This thread's connection, in autocommit mode: an INSERT is a transaction."""
    if not hasattr(local, "db"):
        local.db = sqlite3.connect(sys.argv[1], isolation_level=None, timeout=10)
        local.db.execute("pragma journal_mode = wal")
        local.db.execute("pragma synchronous = normal")
    db: sqlite3.Connection = local.db
    return db


@lru_cache(2000)
def decoded(token: str) -> dict[str, Any]:
    """The claims of a token that is good; remembered, as presenter does."""
    claims: dict[str, Any] = jwt.decode(token, KEY, algorithms=["HS256"], options={"require": ["exp", "sub"]})
    return claims


def claims(authorization: Annotated[str, Header()] = "") -> dict[str, Any]:
    """The claims of the bearer token."""
    scheme, _, token = authorization.partition(" ")
    if scheme.lower() != "bearer":
        raise HTTPException(401, "send a bearer token")
    try:
        verified = decoded(token)
        if verified["exp"] <= time.time():
            raise HTTPException(401, "the token has expired")
    except jwt.InvalidTokenError as error:
        raise HTTPException(401, "the token is not valid") from error
    if "data.write" not in verified.get("Role", []):
        raise HTTPException(403, "the role data.write is missing")
    return verified


@app.post("/data", status_code=201, response_model=None)
def take(body: NewInformation, caller: Annotated[dict[str, Any], Depends(claims)]) -> None:
    """Queue information."""
    if not body.information_one.strip() or not body.information_two.strip():
        raise HTTPException(400, "a field is blank")
    date = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    message = Information(
        user=caller["sub"],
        key=f"{date}#{uuid.uuid4()}",
        date=date,
        information_one=body.information_one,
        information_two=body.information_two,
    )
    connection().execute("insert into queue (body) values (?)", (message.model_dump_json(),))
    arrived.set()


def persist() -> None:
    """Stores what is queued, for ever."""
    db = connection()
    while True:
        arrived.wait()
        arrived.clear()
        while rows := db.execute("select id, body from queue order by id limit ?", (BATCH,)).fetchall():
            items = [Information.model_validate_json(body) for _, body in rows]
            db.execute("begin immediate")
            db.executemany(
                "insert or replace into information (user, key, body) values (?, ?, ?)",
                [(item.user, item.key, item.model_dump_json()) for item in items],
            )
            db.execute("delete from queue where id <= ?", (rows[-1][0],))
            db.execute("commit")


if __name__ == "__main__":
    connection().execute("create table if not exists queue (id integer primary key autoincrement, body text not null)")
    connection().execute(
        "create table if not exists information (user text, key text, body text not null, primary key (user, key)) "
        "without rowid"
    )
    threading.Thread(target=persist, daemon=True).start()
    uvicorn.run(app, port=int(sys.argv[2]), log_level="warning", access_log=False, loop="uvloop", http="httptools")
