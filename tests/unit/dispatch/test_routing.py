"""Routing, against a plain search through all routes."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from windlass.dispatch.routing import Router
from windlass.errors import BadRequest, MethodNotAllowed, NotFound

Declared = tuple[str, str]

PARTS = st.sampled_from(["a", "b", "{x}", "{y}"])
PATHS = st.builds(
    lambda parts, greedy: "/" + "/".join([*parts, *(["{rest+}"] if greedy else [])]),
    st.lists(PARTS, max_size=3, unique_by=lambda part: part if part[0] == "{" else object()),
    st.booleans(),
)
REQUESTS = st.lists(st.sampled_from(["a", "b", "c", ""]), min_size=1, max_size=4).map(
    lambda parts: "/" + "/".join(parts)
)


def shape(path: str) -> str:
    return path.replace("{y}", "{x}")


ROUTES = st.lists(
    st.tuples(st.sampled_from(["GET", "POST"]), PATHS), max_size=8, unique_by=lambda route: (route[0], shape(route[1]))
)


def matched(path: str, request: str) -> tuple[list[int], list[str]] | None:
    """How literal the match of each part is (0: the most), and the values; None when there is no match."""
    ranks: list[int] = []
    values: list[str] = []
    asked = request.split("/")[1:]
    for part in path.split("/")[1:]:
        if part.endswith("+}"):
            return ([*ranks, 2], [*values, "/".join(asked)]) if asked else None
        if not asked:
            return None
        value = asked.pop(0)
        if part.startswith("{"):
            ranks.append(1)
            values.append(value)
        elif part == value:
            ranks.append(0)
        else:
            return None
    return None if asked else (ranks, values)


@given(routes=ROUTES, method=st.sampled_from(["GET", "POST", "PUT"]), request=REQUESTS)
def test_the_most_literal_route_serves(routes: Sequence[Declared], method: str, request: str) -> None:
    router = Router((m, path, (m, path)) for m, path in routes)
    found = [(ranks_values, route) for route in routes if (ranks_values := matched(route[1], request)) is not None]
    methods = sorted({route[0] for _, route in found})
    assert router.allowed(request) == methods
    mine = sorted((entry for entry in found if entry[1][0] == method), key=lambda entry: entry[0][0])
    if not found:
        with pytest.raises(NotFound):
            router.find(method, request)
    elif not mine:
        with pytest.raises(MethodNotAllowed) as raised:
            router.find(method, request)
        assert list(raised.value.allow) == methods
    else:
        (_, values), route = mine[0]
        if not all(values):
            with pytest.raises(BadRequest):
                router.find(method, request)
        else:
            served, named = router.find(method, request)
            assert served == route
            assert list(named.values()) == values


def test_values_go_by_the_names_of_their_route() -> None:
    router = Router([("GET", "/a/{x}/b/{y}", 1), ("POST", "/a/{y}/b/{z+}", 2), ("GET", "/a/{x}/b/c", 3)])
    assert router.find("GET", "/a/1/b/2") == (1, {"x": "1", "y": "2"})
    assert router.find("POST", "/a/1/b/2/3") == (2, {"y": "1", "z": "2/3"})
    assert router.find("GET", "/a/1/b/c") == (3, {"x": "1"})


def test_an_empty_value_is_named() -> None:
    router = Router([("GET", "/a/{x}/{y}", 1)])
    with pytest.raises(BadRequest) as raised:
        router.find("GET", "/a/1/")
    assert raised.value.errors[0].field == "path.y"


def test_a_long_path_is_no_burden() -> None:
    router = Router([("GET", "/{a}/{b}/x", 1), ("GET", "/{rest+}", 2)])
    path = "/x" * 50_000
    assert router.find("GET", path) == (2, {"rest": path[1:]})
