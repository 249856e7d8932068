"""The zip that Lambda runs: a system, what it needs of Windlass, and the packages that these import.

The same input gives the same bytes: names are sorted, dates and modes are fixed, byte code holds no time. What is in it
is found out by reading imports (`synth.imports`), from the runtime's entry and from the system's own modules on.
"""

from __future__ import annotations

import base64
import hashlib
import io
import re
import sys
import zipfile
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import windlass
from windlass.errors import BundleError
from windlass.graph.load import load
from windlass.model.site import Site
from windlass.model.system import System
from windlass.synth.byte_code import byte_code, python_for
from windlass.synth.imports import Import, Source, Trace, module_name, read, trace
from windlass.synth.shared_object import stripped
from windlass.synth.wheels import Package, Target, Wheels

__all__ = ["Bundle", "Part", "bundle"]

ENTRY = "windlass.runtime.entry"

_MOST_ZIPPED = 50 * 1024 * 1024
_MOST_UNZIPPED = 250 * 1024 * 1024
_DATE = (1980, 1, 1, 0, 0, 0)
_MODE = 0o100644 << 16
_UNIX = 3
_PROVIDED = frozenset({"boto3", "botocore"})
"""What Lambda has (https://docs.aws.amazon.com/lambda/latest/dg/lambda-python.html)."""
_ABSENT = ("windlass.cli", "windlass.console", "windlass.engines.embedded", "windlass.synth", "windlass.testing")
"""What runs on the developer's machine only."""
_LEFT_OUT = re.compile(
    r"(test_.*\.py|.*_test\.py|conftest\.py|.*\.md|README.*|diagram\.svg|calls\.json|.*\.py[co]|.*~)\Z"
)
_NATIVE = "<native code>"
"""In whose functions a native module's imports stand: nobody knows when they run."""
_WORD = re.compile(rb"[\w.-]+", re.ASCII)
_ASKS_FOR_SOURCES = re.compile(rb"\b(getsource|getsourcelines|findsource|linecache)\b")
_FOLDERS_LEFT_OUT = frozenset({"__pycache__", "tests", "test", "node_modules"})


@dataclass(frozen=True, slots=True)
class Part:
    """What one package takes of a bundle: bytes in the zip, and on disk; `largest` is the path of its file that takes
    most of the zip, with its bytes there."""

    name: str
    version: str
    zipped: int
    unzipped: int
    largest: tuple[str, int]


@dataclass(frozen=True, slots=True)
class Bundle:
    """`content` is the zip. `parts` are sorted by their size, the largest first. `compiled` says whether there is byte
    code in it."""

    content: bytes
    parts: tuple[Part, ...]
    compiled: bool

    @property
    def unzipped(self) -> int:
        """Bytes on the function's disk."""
        return sum(part.unzipped for part in self.parts)

    @property
    def sha256(self) -> str:
        """The digest of the zip in base64, as Lambda tells it of a function's code (CodeSha256)."""
        return base64.b64encode(hashlib.sha256(self.content).digest()).decode()


def bundle(path: Path, wheels: Wheels, target: Target) -> Bundle:
    """The bundle of the system at `path`, as `load` takes it, for `target`; `wheels` are for the same. The handler is
    `windlass.runtime.entry.handle`, and `WINDLASS_SYSTEM` is the name of the system's folder, or of its file. Raises
    LoadError, and BundleError where a package or a part of Windlass is needed that a function cannot have."""
    system = load(path)
    own = Package(system.name, "", dict(_system_files(path.resolve(), system)))
    whole = Package("windlass", "", dict(_windlass_files()))
    read_own, read_windlass = _with_places(_sources(own.files, ())), _sources(whole.files, ())
    _refuse_absent(read_own)
    roots, entries, absent = sorted({ENTRY, *read_own}), _entries(system), _absent(system)

    found = trace(roots, {**read_windlass, **read_own}, entries, absent)
    names = wheels.with_requirements(_distributions(found, wheels), asked_by=system.name)
    packages = wheels.packages(names)
    foreign = dict(_foreign(packages))
    found = trace(roots, {**foreign, **read_windlass, **read_own}, entries, absent)

    used = Package("windlass", "", {file: content for file, content in whole.files.items() if _is_in(file, found)})
    tops = {module.partition(".")[0] for module in found.modules}
    kept = [part for package in packages if (part := _without_unused(package, tops)) is not None]
    python = python_for(target.python)
    if python is None:
        return _packed([own, used, *kept])
    # Of others, what is imported at once; the rest of a large package is seldom needed, and its byte code is large.
    eager = trace(roots, {**foreign, **read_windlass, **read_own}, {**dict.fromkeys(foreign, ()), **entries}, absent)
    parts = [_compiled(own, found, python, sources=True), _compiled(used, found, python, sources=False)]
    return _packed(parts + [_compiled(package, eager, python, sources=_asks_for_sources(package)) for package in kept])


def _compiled(package: Package, found: Trace, python: Path, *, sources: bool) -> Package:
    """The package with the byte code of the modules that were found: beside their sources, or instead of them, since
    the byte code is twice as large. A traceback then shows the line's number and not its text."""
    files = dict(package.files)
    chosen = {file: content for file, content in files.items() if file.endswith(".py") and _is_in(file, found)}
    for file, content in byte_code(chosen, python).items():
        folder, _, name = file.rpartition("__pycache__/")
        source = f"{folder}{name.partition('.')[0]}.py"
        if sources or module_name(source) == ENTRY:  # which whoever runs the function may look for as a file
            files[file] = content
        else:
            del files[source]
            files[f"{source}c"] = content
    return Package(package.name, package.version, files)


def _asks_for_sources(package: Package) -> bool:
    return any(_ASKS_FOR_SOURCES.search(content) for file, content in package.files.items() if file.endswith(".py"))


def _packed(packages: Sequence[Package]) -> Bundle:
    owner: dict[str, Package] = {}
    files: dict[str, bytes] = {}
    for package in packages:
        for file, content in package.files.items():
            if file in files and content != files[file]:
                raise BundleError(
                    f"{file} is in {owner[file].name} and, another one, in {package.name}\n"
                    f"  fix: rename the system's folder, or do without one of the packages"
                )
            owner[file], files[file] = package, stripped(content)
    content, sizes = _zipped(files)
    parts = tuple(sorted((_part(each, owner, sizes) for each in packages), key=lambda part: (-part.zipped, part.name)))
    made = Bundle(content, parts, any(file.endswith(".pyc") for file in files))
    if len(content) > _MOST_ZIPPED or made.unzipped > _MOST_UNZIPPED:
        raise BundleError(
            f"the bundle has {len(content):,} bytes, {made.unzipped:,} unzipped; Lambda takes {_MOST_ZIPPED:,} and"
            f" {_MOST_UNZIPPED:,}, and the largest part is {parts[0].name}\n  fix: do without what is large"
        )
    return made


def _zipped(files: Mapping[str, bytes]) -> tuple[bytes, dict[str, tuple[int, int]]]:
    """The zip, and of each file its bytes in it and on disk."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for file in sorted(files):
            info = zipfile.ZipInfo(file, _DATE)
            info.create_system, info.external_attr = _UNIX, _MODE
            archive.writestr(info, files[file], zipfile.ZIP_DEFLATED, compresslevel=9)
        sizes = {info.filename: (info.compress_size, info.file_size) for info in archive.infolist()}
    return buffer.getvalue(), sizes


def _part(package: Package, owner: Mapping[str, Package], sizes: Mapping[str, tuple[int, int]]) -> Part:
    mine = {file: size for file, size in sizes.items() if owner[file] is package}
    largest = max(mine, key=lambda file: (mine[file][0], file))
    zipped, unzipped = (sum(size[at] for size in mine.values()) for at in (0, 1))
    return Part(package.name, package.version, zipped, unzipped, (largest, mine[largest][0]))


def _system_files(path: Path, system: System) -> Iterator[tuple[str, bytes]]:
    """The system's own files, by their paths in the bundle: its code and its data. Left out are its tests, the folders
    of its sites, what is written for people, what is hidden, and folders that are projects of their own."""
    if path.name == "system.py":
        path = path.parent
    if path.is_file():
        yield path.name, path.read_bytes()
        return
    sites = {site.folder.resolve() for site in system.of(Site)}
    waiting = [path]
    while waiting:
        for child in sorted(waiting.pop().iterdir()):
            if child.name.startswith(".") or child.resolve() in sites:
                continue
            if child.is_dir():
                if child.name not in _FOLDERS_LEFT_OUT and not (child / "pyproject.toml").exists():
                    waiting.append(child)
            elif child.is_file() and not _LEFT_OUT.match(child.name):
                yield child.relative_to(path.parent).as_posix(), child.read_bytes()


def _windlass_files() -> Iterator[tuple[str, bytes]]:
    root = Path(windlass.__file__).parent
    for file in sorted(root.rglob("*.py")):
        path = file.relative_to(root.parent).as_posix()
        if not _is_absent(module_name(path) or ""):
            yield path, file.read_bytes()


def _sources(files: Mapping[str, bytes], others: Collection[str]) -> dict[str, Source]:
    """What the modules among `files` import. A native module names what it imports in its text: of it, all of `others`
    count that stand in it as a word."""
    sources = {}
    for file, content in files.items():
        module = module_name(file)
        if module is None:
            continue
        if file.endswith(".py"):
            try:
                sources[module] = read(content, module, package=file.endswith("__init__.py"), filename=file)
            except SyntaxError as error:
                if not others:
                    raise BundleError(f"{file}, line {error.lineno}: {error.msg}\n  fix: mend it") from error
                continue  # of a foreign package: a template, or for another Python
        else:
            words = {word.rstrip(b".").decode() for word in _WORD.findall(content)}
            named = sorted(words.intersection(others))
            sources[module] = Source(tuple(Import(name, _NATIVE, True) for name in named), {None: frozenset()})
    return sources


def _foreign(packages: Sequence[Package]) -> Iterator[tuple[str, Source]]:
    """The modules of other people's packages. A native one may import what its text names: modules of its own
    package, or other packages."""
    tops = [_tops(package) for package in packages]
    for package, own in zip(packages, tops, strict=True):
        modules = {module for file in package.files if (module := module_name(file)) is not None}
        yield from _sources(package.files, modules - own | set().union(*tops) - own).items()


def _without_unused(package: Package, tops: Collection[str]) -> Package | None:
    """The package without the top-level modules that nothing imports: cffi needs its own compiler to be built with,
    and nothing of it to run. None when nothing of the package is left."""
    unused = _tops(package) - set(tops)
    files = {file: content for file, content in package.files.items() if _top(file) not in unused}
    if _tops(package) and not _tops(package) - unused:
        return None
    return Package(package.name, package.version, files)


def _tops(package: Package) -> set[str]:
    """The top-level modules of a package."""
    return {_top(file) for file in package.files if module_name(file) is not None}


def _top(file: str) -> str:
    folder, slash, _ = file.partition("/")
    return folder if slash else file.partition(".")[0]


def _with_places(sources: Mapping[str, Source]) -> dict[str, Source]:
    """The same, where a name of the package `windlass` means the module that it is imported from when it is asked
    for; the whole package means all of them."""
    found = {}
    for module, source in sources.items():
        more = [
            Import(place, each.within, each.optional)
            for each in source.imports
            for name, place in windlass.PLACES.items()
            if each.name in (f"windlass.{name}", "windlass")
        ]
        found[module] = Source((*source.imports, *more), source.mentions)
    return found


def _refuse_absent(sources: Mapping[str, Source]) -> None:
    for module, source in sources.items():
        for each in source.imports:
            if _is_absent(each.name):
                raise BundleError(
                    f"{module} imports {each.name}, which is not on AWS\n"
                    f"  fix: move what needs it to the system's tests folder"
                )


def _is_absent(module: str) -> bool:
    return any(module == name or module.startswith(f"{name}.") for name in _ABSENT)


def _nouns() -> set[str]:
    """All nouns: what the model and the AWS engine have a module for."""
    root = Path(windlass.__file__).parent
    return {file.stem for file in (root / "model").glob("[a-z]*.py") if (root / "engines/aws" / file.name).exists()}


def _entries(system: System) -> dict[str, Collection[str]]:
    """Which functions of the nouns' modules are called at all: of a noun's port, the operations that handlers were
    granted; of a noun that the system does not have, none."""
    entries: dict[str, Collection[str]] = {}
    granted = [grant for handler in system.handlers for grant in handler.grants]
    for noun in _nouns():
        if names := {resource.name for resource in system.resources.values() if resource.noun == noun}:
            operations = {grant.operation for grant in granted if grant.resource.partition("/")[0] in names}
            entries[f"windlass.engines.aws.{noun}"] = operations | {"__init__"}
        else:
            entries[f"windlass.model.{noun}"] = ()
    return entries


def _absent(system: System) -> list[str]:
    """Modules that are not followed: what Lambda has, what is not for functions, and ports of nouns that the system
    does not have."""
    declared = {resource.noun for resource in system.resources.values()}
    lacking = [f"windlass.engines.aws.{noun}" for noun in _nouns() - declared]
    return sorted({*_PROVIDED, *_ABSENT, *lacking})


def _distributions(found: Trace, wheels: Wheels) -> set[str]:
    """The distributions of what was asked for and is neither Python's, nor Windlass's, nor the system's."""
    names: set[str] = set()
    for module, (by, optional) in found.missing.items():
        top = module.partition(".")[0]
        if top == "zoneinfo":
            names.add("tzdata")
        if top in sys.stdlib_module_names or top in ("windlass", "__future__"):
            continue
        providers = wheels.providers(top)
        if not providers and not optional:
            raise BundleError(
                f"{by} imports {module}, and no package that is installed here has it\n"
                f"  fix: install the package, in the version that the system was tried with"
            )
        names.update(providers)
    return names


def _is_in(file: str, found: Trace) -> bool:
    return module_name(file) in found.modules
