"""The system whose handlers the runtime's tests run as functions: a depot for parcels. It asks nothing of resources."""

import logging
import time
from contextlib import suppress
from contextvars import ContextVar
from datetime import timedelta
from typing import Annotated, Any

import msgspec

from windlass import (
    Caller,
    Conflict,
    Header,
    Meta,
    Misuse,
    Problem,
    Reply,
    Request,
    System,
    Tick,
    TooManyRequests,
    Unauthorized,
    metric,
)

depot = System("depot")
log = logging.getLogger("depot")
_last: ContextVar[str] = ContextVar("last", default="nobody")


class Teapot(Problem):
    """A problem of the system's own."""

    status, title = 418, "I'm a teapot"


class Parcel(msgspec.Struct):
    id: str
    to: str
    grams: Annotated[int, Meta(ge=1)]


staff = depot.user_pool("staff", sign_in="username", groups=["staff", "lead"])


@depot.authorizer(timeout=timedelta(seconds=5))
def keys(request: Request) -> Caller:
    """Knows some keys."""
    match request.headers.get("x-key"):
        case "key-1":
            return Caller("u1", "ada", frozenset({"staff"}), {"tenant": "acme", "level": 3})
        case "big":
            return Caller("u1", "ada", frozenset(), {"all": "x" * 20_000})
        case "odd":
            return Caller("u1", "ada", frozenset(), {"odd": object()})
        case "conflict":
            raise Conflict("the key is used elsewhere", field="header.x-key")
        case "teapot":
            raise Teapot("short and stout")
        case "soon":
            raise TooManyRequests("slow down", retry_after=7)
        case "broken":
            raise RuntimeError("the key store is at secret.example.com")
        case "misuse":
            raise Misuse("called wrongly")
        case "hangs":
            _hang()
    raise Unauthorized("no such key")


api = depot.api("api", auth=staff)
guarded_api = depot.api("guarded_api", auth=keys)
arrivals = depot.queue("arrivals", Parcel, max_attempts=3)
moves = depot.queue("moves", Parcel, fifo=True)
nightly = depot.schedule("nightly", every=timedelta(hours=1))


def _hang() -> None:
    while True:
        time.monotonic()


@api.post("/parcels", public=True, status=201)
def accept(body: Parcel) -> Parcel:
    """Takes a parcel."""
    metric("grams", body.grams)
    if body.to == "hang":
        _hang()
    if body.to == "stubborn":
        with suppress(Exception):
            _hang()
    if body.to == "nobody":
        raise RuntimeError("password=hunter22 is wrong")
    log.info("taken: %s", body.id)
    return body


@api.get("/echo/{path+}", public=True)
def echo(request: Request, path: str) -> dict[str, Any]:
    """What came."""
    return {"path": request.path, "query": request.query, "headers": dict(request.headers), "remote": request.remote}


@api.get("/seen", public=True)
def seen(name: str) -> str:
    """Who was here before."""
    before = _last.get()
    _last.set(name)
    return before


@api.put("/labels/{id}", public=True)
def label(id: str, body: bytes, content_type: Annotated[str, Header("content-type")]) -> Reply[bytes]:
    """The body again."""
    return Reply(body, headers={"content-type": content_type, "x-id": id})


@api.get("/large", public=True)
def large(size: int) -> str:
    """An answer of some size."""
    return "x" * size


@api.get("/mine", roles=["staff"])
def mine(caller: Caller) -> dict[str, Any]:
    """Who calls."""
    return {"id": caller.id, "username": caller.username, "roles": sorted(caller.roles), "claims": caller.claims}


@guarded_api.get("/guarded", roles=["staff"])
def guarded(caller: Caller) -> dict[str, Any]:
    """Who calls, with a key."""
    return {"id": caller.id, "username": caller.username, "claims": caller.claims}


@arrivals.consumer()
def arrive(parcel: Parcel) -> None:
    """Notes a parcel."""
    if parcel.to == "hang":
        _hang()
    if parcel.to == "nobody":
        raise ValueError("nobody lives there")
    log.info("%s", parcel.id)


@moves.consumer()
def move(parcel: Parcel) -> None:
    """Moves a parcel."""
    if parcel.to == "nobody":
        raise ValueError("nobody lives there")
    log.info("%s", parcel.id)


@nightly.task(timeout=timedelta(seconds=30))
def report(tick: Tick) -> None:
    """Reports."""
    if tick.id == "bad":
        raise ValueError("there is nothing to report")
    log.info("%s at %s, attempt %d", tick.id, tick.scheduled_at, tick.attempt)
