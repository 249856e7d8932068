"""Sites: files of a folder, as they are on disk now."""

from __future__ import annotations

import hashlib
import mimetypes
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

from windlass.errors import EngineUnavailable, MethodNotAllowed
from windlass.model.site import MAX_FILE, Site, is_public
from windlass.model.system import System
from windlass.ports.api import Response
from windlass.ports.site import SitePort

__all__ = ["EmbeddedSite", "site_answer"]

_TAG = re.compile(r'(?:W/)?"([^"]*)"')

# Python's own table and these, and not the machine's, so that a site is the same everywhere.
_TYPES = mimetypes.MimeTypes()
for _suffix, _kind in {
    ".avif": "image/avif",
    ".ico": "image/x-icon",
    ".js": "text/javascript",
    ".json": "application/json",
    ".map": "application/json",
    ".md": "text/markdown",
    ".mjs": "text/javascript",
    ".otf": "font/otf",
    ".svg": "image/svg+xml",
    ".ttf": "font/ttf",
    ".wasm": "application/wasm",
    ".webmanifest": "application/manifest+json",
    ".webp": "image/webp",
    ".woff": "font/woff",
    ".woff2": "font/woff2",
    ".xml": "application/xml",
}.items():
    _TYPES.add_type(_kind, _suffix)


def site_answer(
    system: System, ports: Mapping[str, Any], method: str, path: str, headers: Mapping[str, str]
) -> Response | None:
    """What a system's site answers to a request that no route takes: None when it has no site, or nothing there.
    Reads a file. Raises MethodNotAllowed, EngineUnavailable."""
    sites = system.of(Site)
    if not sites or path.startswith("/_"):
        return None
    port: SitePort = ports[sites[0].name]
    if method in ("GET", "HEAD"):
        response = port.fetch(path, headers)
        if response is not None and method == "HEAD" and response.body:
            length = ("content-length", str(len(response.body)))
            return Response(response.status, [*response.headers, length])
        return response
    there = port.fetch(path, {})
    if there is not None and there.status < 400:
        raise MethodNotAllowed(f"{method} is not offered here", ["GET", "HEAD"])
    return None


class EmbeddedSite:
    """Implements `ports.site.SitePort`. Keeps nothing in memory: a file that was changed is sent changed."""

    def __init__(self, model: Site) -> None:
        self.model = model
        self._root = model.folder.resolve()
        seconds = int(model.max_age.total_seconds())
        self._headers = [
            *model.headers.items(),
            ("cache-control", f"public, max-age={seconds}" if seconds else "no-cache"),
        ]

    def fetch(self, path: str, headers: Mapping[str, str]) -> Response | None:
        """See the port."""
        asked = path[1:]
        if asked == "" or asked.endswith("/"):
            asked += self.model.index
        file = self._file(asked)
        if file is not None:
            return self._sent(200, file, headers.get("if-none-match"))
        if not path.endswith("/") and self._file(f"{asked}/{self.model.index}") is not None:
            # Relative to the folder that holds it, and with ./ so that no name is taken for a scheme or a host.
            return Response(308, [("location", f"./{quote(asked.rpartition('/')[2])}/"), *self._headers])
        missing = None if self.model.not_found is None else self._file(self.model.not_found)
        return None if missing is None else self._sent(404, missing, None)

    def _file(self, path: str) -> Path | None:
        """The file at a path below the folder, None when there is none that may be read."""
        if not is_public(path):
            return None
        try:
            file = (self._root / path).resolve(strict=True)
            # Links are followed first: where they lead must be in the folder, and public, itself.
            inner = file.relative_to(self._root)
            return file if is_public(inner.as_posix()) and file.is_file() else None
        except (OSError, RuntimeError, ValueError):  # not there, a loop of links, a name that is too long or leads out
            return None

    def _sent(self, status: int, file: Path, known: str | None) -> Response:
        try:
            with file.open("rb") as opened:
                content = opened.read(MAX_FILE + 1)
        except OSError as error:
            raise EngineUnavailable(f"{self.model.where}: {file.name} cannot be read: {error.strerror}") from error
        if len(content) > MAX_FILE:
            raise EngineUnavailable(f"{self.model.where}: {file.name} has more than {MAX_FILE:,} bytes")
        tag = hashlib.blake2b(content, digest_size=16).hexdigest()
        headers = [*self._headers, ("etag", f'"{tag}"')]
        if known is not None and (known.strip() == "*" or tag in _TAG.findall(known)):
            return Response(304, headers)
        return Response(status, [("content-type", _content_type(file.name)), *headers], content)


def _content_type(name: str) -> str:
    kind, encoding = _TYPES.guess_type(name)
    if encoding is not None:  # a .tar.gz is sent as it is, not as a .tar for the browser to unpack
        return "application/gzip" if encoding == "gzip" else "application/octet-stream"
    if kind is None:
        return "application/octet-stream"
    return f"{kind}; charset=utf-8" if kind.startswith("text/") else kind
