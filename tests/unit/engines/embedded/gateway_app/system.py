"""A system whose handlers misbehave, for the gateway's tests."""

import threading
from dataclasses import dataclass
from datetime import timedelta

from windlass import Conflict, Reply, Request, System

app = System("app")


@dataclass
class Note:
    id: str
    text: str = ""


@dataclass
class Job:
    text: str


notes = app.table("notes", Note, key="id")
jobs = app.queue("jobs", Job)
api = app.api("api", cors=["https://page.example"], max_body=64 * 1024)


@api.get("/fast")
def fast() -> dict[str, str]:
    """Answers at once."""
    return {"fast": "yes"}


@api.get("/asked")
def asked(request: Request) -> dict[str, str]:
    """The request's headers."""
    return dict(request.headers)


@api.get("/hang", timeout=timedelta(seconds=1), uses=[notes.put])
def hang() -> None:
    """Never answers by itself; what it does after its deadline is refused."""
    threading.Event().wait(3)
    notes.put(Note("late"))


@api.get("/slow")
def slow() -> dict[str, str]:
    """Takes a second."""
    threading.Event().wait(1)
    return {"slow": "yes"}


@api.get("/wrote-then-slow/{id}", uses=[notes.put])
def wrote_then_slow(id: str) -> None:
    """Writes, and then works on for two seconds."""
    notes.put(Note(id))
    threading.Event().wait(2)


@api.get("/slow-then-wrote/{id}", uses=[notes.put])
def slow_then_wrote(id: str) -> None:
    """Writes a while after its beginning, and then works on for three seconds."""
    threading.Event().wait(0.1)
    notes.put(Note(id))
    threading.Event().wait(3)


@api.get("/interrupt")
def interrupt() -> None:
    """Raises what no handler should."""
    raise KeyboardInterrupt


@api.get("/no-status")
def no_status() -> Reply[None]:
    """Answers with a number that is no status."""
    return Reply(None, 9999)


@api.get("/boom")
def boom() -> None:
    """Fails."""
    raise RuntimeError("the internal detail 4711")


@api.put("/notes/{id}", status=201, uses=[notes.put])
def write(id: str, body: Note) -> Note:
    """Stores a note once."""
    return notes.put(Note(id, body.text), if_absent=True)


@api.get("/notes/{id}", uses=[notes.get])
def read(id: str) -> Note:
    """Reads a note."""
    found = notes.get(id)
    if found is None:
        raise Conflict("not yet")
    return found


@api.get("/path/{name}")
def path(name: str) -> dict[str, str]:
    """Answers what it was given."""
    return {"name": name}


@api.post("/jobs", status=202, uses=[jobs.send])
def enqueue(body: Job) -> None:
    """Sends a job to the queue."""
    jobs.send(body)


@jobs.consumer(uses=[notes.put])
def work(job: Job) -> None:
    """Makes a note of each job."""
    notes.put(Note(job.text, "done"))


@api.get("/header")
def header() -> Reply[dict[str, str]]:
    """Answers with a header of its own."""
    return Reply({}, headers={"x-own": "1"})


@api.post("/raw")
def raw(body: bytes) -> dict[str, int]:
    """Answers how many bytes it was sent."""
    return {"bytes": len(body)}
