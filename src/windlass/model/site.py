"""A site: a folder of files that a browser gets as they are."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from windlass.errors import DeclarationError
from windlass.model.resource import Resource, check_duration

if TYPE_CHECKING:
    from windlass.model.system import System

__all__ = ["MAX_FILE", "SAFE_HEADERS", "Site", "is_public"]

MAX_FILE = 16 * 1024 * 1024
"""The largest file of a site, in bytes: it is sent from memory."""

SAFE_HEADERS = {
    "content-security-policy": "default-src 'self'; img-src 'self' data:; object-src 'none'; base-uri 'none'; "
    "form-action 'self'; frame-ancestors 'none'",
    "referrer-policy": "same-origin",
}
"""What is sent with every file unless `headers` says otherwise: a page loads and calls its own origin only."""

_MAX_AGE = timedelta(days=365)
_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+\Z")
_VALUE = re.compile(r"[\t -~]+\Z")
_OWN_HEADERS = {
    "cache-control": "say max_age=timedelta(...)",
    "connection": "drop it: the server says it",
    "content-length": "drop it: the server says it",
    "content-type": "drop it: the file's name decides",
    "etag": "drop it: the file's content decides",
    "keep-alive": "drop it: the server says it",
    "transfer-encoding": "drop it: the server says it",
    "upgrade": "drop it: the server says it",
    "x-content-type-options": "drop it: nosniff is always sent",
}


class Site(Resource):
    """Declared with `system.site(name, folder=...)`.

    `index` is the document of a folder, `not_found` the one that is sent with 404. `max_age` is how long a browser
    may use what it has without asking again; 0 lets it ask each time. `headers` are sent with every file and take the
    place of `SAFE_HEADERS`; None drops one of those.
    """

    noun = "site"

    def __init__(
        self,
        system: System,
        name: str,
        *,
        folder: str | Path,
        beside: str | None = None,
        index: str = "index.html",
        not_found: str | None = None,
        max_age: timedelta = timedelta(0),
        headers: Mapping[str, str | None] | None = None,
    ) -> None:
        """`beside` is the file that declares the site, to which `folder` is relative; None: to the present folder."""
        super().__init__(system, name)
        if not _is_folder(folder):
            raise DeclarationError(f"folder={folder!r} is no folder", where=self.where, fix='folder="site"')
        self.declared_folder = str(folder)
        self.beside = Path(beside).absolute() if beside is not None else None
        self.folder = (self.beside.parent if self.beside is not None else Path()).absolute() / folder
        self.index, self.not_found, self.max_age = index, not_found, max_age
        for what, value in (("index", index), ("not_found", not_found)):
            if value is not None and not _is_document(value):
                raise DeclarationError(
                    f"{what}={value!r} does not name a file in the site's folder",
                    where=self.where,
                    fix=f'{what}="{"index" if what == "index" else "404"}.html"',
                )
        check_duration(max_age, "max_age", where=self.where)
        if not timedelta(0) <= max_age <= _MAX_AGE:
            raise DeclarationError(f"max_age={max_age} is out of range", where=self.where, fix="give 0 to 365 days")
        self.headers = self._headers(headers or {})
        others = [other.name for other in system.of(Site)]
        if others:
            raise DeclarationError(
                f"{system.name} has the site {others[0]!r} already, and a system has one",
                where=self.where,
                fix="put both into one folder, each in a folder of its own in it",
            )

    def _headers(self, given: Mapping[str, str | None]) -> dict[str, str]:
        made: dict[str, str] = dict(SAFE_HEADERS)
        for name, value in given.items():
            lower = str(name).lower()
            if lower in _OWN_HEADERS:
                raise DeclarationError(
                    f"headers has {name!r}, which is not yours to say", where=self.where, fix=_OWN_HEADERS[lower]
                )
            if value is None and lower in SAFE_HEADERS:
                made.pop(lower, None)
            elif not _NAME.match(lower) or not isinstance(value, str) or not _VALUE.match(value):
                raise DeclarationError(
                    f"headers has {name!r}: {value!r}, which cannot be a header",
                    where=self.where,
                    fix='headers={"Content-Security-Policy": "default-src \'self\'"}',
                )
            else:
                made[lower] = value
        return made

    def faults(self) -> Iterator[DeclarationError]:
        """What is wrong with the folder; looks at the files, so not while declaring."""
        if not self.folder.is_dir():
            fix = f"make it, with {self.index} in it; folder= is relative to the file that declares the site"
            yield self._fault("its folder does not exist", fix)
            return
        root = self.folder.resolve()
        if self.beside is not None and self.beside.resolve().is_relative_to(root):
            yield self._fault(
                f"its folder holds {self.beside.name}, so that everybody could read the code",
                'put the files into a folder of their own: folder="site"',
            )
            return
        for what, name in (("index", self.index), ("not_found", self.not_found)):
            if name is not None and not (root / name).is_file():
                yield self._fault(f"{name} is missing in its folder", f"write it, or name another file with {what}=")
        for path in sorted(root.rglob("*")):
            inner = path.relative_to(root).as_posix()
            if not is_public(inner):
                continue
            if not path.resolve().is_relative_to(root):
                yield self._fault(f"{inner} is a link that leads out of its folder", "copy what it leads to")
            elif inner.startswith("_"):
                yield self._fault(f"{inner} cannot be reached: paths with /_ are the engine's own", "rename it")
            elif path.is_file() and path.stat().st_size > MAX_FILE:
                yield self._fault(
                    f"{inner} has {path.stat().st_size:,} bytes; the most is {MAX_FILE:,}", "make it smaller"
                )

    def _fault(self, summary: str, fix: str) -> DeclarationError:
        return DeclarationError(f"folder={self.declared_folder!r}: {summary}", where=self.where, fix=fix)


def _is_folder(value: object) -> bool:
    return isinstance(value, str | Path) and bool(str(value))


def _is_document(value: object) -> bool:
    return isinstance(value, str) and is_public(value) and "/" not in value


def is_public(path: str) -> bool:
    """Whether a path below a site's folder, its parts parted by `/`, may be asked for: no part of it is empty, hidden
    or leads elsewhere (`.`, `..`, a backslash, a drive, a control character)."""
    return all(
        part and not part.startswith(".") and part.isprintable() and not any(c in part for c in "\\:")
        for part in path.split("/")
    )
