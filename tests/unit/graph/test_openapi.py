"""The OpenAPI document: valid, complete, and the same each time."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Annotated, Any

import msgspec
import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator, validate

from windlass.errors import GraphError
from windlass.graph.openapi import openapi
from windlass.model.api import Reply
from windlass.model.signature import Header
from windlass.model.system import System
from windlass.ports.api import Caller, Request


@dataclass
class Problem:
    """A user's type with the name of one of ours."""

    id: str


@pytest.fixture(scope="module")
def described(orders: System) -> dict[str, Any]:
    return openapi(orders)


def references(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        if isinstance(value.get("$ref"), str):
            yield value["$ref"]
        for part in value.values():
            yield from references(part)
    elif isinstance(value, list):
        for part in value:
            yield from references(part)


def resolved(document: Any, reference: str) -> Any:
    for part in reference.removeprefix("#/").split("/"):
        document = document[part]
    return document


def assert_sound(document: dict[str, Any]) -> None:
    validate(document, cls=OpenAPIV31SpecValidator)
    assert msgspec.json.decode(msgspec.json.encode(document)) == document
    for reference in references(document):
        assert resolved(document, reference)


def test_the_document_is_valid(described: dict[str, Any]) -> None:
    assert_sound(described)
    assert described["openapi"] == "3.1.0"
    assert described["info"] == {
        "title": "Orders",
        "version": "1",
        "description": "Takes orders, has them paid, tells the customer.",
    }
    assert described["servers"] == [{"url": "/orders"}]
    assert described["tags"] == [{"name": "api"}]


def test_every_route_is_an_operation(described: dict[str, Any]) -> None:
    assert {
        (method.upper(), path): operation["operationId"]
        for path, item in described["paths"].items()
        for method, operation in item.items()
    } == {
        ("POST", "/tokens"): "sign_in",
        ("POST", "/orders"): "place",
        ("GET", "/orders"): "mine",
        ("GET", "/orders/{id}"): "one",
        ("DELETE", "/orders/{id}"): "cancel",
        ("GET", "/days/{day}"): "by_day",
    }


def test_an_operation_with_a_body(described: dict[str, Any]) -> None:
    place = described["paths"]["/orders"]["post"]
    assert (place["summary"], place["description"]) == (
        "Places an order.",
        "The payment follows: its state says how far it is.",
    )
    assert place["requestBody"] == {
        "required": True,
        "content": {"application/json": {"schema": {"$ref": "#/components/schemas/NewOrder"}}},
    }
    assert [parameter["name"] for parameter in place["parameters"]] == ["Idempotency-Key"]
    assert place["security"] == [{"users": []}]
    assert list(place["responses"]) == [*("201", "400", "401", "409", "413", "415", "422", "429", "500", "503", "504")]
    assert place["responses"]["201"]["content"]["application/json"]["schema"] == {"$ref": "#/components/schemas/Order"}
    assert place["responses"]["429"] == {"$ref": "#/components/responses/TooManyRequests"}


def test_parameters_say_where_they_are_sent_and_what_they_may_be(described: dict[str, Any]) -> None:
    assert described["paths"]["/orders"]["get"]["parameters"] == [
        {
            "name": "limit",
            "in": "query",
            "required": False,
            "description": "How many at most.",
            "schema": {"type": "integer", "minimum": 1, "maximum": 100, "default": 20},
        },
        {"name": "after", "in": "query", "required": False, "schema": {"type": "string"}},
        {
            "name": "state",
            "in": "query",
            "required": False,
            "schema": {"type": "array", "items": {"enum": ["new", "paid", "sent"]}},
        },
    ]
    assert described["paths"]["/orders/{id}"]["get"]["parameters"] == [
        {"name": "id", "in": "path", "required": True, "schema": {"type": "string"}},
        {"name": "if-none-match", "in": "header", "required": False, "schema": {"type": "string"}},
    ]


def test_public_and_restricted_operations(described: dict[str, Any]) -> None:
    assert described["paths"]["/tokens"]["post"]["security"] == []
    assert {"401", "429"} < set(described["paths"]["/tokens"]["post"]["responses"])
    by_day = described["paths"]["/days/{day}"]["get"]
    assert by_day["security"] == [{"users": ["admin", "clerk"]}]
    assert by_day["description"] == "Needs one of the roles: admin, clerk."
    assert {"403", "404"} < set(by_day["responses"])
    assert described["components"]["securitySchemes"] == {
        "users": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}
    }


def test_an_answer_without_content(described: dict[str, Any]) -> None:
    assert described["paths"]["/orders/{id}"]["delete"]["responses"]["204"] == {"description": "No Content"}


def test_schemas_are_named_for_their_types(described: dict[str, Any]) -> None:
    components = described["components"]["schemas"]
    assert list(components) == [
        *("Credentials", "FieldProblem", "Line", "NewOrder", "Order", "Page_Order", "Problem", "Tokens")
    ]
    assert components["Order"]["properties"]["placed_at"] == {"type": "string", "format": "date-time"}


def test_servers_and_issuers_may_be_given(orders: System) -> None:
    document = openapi(
        orders, servers=["https://api.example.com"], version="7", issuers={"users": "https://id.example.com/pool/"}
    )
    assert_sound(document)
    assert document["servers"] == [{"url": "https://api.example.com"}]
    assert document["info"]["version"] == "7"
    assert document["components"]["securitySchemes"]["users"] == {
        "type": "openIdConnect",
        "openIdConnectUrl": "https://id.example.com/pool/.well-known/openid-configuration",
    }


def test_an_authorizer_takes_a_bearer_token() -> None:
    system = System("guarded")

    @system.authorizer()
    def guard(request: Request) -> Caller:
        """Knows the partners' keys."""
        return Caller("1")

    api = system.api("api", auth=guard)

    @api.get("/a")
    def read(caller: Caller) -> None: ...

    document = openapi(system)
    assert_sound(document)
    assert document["components"]["securitySchemes"] == {
        "guard": {"type": "http", "scheme": "bearer", "description": "Knows the partners' keys."}
    }
    assert "403" in document["paths"]["/a"]["get"]["responses"]


def test_what_is_neither_json_nor_plain() -> None:
    system = System("files")
    first, second = system.api("first", description="Files."), system.api("second")

    @first.put("/files/{path+}", idempotent=timedelta(hours=1))
    def store(path: str, body: bytes, idempotency_key: Annotated[str, Header("Idempotency-Key")]) -> Reply[bytes]:
        raise NotImplementedError

    @second.get("/untyped", status=202)
    def untyped(since: date = date(2024, 6, 12), request: Request | None = None):  # type: ignore[no-untyped-def]
        return None

    document = openapi(system, version="2")
    assert_sound(document)
    assert document["tags"] == [{"name": "first", "description": "Files."}, {"name": "second"}]
    put = document["paths"]["/files/{path}"]["put"]
    assert put["summary"] == "Store"
    assert put["requestBody"] == {"required": False, "content": {"application/octet-stream": {}}}
    assert put["parameters"][0]["description"] == "It may hold slashes."
    assert put["parameters"][0]["x-windlass-greedy"] is True
    assert [parameter["name"] for parameter in put["parameters"]] == ["path", "idempotency-key"]
    assert put["responses"]["200"]["content"] == {"application/octet-stream": {}}
    assert "security" not in put
    read = document["paths"]["/untyped"]["get"]
    assert read["parameters"][0]["schema"] == {"type": "string", "format": "date", "default": "2024-06-12"}
    assert read["responses"]["202"]["content"] == {"application/json": {"schema": {}}}


def test_types_of_one_name_stay_apart() -> None:
    system = System("names")
    api = system.api("api")

    @api.post("/a")
    def write(body: Problem) -> dict[str, list[datetime | None]]:
        raise NotImplementedError

    document = openapi(system)
    assert_sound(document)
    names = list(document["components"]["schemas"])
    assert names[0] == "FieldProblem"
    assert sorted(name.rsplit(".", 1)[1] for name in names[1:]) == ["Problem", "Problem"]
    answer = document["paths"]["/a"]["post"]["responses"]["200"]["content"]["application/json"]["schema"]
    times = answer["additionalProperties"]["items"]["anyOf"]
    assert {"type": "string", "format": "date-time"} in times


def test_a_faulty_system_is_not_described() -> None:
    system = System("faulty")
    system.schedule("nightly", cron="0 3 * * ? *")
    with pytest.raises(GraphError):
        openapi(system)
