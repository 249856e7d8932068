"""The faults that only a whole system has, and how they read."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest

from windlass.errors import GraphError
from windlass.graph.check import check
from windlass.model.index import Index
from windlass.model.queue import Batch, Message
from windlass.model.system import System
from windlass.ports.api import Caller, Request
from windlass.ports.schedule import Tick


@dataclass
class Job:
    id: str


@dataclass
class Other:
    id: str


@dataclass
class Parcel:
    id: str
    day: str | None = "today"
    rank: int | None = None
    place: str = "here"


class Opaque:
    """A class that JSON knows nothing of."""


@dataclass
class Holder:
    id: str
    inner: Opaque


def faults(system: System) -> list[str]:
    with pytest.raises(GraphError) as caught:
        check(system)
    assert str(caught.value) == "\n".join(str(fault) for fault in caught.value.faults)
    return [str(fault) for fault in caught.value.faults]


def shop() -> System:
    return System("shop")


def test_a_sound_system_has_no_faults() -> None:
    system = shop()
    users = system.user_pool("users", groups=["admin"])
    items = system.table("items", Job, key="id", indexes={"by_id": Index("id")})
    jobs = system.queue("jobs", Job)
    api = system.api("api", auth=users)

    @api.post("/items/{id}", roles=["admin"], idempotent=timedelta(hours=1), uses=[items.index("by_id").query])
    def make(id: str, body: Job, caller: Caller, request: Request, tag: list[str] | None = None) -> Job:
        raise NotImplementedError

    @api.get("/items/latest", public=True)
    def latest(caller: Caller | None = None) -> None: ...

    @api.put("/raw", uses=[jobs.send])
    def raw(body: bytes) -> bytes:
        return body

    @jobs.consumer(uses=[items.put])
    def work(job: Job) -> None: ...

    check(system)


def test_all_faults_are_told_at_once() -> None:
    system = shop()
    system.queue("jobs", Job)
    system.schedule("nightly", every=timedelta(days=1))
    assert faults(system) == [
        "shop.jobs: nobody handles the messages of this queue: they would wait until they are dropped\n"
        "  fix: write @jobs.consumer() above a function that takes a Job",
        "shop.nightly: nothing happens when this schedule fires\n"
        "  fix: write @nightly.task() above the function that it should start",
    ]


def test_one_function_with_two_triggers() -> None:
    system = shop()
    api = system.api("api")

    @api.get("/a")
    @api.get("/b")
    def read() -> None: ...

    assert faults(system) == [
        "shop.read: one function is bound to 2 triggers, `api GET /b` and `api GET /a`\n"
        "  fix: write a function for each trigger, and let them call a third that does the work"
    ]


def test_two_functions_of_one_name() -> None:
    system = shop()
    api = system.api("api")

    def named(text: str) -> Any:
        def read() -> None: ...

        read.__doc__ = text
        return read

    api.get("/a")(named("one"))
    api.get("/b")(named("two"))
    assert faults(system) == [
        "shop.read: 2 functions have this name, for `api GET /a` and `api GET /b`\n"
        "  fix: rename all but one: a handler's name is unique in its system"
    ]


def test_grants_of_what_the_system_does_not_have() -> None:
    other = System("other")
    items, users = other.table("items", Job, key="id", indexes={"by_id": Index("id")}), other.user_pool("users")
    system = shop()
    system.table("item", Job, key="id")
    system.secret("users")
    api = system.api("api")

    @api.get("/a", uses=[items.get, items.index("by_id").query, users.sign_in])
    def read() -> None: ...

    assert faults(system) == [
        "shop.read: uses has items.get, and shop declares no 'items'\n"
        "  fix: did you mean 'item'? name a resource of shop; another system's is reached through its api",
        "shop.read: uses has items/by_id.query, and shop declares no 'items/by_id'\n"
        "  fix: name a resource of shop; another system's is reached through its api",
        "shop.read: uses has users.sign_in, and in shop 'users' is a secret, which has no 'sign_in'\n"
        "  fix: it is another system's: name a resource of shop",
    ]


def test_types_that_json_cannot_carry() -> None:
    system = shop()
    system.table("things", Holder, key="id")
    api = system.api("api")

    @api.post("/a")
    def write(body: Holder, plain: Opaque) -> Opaque:
        raise NotImplementedError

    plain_types = "use str, int, float, bool, datetime, UUID, Enum, list, dict, or dataclasses of these"
    unsupported = f"type {Opaque!r} is not supported"
    assert faults(system) == [
        f"shop.things: the item type Holder cannot be written as JSON: {unsupported}\n  fix: {plain_types}",
        f"shop.write (POST /a): 'body' is a Holder, which cannot be read from a request: {unsupported}\n"
        f"  fix: {plain_types}",
        f"shop.write (POST /a): 'plain' is an Opaque, which cannot be read from a request: {unsupported}\n"
        f"  fix: {plain_types}",
        f"shop.write (POST /a): the answer, Opaque, cannot be written as JSON: {unsupported}\n"
        f"  fix: return {plain_types.removeprefix('use ')}",
    ]


def test_a_body_under_another_name() -> None:
    system = shop()
    api = system.api("api")

    @api.post("/a")
    def write(job: Job) -> None: ...

    @api.get("/a")
    def read(job: Job) -> None: ...

    assert faults(system) == [
        "shop.write (POST /a): 'job' comes from the query, and Job is more than one text can hold\n"
        "  fix: call the parameter `body` to take it from the body: body: Job",
        "shop.read (GET /a): 'job' comes from the query, and Job is more than one text can hold\n"
        "  fix: take its parts one by one, as in job: str",
    ]


def test_a_parameter_that_the_signature_refuses() -> None:
    system = shop()
    api = system.api("api")

    @api.get("/a/{id}")
    def read() -> None: ...

    assert faults(system) == [
        "shop.read (GET /a/{id}): the path has {id}, which the function does not take\n  fix: add a parameter `id: str`"
    ]


def test_routes_that_collide() -> None:
    system = shop()
    first, second = system.api("first"), system.api("second")

    @first.get("/a/{id}")
    def one(id: str) -> None: ...

    @second.get("/a/{name}")
    def two(name: str) -> None: ...

    @first.get("/a/latest")
    def literal() -> None: ...

    @first.delete("/a/{id}")
    def other_method(id: str) -> None: ...

    @first.get("/{path+}")
    def rest(path: str) -> None: ...

    assert faults(system) == [
        "shop.two: GET /a/{name} and GET /a/{id} match the same requests\n"
        "  fix: one has that path already: change the path or the method of one of them"
    ]


def test_what_only_a_request_with_a_body_can_have() -> None:
    system = shop()
    api = system.api("api")

    @api.get("/a", max_body=10, idempotent=timedelta(hours=1))
    def read(body: Job) -> None: ...

    assert faults(system) == [
        "shop.read (GET /a): a GET request has no body, and the function takes one\n"
        "  fix: take its parts as query parameters, or declare the route with post, put or patch",
        "shop.read (GET /a): max_body limits a body, and a GET request has none\n  fix: drop max_body=...",
        "shop.read (GET /a): GET is idempotent by itself (RFC 9110, 9.2.2), so no Idempotency-Key is asked for\n"
        "  fix: drop idempotent=...; it is for POST, PUT and PATCH",
    ]


def test_roles_that_nobody_can_have() -> None:
    system = shop()
    users, empty = system.user_pool("users", groups=["admin", "clerk"]), system.user_pool("empty")

    @system.api("api", auth=users).get("/a", roles=["admn", "clerk"])
    def read() -> None: ...

    @system.api("bare", auth=empty).get("/b", roles=["admin"])
    def bare() -> None: ...

    assert faults(system) == [
        "shop.read (GET /a): roles has 'admn', which no user can have: users has only admin, clerk\n"
        "  fix: did you mean 'admin'? Or declare the group: "
        'user_pool("users", groups=["admin", "clerk", "admn"])',
        "shop.bare (GET /b): roles has 'admin', which no user can have: empty has no groups\n"
        '  fix: declare the group: user_pool("empty", groups=["admin"])',
    ]


def test_a_caller_where_there_may_be_none() -> None:
    system = shop()
    users = system.user_pool("users")

    @system.api("api", auth=users).get("/a", public=True)
    def read(caller: Caller) -> None: ...

    @system.api("open").get("/b")
    def anybody(caller: Caller) -> None: ...

    assert faults(system) == [
        "shop.read (GET /a): 'caller' is a Caller, and a public route may have none\n"
        "  fix: write caller: Caller | None = None, or drop public=True",
        "shop.anybody (GET /b): 'caller' is a Caller, and a public route may have none\n"
        "  fix: write caller: Caller | None = None, or give the api auth=...",
    ]


def test_auth_of_another_system() -> None:
    system = shop()
    system.user_pool("users")
    system.api("api", auth=System("other").user_pool("users"))
    assert faults(system) == [
        "shop.api: auth is the user pool other.users, which belongs to another system\n"
        "  fix: declare one here: users = shop.user_pool('users')"
    ]


def test_auth_by_a_function_that_is_no_authorizer() -> None:
    system = shop()

    def guard(request: Request) -> Caller:
        return Caller("1")

    system.api("api", auth=guard)
    assert faults(system) == [
        "shop.api: auth is the function guard, which is not an authorizer of this system\n"
        "  fix: write @shop.authorizer() above def guard, before the api is declared"
    ]


def test_auth_by_a_name() -> None:
    system = shop()
    auth: Any = "users"
    system.api("api", auth=auth)
    assert faults(system) == [
        "shop.api: auth='users' is neither a user pool nor an authorizer\n"
        '  fix: auth=users, with users = shop.user_pool("users") above the api'
    ]


def test_authorizers_of_another_form() -> None:
    system = shop()

    @system.authorizer()
    def guard(token: str) -> Caller:
        return Caller(token)

    @system.authorizer()
    def lenient(request: Request) -> Caller | None: ...

    @system.authorizer()
    def silent(request: Request):  # type: ignore[no-untyped-def]  # it is the fault under test
        return Caller("1")

    @system.authorizer()
    def sound(request: Request) -> Caller:
        return Caller("1")

    system.api("api", auth=sound)
    assert faults(system) == [
        "shop.guard: an authorizer takes one Request, and this one takes token: str\n"
        "  fix: write def guard(request: Request) -> Caller",
        "shop.lenient: an authorizer answers with the Caller, and this one may answer with None\n"
        "  fix: write def lenient(request: Request) -> Caller; raise Unauthorized() for a request that it refuses",
        "shop.silent: an authorizer answers with the Caller, and this one does not say what it answers\n"
        "  fix: write def silent(request: Request) -> Caller; raise Unauthorized() for a request that it refuses",
    ]


def test_two_consumers_of_one_queue() -> None:
    system = shop()
    jobs = system.queue("jobs", Job)

    @jobs.consumer()
    def one(job: Job) -> None: ...

    @jobs.consumer()
    def two(jobs: Batch[Job]) -> None: ...

    assert faults(system) == [
        "shop.jobs: 2 consumers share this queue, one and two: each message would reach only one\n"
        "  fix: declare a queue for each consumer and send to them all, or let one consumer call both functions"
    ]


def test_consumers_of_another_form() -> None:
    def consumed_by(function: Any) -> list[str]:
        system = shop()
        system.queue("jobs", Job).consumer()(function)
        return faults(system)

    def nothing() -> None: ...
    def both(job: Job, other: Other) -> None: ...
    def other(job: Other) -> None: ...
    def other_batch(jobs: Batch[Other]) -> None: ...
    def bare_message(job: Message) -> None: ...  # type: ignore[type-arg]  # it is the fault under test
    def listed(jobs: list[Job]) -> None: ...
    def untyped(job) -> None: ...  # type: ignore[no-untyped-def]  # it is the fault under test

    assert consumed_by(nothing) == [
        "shop.nothing: a consumer takes exactly one parameter, and this one takes none\n"
        "  fix: write def nothing(job: Job) -> None, or take Message[Job] or Batch[Job]"
    ]
    assert consumed_by(both) == [
        "shop.both: a consumer takes exactly one parameter, and this one takes job: Job, other: Other\n"
        "  fix: write def both(job: Job) -> None, or take Message[Job] or Batch[Job]"
    ]
    assert consumed_by(other) == [
        "shop.other: the queue holds Job, and the parameter 'job' is an Other\n"
        "  fix: annotate it as Job, Message[Job] or Batch[Job]"
    ]
    assert consumed_by(other_batch) == [
        "shop.other_batch: the queue holds Job, and the parameter 'jobs' is a Batch[Other]\n"
        "  fix: annotate it as Batch[Job]"
    ]
    assert consumed_by(bare_message) == [
        "shop.bare_message: the queue holds Job, and the parameter 'job' is a Message\n"
        "  fix: annotate it as Message[Job]"
    ]
    assert consumed_by(listed) == [
        "shop.listed: the queue holds Job, and the parameter 'jobs' is a list[Job]\n  fix: annotate it as Batch[Job]"
    ]
    assert consumed_by(untyped) == ["shop.untyped: the parameter 'job' has no type\n  fix: annotate it: job: str"]


def test_tasks_of_another_form() -> None:
    def started(function: Any) -> list[str]:
        system = shop()
        system.schedule("nightly", every=timedelta(days=1)).task()(function)
        return faults(system)

    def name(day: str) -> None: ...
    def more(tick: Tick, day: str) -> None: ...

    assert started(name) == [
        "shop.name: a schedule's function takes nothing or one Tick, and this one takes day: str\n"
        "  fix: write def name() or def name(tick: Tick); read anything else from a resource"
    ]
    assert "this one takes tick: Tick, day: str" in started(more)[0]


def test_a_queue_that_feeds_itself() -> None:
    system = shop()
    jobs = system.queue("jobs", Job)

    @jobs.consumer(uses=[jobs.send])
    def again(job: Job) -> None: ...

    assert faults(system) == [
        "shop.jobs: the queue feeds itself, jobs -> jobs, through again: one message could become a storm\n"
        "  fix: drop the grant to send; or, where the loop surely ends, write @jobs.consumer(..., allow_cycle=True)"
    ]


def test_queues_that_feed_each_other() -> None:
    system = shop()
    jobs, retries = system.queue("jobs", Job), system.queue("retries", Job)

    @jobs.consumer(uses=[retries.send_many])
    def work(job: Job) -> None: ...

    @retries.consumer(uses=[jobs.send])
    def retry(job: Job) -> None: ...

    assert faults(system) == [
        "shop.jobs: the queue feeds itself, jobs -> retries -> jobs, through work and retry: "
        "one message could become a storm\n"
        "  fix: drop the grant to send; or, where the loop surely ends, write @jobs.consumer(..., allow_cycle=True)"
    ]


def test_a_key_of_an_index_that_may_be_none_has_no_other_default() -> None:
    system = shop()
    system.table("parcels", Parcel, key="id", indexes={"by_day": Index("day"), "by_rank": Index("place", sort="rank")})
    (fault,) = faults(system)
    assert fault == (
        "shop.parcels.by_day: 'day' is a key of the index and may be None, but is something else by default: DynamoDB "
        "could not tell the two apart\n  fix: give day the default None, or none at all; or declare it without None"
    )
