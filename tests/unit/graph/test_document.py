"""What the document of a system says, byte for byte the same each time."""

import os
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from windlass.errors import GraphError, InvalidState
from windlass.graph.build import build
from windlass.graph.document import Document, Edge, GrantNode, HandlerNode, RouteNode, ThrottleNode, Trigger
from windlass.graph.grants import edges, grants
from windlass.model.resource import Resource
from windlass.model.system import System
from windlass.ports.api import Caller, Request


def settings(document: Document, name: str) -> dict[str, object]:
    return next(resource.settings for resource in document.resources if resource.name == name)


def test_resources_and_handlers_stand_in_the_order_of_their_declaration(document: Document) -> None:
    assert [(resource.name, resource.noun) for resource in document.resources] == [
        ("users", "user_pool"),
        ("placed", "table"),
        ("customers", "table"),
        ("counters", "table"),
        ("payments", "queue"),
        ("notices", "queue"),
        ("nightly", "schedule"),
        ("mail", "mailer"),
        ("bank_key", "secret"),
        ("api", "api"),
    ]
    assert [handler.name for handler in document.handlers] == [
        "sign_in",
        "place",
        "mine",
        "one",
        "cancel",
        "by_day",
        "pay",
        "notify",
        "summary",
    ]


def test_a_handler_says_where_it_is_and_what_it_may_do(document: Document) -> None:
    assert document.handlers[1] == HandlerNode(
        name="place",
        module="orders.handlers",
        qualname="place",
        trigger=Trigger("route", "api", "POST /orders"),
        grants=[GrantNode("payments", "send"), GrantNode("placed", "put")],
        timeout=10.0,
        doc="Places an order.",
    )
    triggers = {handler.name: handler.trigger for handler in document.handlers}
    assert triggers["pay"] == Trigger("queue", "payments")
    assert triggers["summary"] == Trigger("schedule", "nightly", "0 3 * * ? * (Europe/Madrid)")


def test_routes_are_listed_under_their_api(document: Document) -> None:
    api = document.resources[-1]
    assert api.settings == {
        "title": "Orders",
        "description": "",
        "auth": {"user_pool": "users"},
        "cors": ["https://shop.example.com"],
        "throttle": {"rate": 100.0, "burst": 100},
        "throttle_per_caller": None,
        "max_body": 1048576,
    }
    assert api.routes[1] == RouteNode(
        method="POST",
        path="/orders",
        handler="place",
        status=201,
        public=False,
        roles=[],
        max_body=1048576,
        throttle=ThrottleNode(100.0, 100),
        idempotent=3600.0,
    )
    assert api.routes[-1].roles == ["admin", "clerk"]


def test_settings_are_json_with_durations_in_seconds(document: Document) -> None:
    table = settings(document, "placed")
    assert table | {"schema": None} == {
        "key": "customer",
        "sort": "id",
        "indexes": {"by_day": {"key": "day", "sort": "id", "fields": None}},
        "ttl": "expires",
        "version": "version",
        "schema": None,
    }
    schema = table["schema"]
    assert isinstance(schema, dict)
    assert list(schema["$defs"]["Order"]["properties"])[:2] == ["customer", "id"]
    queue = settings(document, "payments")
    assert queue["visibility"] == 120.0
    assert queue["consumers"] == [
        {"handler": "pay", "batch": 10, "window": 0.0, "concurrency": 2, "allow_cycle": False}
    ]
    assert settings(document, "nightly")["cron"] == "0 3 * * ? *"
    assert settings(document, "mail") == {"sender": "shop@example.com", "templates": {}}
    assert settings(document, "bank_key") == {"generate": None}


def test_edges_follow_triggers_and_grants(orders: System) -> None:
    found = edges(orders)
    assert found == sorted(found)
    assert Edge("resource:api", "handler:cancel", "triggers", ("DELETE /orders/{id}",)) in found
    assert Edge("resource:payments", "handler:pay", "triggers", ("receive",)) in found
    assert Edge("resource:nightly", "handler:summary", "triggers", ("tick",)) in found
    assert Edge("handler:by_day", "resource:placed", "uses", ("by_day.query",)) in found
    assert Edge("resource:api", "resource:users", "uses", ("verify",)) in found


def test_grants_are_what_an_invocation_takes(orders: System) -> None:
    assert grants(orders)["by_day"] == frozenset({("placed/by_day", "query"), ("counters", "get")})


def test_an_authorizer_is_triggered_by_its_api() -> None:
    system = System("guarded")

    @system.authorizer()
    def guard(request: Request) -> Caller:
        return Caller("1")

    @system.authorizer()
    def spare(request: Request) -> Caller:
        return Caller("1")

    system.api("api", auth=guard)
    document = build(system)
    assert [handler.trigger for handler in document.handlers] == [
        Trigger("authorizer", "api"),
        Trigger("authorizer", None),
    ]
    assert document.resources[0].settings["auth"] == {"authorizer": "guard"}
    assert document.edges == [Edge("resource:api", "handler:guard", "triggers", ("authorize",))]


def test_a_faulty_system_has_no_document() -> None:
    system = System("faulty")
    system.schedule("nightly", cron="0 3 * * ? *")
    with pytest.raises(GraphError, match="nothing happens when this schedule fires"):
        build(system)


def test_a_noun_without_settings_is_noticed() -> None:
    class Unknown(Resource):
        noun = "unknown"

    system = System("new")
    system.resources["thing"] = Unknown(system, "thing")
    with pytest.raises(TypeError, match="the document has no settings for the noun 'unknown'"):
        build(system)


def test_what_is_encoded_is_decoded(document: Document) -> None:
    data = document.encode()
    assert Document.decode(data) == document
    assert Document.decode(data).encode() == data
    assert data.startswith(b'{\n  "version": 1,\n  "system": "orders",')
    assert data.endswith(b"}\n")


@pytest.mark.parametrize("seed", ["1", "2"])
def test_the_bytes_do_not_depend_on_the_process(document: Document, seed: str) -> None:
    code = (
        "import sys; from pathlib import Path; from windlass.graph.load import load; "
        "from windlass.graph.build import build; "
        "sys.stdout.buffer.write(build(load(Path(sys.argv[1]))).encode())"
    )
    run = subprocess.run(
        [sys.executable, "-c", code, str(Path(__file__).parent / "orders")],
        env={**os.environ, "PYTHONHASHSEED": seed},
        capture_output=True,
        check=True,
    )
    assert run.stdout == document.encode()


def test_a_document_of_another_version_is_refused(document: Document) -> None:
    data = msgspec.json.encode(msgspec.structs.replace(document, version=2))
    with pytest.raises(InvalidState) as caught:
        Document.decode(data)
    assert str(caught.value) == (
        "the document has version 2, and this Windlass reads version 1\n"
        "  fix: make it again with the Windlass that reads it: windlass graph --json"
    )


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"[]", "this is not the document of a system: Expected `object`, got `array`"),
        (b"{", "this is not the document of a system: Input data was truncated"),
        (b'{"version": 1}', "the document of a system is damaged: Object missing required field `system`"),
    ],
    ids=["array", "torn", "fields"],
)
def test_what_is_no_document_is_refused(data: bytes, said: str) -> None:
    with pytest.raises(InvalidState) as caught:
        Document.decode(data)
    assert str(caught.value) == said
