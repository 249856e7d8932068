"""What Python source imports, read and not run: so that a bundle holds what its functions need, and nothing else.

Imports inside functions count, since a function imports late what it seldom needs. Of some modules they count only
where the function is reached from given ones, by the names that its code mentions: a class with twenty methods of which
a system calls two needs what these two import. A name does not say whose it is, so this errs on the side of too much.
"""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass

__all__ = ["Import", "Source", "Trace", "module_name", "read", "trace"]


@dataclass(frozen=True, slots=True)
class Import:
    """`name` is a module, or something in one (`a.b.c` for `from a.b import c`). `within` is the function that imports
    it, None for the module itself; `optional` says that the code goes on without it."""

    name: str
    within: str | None
    optional: bool


@dataclass(frozen=True, slots=True)
class Source:
    """What one module imports, and which names each of its functions mentions (None: the module and its classes)."""

    imports: tuple[Import, ...]
    mentions: Mapping[str | None, frozenset[str]]

    def needed(self, entries: Collection[str] | None) -> Iterator[Import]:
        """The imports that count when only the functions named `entries`, and those they mention, are called; all of
        them for None, and only the module's own when there are no entries."""
        reached = None if entries is None else self._reached(entries)
        return (each for each in self.imports if reached is None or each.within is None or each.within in reached)

    def _reached(self, entries: Collection[str]) -> set[str]:
        own = {name for name in self.mentions if name is not None}
        waiting = own & {*entries, *self.mentions[None]}
        if entries:  # what is used at all is made, entered, compared, called
            waiting |= {name for name in own if name.startswith("__")}
        reached: set[str] = set()
        while waiting:
            name = waiting.pop()
            reached.add(name)
            waiting |= (own & self.mentions[name]) - reached
        return reached


@dataclass(frozen=True, slots=True)
class Trace:
    """`modules` were reached; `missing` was asked for and is in none of the given sources: each name with the module
    that asked first, and whether it can do without."""

    modules: frozenset[str]
    missing: Mapping[str, tuple[str, bool]]


def module_name(path: str) -> str | None:
    """The module that a file is, by its path below a folder that Python looks in: `a.b` for `a/b.py`, for
    `a/b/__init__.py` and for `a/b.cpython-312-x86_64-linux-gnu.so`; None for any other file."""
    folder, _, file = path.rpartition("/")
    stem, _, kind = file.partition(".")
    if kind != "py" and not kind.endswith("so"):
        return None
    parts = [*folder.split("/")] if folder else []
    if not (kind == "py" and stem == "__init__"):
        parts.append(stem)
    return ".".join(parts) if parts and all(part.isidentifier() for part in parts) else None


def read(source: bytes, module: str, *, package: bool, filename: str = "<module>") -> Source:
    """What the source of `module` imports. Raises SyntaxError."""
    reader = _Reader(module if package else module.rpartition(".")[0])
    reader.visit(ast.parse(source, filename))
    return Source(tuple(reader.imports), {name: frozenset(found) for name, found in reader.mentions.items()})


def trace(
    roots: Iterable[str], sources: Mapping[str, Source], entries: Mapping[str, Collection[str]], absent: Collection[str]
) -> Trace:
    """All modules that `roots` import, directly or not; with a module come the packages that it is in. `entries` says
    of some modules which of their functions are called at all; `absent` are modules that are not followed."""
    reached: set[str] = set()
    missing: dict[str, tuple[str, bool]] = {}
    waiting = [(root, root, False) for root in roots]
    while waiting:
        name, by, optional = waiting.pop()
        if any(name == module or name.startswith(f"{module}.") for module in absent):
            continue
        found = next((part for part in _prefixes(name) if part in sources), None)
        if found is None:
            known = missing.get(name)
            missing[name] = (by if known is None else known[0], optional and (known is None or known[1]))
            continue
        if found in reached:
            continue
        reached.add(found)
        waiting += [(parent, found, False) for parent in _prefixes(found) if parent in sources and parent != found]
        waiting += [(each.name, found, each.optional) for each in sources[found].needed(entries.get(found))]
    return Trace(frozenset(reached), missing)


def _prefixes(name: str) -> Iterator[str]:
    """`a.b.c`, `a.b`, `a`."""
    while name:
        yield name
        name = name.rpartition(".")[0]


class _Reader(ast.NodeVisitor):
    """Walks a module. `package` is what its relative imports begin from."""

    def __init__(self, package: str) -> None:
        self._package = package
        self._within: str | None = None
        self._optional = False
        self.imports: list[Import] = []
        self.mentions: defaultdict[str | None, set[str]] = defaultdict(set)
        self.mentions[None] = set()

    def visit_Import(self, node: ast.Import) -> None:
        self._add(alias.name for alias in node.names)

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        base = node.module or ""
        if node.level:
            parts = self._package.split(".")
            base = ".".join(filter(None, [*parts[: len(parts) - node.level + 1], base]))
        # `from . import c` may mean a module c, or something that the package itself defines.
        self._add(base if alias.name == "*" else f"{base}.{alias.name}" for alias in node.names)

    def visit_If(self, node: ast.If) -> None:
        test = node.test
        if (test.id if isinstance(test, ast.Name) else getattr(test, "attr", "")) == "TYPE_CHECKING":
            self._all(node.orelse)
        else:
            self.generic_visit(node)

    def visit_Try(self, node: ast.Try) -> None:
        before = self._optional
        self._optional = before or any(_takes_import_error(handler) for handler in node.handlers)
        self._all(node.body)
        self._optional = before
        self._all([*node.handlers, *node.orelse, *node.finalbody])

    def visit_FunctionDef(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> None:
        self._all([*node.decorator_list, node.args])
        before = self._within
        self._within = before or node.name  # what is defined in a function is the function's
        self.mentions[self._within] |= set()
        self._all(node.body)
        self._within = before

    visit_AsyncFunctionDef = visit_FunctionDef  # noqa: N815

    def visit_Name(self, node: ast.Name) -> None:
        self.mentions[self._within].add(node.id)

    def visit_Attribute(self, node: ast.Attribute) -> None:
        self.mentions[self._within].add(node.attr)
        self.generic_visit(node)

    def _add(self, names: Iterable[str]) -> None:
        self.imports += [Import(name, self._within, self._optional) for name in names]

    def _all(self, nodes: Iterable[ast.AST]) -> None:
        for node in nodes:
            self.visit(node)


def _takes_import_error(handler: ast.ExceptHandler) -> bool:
    if handler.type is None:
        return True
    names = {node.id for node in ast.walk(handler.type) if isinstance(node, ast.Name)}
    return not names.isdisjoint({"ImportError", "ModuleNotFoundError", "Exception", "BaseException"})
