"""The port of a site."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from windlass.ports.api import Response

__all__ = ["SitePort"]


class SitePort(Protocol):
    def fetch(self, path: str, headers: Mapping[str, str]) -> Response | None:
        """What `GET path` answers: a file, the document for what is not found, or None when there is neither.

        `path` is below the system's prefix, percent-decoded, and starts with `/`; header names are in lower case.
        Nothing outside the site's folder is ever read. Raises EngineUnavailable when a file cannot be read.
        """
        ...
