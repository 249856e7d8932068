"""Paths: when two are the same folder, and how one is written as text."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path


def identity(path: Path) -> str:
    """One text for one folder, however it is written (`..`, a link, upper or lower case on Windows)."""
    try:
        resolved = path.resolve()
    except (OSError, RuntimeError):
        resolved = path.absolute()
    return os.path.normcase(resolved)


# The API takes no longer file name, and would refuse the whole post for one.
LONGEST_NAME = 1024

_KEPT_OF_EACH_END = 500


def shortened(name: str) -> str:
    """A name of at most `LONGEST_NAME` characters: of a longer one both ends, and a digest between."""
    if len(name) <= LONGEST_NAME:
        return name
    digest = hashlib.sha256(name.encode("utf-8")).hexdigest()[:16]
    return f"{name[:_KEPT_OF_EACH_END]}...{digest}...{name[-_KEPT_OF_EACH_END:]}"


def printable(name: str) -> str:
    r"""A name as text that JSON can carry: bytes that are not UTF-8 become `\xNN`.

    POSIX names are bytes; Python shows the undecodable ones as lone surrogates, which no strict JSON reader
    accepts.
    """
    try:
        name.encode("utf-8")
    except UnicodeEncodeError:
        return os.fsencode(name).decode("utf-8", "backslashreplace")
    return name
