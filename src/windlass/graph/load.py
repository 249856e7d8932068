"""Finds and imports a `system.py`.

A folder is a package: `systems/todos/system.py` is `todos.system`, so that its `handlers.py` can say
`from .system import api`, and a test `import todos.handlers`. A single file, `app.py`, is a module by itself.
"""

from __future__ import annotations

import difflib
import importlib
import importlib.util
import keyword
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

from windlass.errors import DeclarationError, LoadError
from windlass.model.resource import Resource
from windlass.model.system import System

__all__ = ["discover", "load"]

_EXAMPLE = 'app = System("app")'


def load(path: Path) -> System:
    """The System that `path` declares: a folder with a `system.py`, or one file such as `app.py`.

    Beside a folder's `system.py`, its `handlers.py` is imported where there is one. Loading a path again gives the
    same System. Raises LoadError, which says what to write instead.
    """
    path = path.resolve()
    if path.name == "system.py" and path.is_file():
        path = path.parent
    if path.is_dir():
        return _load_folder(path)
    if path.is_file():
        return _load_file(path)
    raise LoadError(f"{path} does not exist\n  fix: name a folder that holds a system.py, or a file such as app.py")


def discover(path: Path) -> list[Path]:
    """What `load` can take at `path`: the file or the system's folder itself, or else all child folders that hold
    a `system.py`, sorted by name. Raises LoadError where there is none."""
    if path.is_file() or (path / "system.py").is_file():
        return [path]
    if not path.exists():
        raise LoadError(
            f"{path} does not exist\n  fix: name a system's folder, a folder of such folders, or a file such as app.py"
        )
    found = sorted(child.parent for child in path.glob("*/system.py") if child.is_file())
    if not found:
        raise LoadError(
            f"neither {path} nor a folder in it holds a system.py\n"
            f"  fix: write {path / 'app' / 'system.py'} with `{_EXAMPLE}` in it"
        )
    return found


def _load_folder(folder: Path) -> System:
    declaration = folder / "system.py"
    if not declaration.is_file():
        raise LoadError(
            f"{folder} holds no system.py\n  fix: write {declaration} with `{_EXAMPLE}` in it, or name another folder"
        )
    name = _module_name(folder.name, folder, "folder")
    modules = [f"{name}.system"]
    if (folder / "handlers.py").is_file() or (folder / "handlers" / "__init__.py").is_file():
        modules.append(f"{name}.handlers")
    with _importing(name, folder):
        parent = str(folder.parent)
        # At the end, so that a system's folder shadows no module of Python or of a package; on failure it goes again.
        added = not any(Path(entry or ".").resolve() == folder.parent for entry in sys.path)
        if added:
            sys.path.append(parent)
        try:
            importlib.invalidate_caches()
            _check_free(name, declaration, package=True)
            loaded = [importlib.import_module(module) for module in modules]
        except BaseException:
            if added:
                sys.path.remove(parent)
            raise
    return _only_system(loaded[0], declaration)


def _load_file(file: Path) -> System:
    if file.suffix != ".py":
        raise LoadError(f"{file} is not a Python file\n  fix: name a file such as app.py, or a system's folder")
    name = _module_name(file.stem, file, "file")
    if name in sys.modules and _is_at(sys.modules[name], file):
        return _only_system(sys.modules[name], file)
    _check_free(name, file, package=False)
    with _importing(name, file.parent):
        spec = importlib.util.spec_from_file_location(name, file)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module
        spec.loader.exec_module(module)
    return _only_system(module, file)


def _module_name(name: str, path: Path, what: str) -> str:
    if name.isidentifier() and not keyword.iskeyword(name):
        return name
    suggestion = "".join(c if c.isalnum() else "_" for c in name).lower().lstrip("0123456789_") or "app"
    if keyword.iskeyword(suggestion):
        suggestion += "_system"
    raise LoadError(
        f"the {what} {path} becomes a Python module, and {name!r} cannot name one\n"
        f"  fix: rename the {what} to {suggestion}{path.suffix if what == 'file' else ''}"
    )


def _is_at(module: ModuleType, file: Path) -> bool:
    place = getattr(module, "__file__", None)
    return place is not None and Path(place).resolve() == file


def _check_free(name: str, declaration: Path, *, package: bool) -> None:
    """Raises LoadError when `name` means, or would mean, other code than that of `declaration`."""
    own = declaration.parent / "__init__.py" if package else declaration
    module = sys.modules.get(name)
    spec = module.__spec__ if module is not None else importlib.util.find_spec(name)
    if module is not None and spec is None:  # a module that was made by hand
        raise LoadError(_taken(name, declaration, f"imported already, from {getattr(module, '__file__', 'nowhere')}"))
    if spec is not None and spec.origin is None and package:
        # Folders without __init__.py of one name are one package to Python, wherever they lie: look inside.
        spec, own = importlib.util.find_spec(f"{name}.system"), declaration
    if spec is None or spec.origin is None or Path(spec.origin).resolve() == own:
        return
    since = "imported already, from" if module is not None else "taken by"
    place = "Python itself" if spec.origin in ("built-in", "frozen") else spec.origin
    raise LoadError(_taken(name, declaration, f"{since} {place}"))


def _taken(name: str, path: Path, by: str) -> str:
    return (
        f"{path} would be imported as {name!r}, and that name is {by}\n"
        f"  fix: rename it; two systems that run together need two names"
    )


@contextmanager
def _importing(name: str, folder: Path) -> Iterator[None]:
    """Turns what an import raises into a LoadError that names the line of the system at fault, and forgets the
    modules that were half imported, so that a second try begins anew."""
    before = set(sys.modules)
    try:
        yield
    except BaseException as error:
        for module in set(sys.modules) - before:
            if module == name or module.startswith(f"{name}."):
                del sys.modules[module]
        if isinstance(error, LoadError) or not isinstance(error, Exception | SystemExit):
            raise
        raise LoadError(_import_fault(error, folder)) from error


def _import_fault(error: BaseException, folder: Path) -> str:
    if isinstance(error, SyntaxError) and error.filename:
        return f"{error.filename}, line {error.lineno}: {type(error).__name__}: {error.msg}"
    where = str(folder)
    for frame in traceback.extract_tb(error.__traceback__):
        if Path(frame.filename).resolve().is_relative_to(folder):
            where = f"{frame.filename}, line {frame.lineno}"
    # What a declaration raises says where and how to mend it; of other errors the class is half of what they say.
    message = str(error) if isinstance(error, DeclarationError) else f"{type(error).__name__}: {error}"
    if isinstance(error, AttributeError) and isinstance(error.obj, System | Resource):
        near = difflib.get_close_matches(str(error.name), dir(error.obj), 1)
        message += f"\n  fix: did you mean {near[0]!r}?" if near else ""
    return f"{where}: {message}"


def _only_system(module: ModuleType, file: Path) -> System:
    systems = {name: value for name, value in vars(module).items() if isinstance(value, System)}
    distinct = {id(system): system for system in systems.values()}
    if not distinct:
        raise LoadError(f"{file} declares no System\n  fix: write `from windlass import System` and `{_EXAMPLE}`")
    if len(distinct) > 1:
        names = ", ".join(systems)
        raise LoadError(
            f"{file} holds {len(distinct)} Systems ({names}), and it is not clear which one is meant\n"
            f"  fix: give each its own folder with a system.py; of another system import the module, not the System"
        )
    return next(iter(distinct.values()))
