"""Declaring an api and its routes: what is refused, and with which words."""

from datetime import timedelta
from typing import Any

import pytest

from windlass import System, Throttle
from windlass.errors import DeclarationError


def see() -> None: ...


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (
            {"cors": ["example.com"]},
            "cors has 'example.com', which is not an origin\n  fix: \"https://app.example.com\"",
        ),
        (
            {"cors": ["https://x/y"]},
            "cors has 'https://x/y', which is not an origin\n  fix: \"https://app.example.com\"",
        ),
        ({"cors": "https://x"}, 'cors is not a list\n  fix: cors=["https://app.example.com"]'),
        ({"throttle": "9/s"}, "throttle='9/s' is not a number\n  fix: throttle=100, which is in requests a second"),
        ({"throttle": 0}, "throttle=0 lets nothing through\n  fix: give a rate above 0"),
        (
            {"throttle_per_caller": Throttle(1, 0)},
            "throttle=Throttle(rate=1, burst=0) lets nothing through\n  fix: give a rate above 0",
        ),
        ({"max_body": 0}, "max_body=0 is out of range\n  fix: give 1 byte to 6 MiB, Lambda's own limit"),
        ({"max_body": 7 << 20}, "max_body=7340032 is out of range\n  fix: give 1 byte to 6 MiB, Lambda's own limit"),
    ],
)
def test_what_is_refused_is_explained(options: dict[str, Any], text: str) -> None:
    with pytest.raises(DeclarationError) as raised:
        System("shop").api("api", **options)
    assert str(raised.value) == f"shop.api: {text}"


NOT_A_PATH = ["a", "", "/a//b", "/a/", "//", "/{a}/{a}", "/{A}", "/{a", "/a b", "/a?b", "/{}", "/x{a}", "/\u00e9"]


@pytest.mark.parametrize("path", NOT_A_PATH)
def test_what_is_not_a_path_is_refused(path: str) -> None:
    with pytest.raises(DeclarationError, match="is not a path"):
        System("shop").api("api").get(path)(see)


@pytest.mark.parametrize("path", ["/", "/a", "/a/b.json", "/~a_b-c", "/{id}", "/{id}/x/{rest+}", "/{a}/{b}"])
def test_what_is_a_path_is_taken(path: str) -> None:
    api = System("shop").api("api")
    api.get(path)(see)
    assert api.routes[0].path == path


@pytest.mark.parametrize(
    ("route", "text"),
    [
        ({"method": "HEAD"}, "'HEAD' is not a method\n  fix: use one of GET, POST, PUT, PATCH, DELETE"),
        (
            {"path": "/{a+}/b"},
            'only the last part of a path can be greedy\n  fix: "/files/{path+}"',
        ),
        ({"path": "/_x"}, "paths that begin with /_ are the engine's own\n  fix: rename it"),
        ({"status": 404}, "status=404 is not a success\n  fix: raise NotFound() and the like for other answers"),
        ({"roles": ["x"]}, "roles need to know the caller\n  fix: give the api auth=..."),
        ({"public": True, "roles": ["x"]}, "a public route has no caller to have roles\n  fix: drop one"),
        ({"max_body": 0}, "max_body=0 is out of range\n  fix: give 1 byte to 6 MiB, Lambda's own limit"),
        ({"idempotent": timedelta(seconds=59)}, "idempotent is out of range\n  fix: give 1 minute to 7 days"),
        (
            {"idempotent": True},
            "idempotent=True is not a timedelta\n"
            "  fix: say of what: idempotent=timedelta(seconds=...), or minutes=, from datetime",
        ),
        ({"roles": "staff"}, 'roles is not a list\n  fix: roles=["staff"]'),
        ({"throttle": -1}, "throttle=-1 lets nothing through\n  fix: give a rate above 0"),
    ],
)
def test_what_a_route_may_not_is_explained(route: dict[str, Any], text: str) -> None:
    settings: dict[str, Any] = {"method": "POST", "path": "/a", **route}
    with pytest.raises(DeclarationError) as raised:
        System("shop").api("api").route(**settings)(see)
    assert str(raised.value) == f"shop.api {settings['method']} {settings['path']}: {text}"


def test_a_decorator_without_its_path_is_refused() -> None:
    declare: Any = System("shop").api("api").get
    with pytest.raises(DeclarationError) as raised:
        declare(see)
    assert str(raised.value) == (
        "shop.api: GET has 'see' where its path should be\n"
        '  fix: write the path above the function: @api.get("/todos")'
    )


def test_a_route_ends_within_29_seconds() -> None:
    with pytest.raises(DeclarationError) as raised:
        System("shop").api("api").get("/a", timeout=timedelta(seconds=30))(see)
    assert str(raised.value) == (
        "shop.see: timeout=0:00:30 is out of range\n  fix: give more than 0 and at most 0:00:29"
    )


def test_a_rate_is_a_throttle() -> None:
    api = System("shop").api("api", throttle=0.5, throttle_per_caller=20)
    api.get("/a")(see)
    api.post("/a", throttle=Throttle(1, 5))(see)
    first, second = api.routes
    assert (first.throttle, first.throttle_per_caller) == (Throttle(0.5, 1), Throttle(20.0, 20))
    assert (second.throttle, second.throttle_per_caller) == (Throttle(1, 5), Throttle(20.0, 20))
