"""The design that presenter takes up, as its own Terraform has it, to be priced by the same table.

github.com/danielbojczuk/GenerateAndPresentData: a REST API with a Lambda authorizer, whose answers API Gateway
remembers for five minutes (the default); functions of 128 MB on x86_64 in one private subnet, with an interface
endpoint for SQS; a persister that puts the first message of each delivery; five alarms; X-Ray on the API; a function
that writes each request to its log. What is not known is taken in the design's favour: the authorizer never runs, a
function's own work takes half of what Windlass's does, and the table is paid by request, though it has one unit of
provisioned throughput, which more than one write a second would exceed.
"""

from __future__ import annotations

from dataclasses import dataclass

from windlass import Caller, Request, System
from windlass.synth.flow import Deployment
from windlass.synth.recording import Call, Recorded, Recording, Sample

__all__ = ["DEPLOYED", "recording_beside", "seed"]

DEPLOYED = Deployment(
    memory=128,
    architecture="x86_64",
    rest_api=True,
    batches=False,
    authorizer_cached=True,
    endpoints=1,
    idle_pollers=2,
    tracing="requests",
)
_EVENT_BYTES = 2000
"""Of a REST API's event: the example in AWS's documentation has 2,700 bytes as JSON.
https://docs.aws.amazon.com/apigateway/latest/developerguide/set-up-lambda-proxy-integrations.html"""

_ONE_BY_ONE = {"SendMessageBatch": "SendMessage", "BatchWriteItem": "PutItem"}

seed = System("seed")
seed.alarms(defaults=False)


@dataclass(frozen=True, slots=True)
class Data:
    userId: str  # noqa: N815
    timestamp: int
    informationOne: str  # noqa: N815
    informationTwo: str  # noqa: N815


queue = seed.queue("queue", Data)
table = seed.table("table", Data, key="userId", sort="timestamp")


@seed.authorizer()
def authorize(request: Request) -> Caller:
    """Who calls."""
    return Caller(request.headers["authorization"])


api = seed.api("api", auth=authorize)


@api.post("/data", uses=[queue.send])
def generate(body: Data) -> None:
    """Takes data."""
    queue.send(body)


@api.get("/data", uses=[table.query])
def present(caller: Caller) -> list[Data]:
    """Shows a user's data."""
    return list(table.query(caller.id).items)


@queue.consumer(uses=[table.put], batch=1)
def persist(data: Data) -> None:
    """Stores one."""
    table.put(data)


for number in range(5):
    seed.alarm(f"errors_{number}", metric=f"errors_{number}", statistic="sum", above=0)


def recording_beside(other: Recording) -> Recording:
    """What the design calls for the requests that `other`, presenter's recording, was made of."""

    def one(name: str, log: float = 0.0) -> Recorded:
        sample = other.handlers[name].sample(1)
        calls = [
            Call(
                service=call.service,
                operation=_ONE_BY_ONE.get(call.operation, call.operation),
                resource={"data": "queue", "information": "table"}[call.resource],
                count=call.count,
                items=call.items,
                bytes=call.bytes,
            )
            for call in sample.calls
        ]
        answer = sample.answer_bytes
        return Recorded(
            samples=[Sample(own_ms=sample.own_ms / 2, log_bytes=log, answer_bytes=answer, calls=calls)],
        )

    return Recording(
        system="seed",
        made_on="its code",
        handlers={
            "authorize": Recorded(samples=[Sample(own_ms=0.0)]),
            "generate": one("take", _EVENT_BYTES),
            "present": one("show"),
            "persist": one("persist"),
        },
    )
