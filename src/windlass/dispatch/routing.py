"""Which route a method and path mean. A literal segment wins over a parameter, and that over a greedy one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Generic, TypeVar

from windlass.errors import BadRequest, MethodNotAllowed, NotFound

__all__ = ["Router"]

R = TypeVar("R")
_EMPTY: Mapping[str, str] = {}


class _Node(Generic[R]):
    __slots__ = ("children", "greedy", "parameter", "routes")

    def __init__(self) -> None:
        self.children: dict[str, _Node[R]] = {}
        self.parameter: _Node[R] | None = None
        self.greedy: dict[str, tuple[R, tuple[str, ...]]] = {}
        self.routes: dict[str, tuple[R, tuple[str, ...]]] = {}


class Router(Generic[R]):
    """Finds what was put in under `(method, path)`."""

    def __init__(self, routes: Iterable[tuple[str, str, R]]) -> None:
        self._exact: dict[str, dict[str, R]] = {}
        self._root: _Node[R] = _Node()
        for method, path, route in routes:
            if "{" in path:
                self._add(method, path, route)
            else:
                self._exact.setdefault(path, {})[method] = route

    def _add(self, method: str, path: str, route: R) -> None:
        node = self._root
        names: list[str] = []
        for part in path.split("/")[1:]:
            if part.endswith("+}"):
                node.greedy[method] = (route, (*names, part[1:-2]))
                return
            if part.startswith("{"):
                names.append(part[1:-1])
                node.parameter = node.parameter or _Node()
                node = node.parameter
            else:
                node = node.children.setdefault(part, _Node())
        node.routes[method] = (route, tuple(names))

    def find(self, method: str, path: str) -> tuple[R, Mapping[str, str]]:
        """The route and the values of the path's parameters. Raises NotFound, MethodNotAllowed, and BadRequest
        for a value that is empty."""
        methods = self._exact.get(path)
        if methods is not None and method in methods:
            return methods[method], _EMPTY
        allowed = set(methods or ())
        for found, values in self._walk(self._root, path.split("/")[1:], ()):
            if method in found:
                route, names = found[method]
                if not all(values):
                    raise BadRequest("a part of the path is empty", field=f"path.{names[values.index('')]}")
                return route, dict(zip(names, values, strict=True))
            allowed |= set(found)
        if allowed:
            raise MethodNotAllowed(f"{method} is not offered here", sorted(allowed))
        raise NotFound("there is nothing at this path")

    def allowed(self, path: str) -> list[str]:
        """The methods that are offered at `path`; none when it is unknown."""
        found = set(self._exact.get(path, ()))
        for methods, _ in self._walk(self._root, path.split("/")[1:], ()):
            found |= set(methods)
        return sorted(found)

    def _walk(
        self, node: _Node[R], parts: list[str], values: tuple[str, ...]
    ) -> Iterable[tuple[dict[str, tuple[R, tuple[str, ...]]], tuple[str, ...]]]:
        if not parts:
            if node.routes:
                yield node.routes, values
            return
        if (child := node.children.get(parts[0])) is not None:
            yield from self._walk(child, parts[1:], values)
        if node.parameter is not None:
            yield from self._walk(node.parameter, parts[1:], (*values, parts[0]))
        if node.greedy:
            yield node.greedy, (*values, "/".join(parts))
