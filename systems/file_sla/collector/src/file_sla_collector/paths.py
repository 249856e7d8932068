"""Paths: when two are the same folder, and how one is written as text."""

from __future__ import annotations

import os
from pathlib import Path


def identity(path: Path) -> str:
    """One text for one folder, however it is written (`..`, a link, upper or lower case on Windows)."""
    try:
        resolved = path.resolve()
    except (OSError, RuntimeError):
        resolved = path.absolute()
    return os.path.normcase(resolved)


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
