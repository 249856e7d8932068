"""The measured queue over HTTP: how long a lone message takes from being sent until its handler begins.

Processes of one machine share `time.monotonic`, so the sender's moment can be compared with the handler's.
"""

import time

import msgspec

from windlass import Page, System, new_id

jobs = System("jobs")


class Job(msgspec.Struct):
    sent: float


class Latency(msgspec.Struct):
    of: str
    id: str
    seconds: float


queue = jobs.queue("queue", Job)
latencies = jobs.table("latencies", Latency, key="of", sort="id")
api = jobs.api("api")


@api.post("/jobs", status=202, uses=[queue.send])
def send() -> dict[str, str]:
    """Send a message, which is committed before the answer."""
    return {"id": queue.send(Job(time.monotonic()))}


@queue.consumer(uses=[latencies.put])
def handle(job: Job) -> None:
    """Note how long it took."""
    seconds = time.monotonic() - job.sent
    latencies.put(Latency("handler", new_id(), seconds))


@api.get("/latencies", uses=[latencies.query])
def show(after: str | None = None) -> Page[Latency]:
    """What was noted."""
    return latencies.query("handler", limit=1000, after=after)
