"""Texts that nobody may see: read from standard input, or typed unseen at a terminal; never an argument, which the
list of processes and the shell's history would show."""

from __future__ import annotations

import sys

import click

from windlass.errors import InvalidItem

__all__ = ["hidden_text"]

_MOST_BYTES = 1 << 20


def hidden_text(what: str) -> str:
    """What standard input holds, without the line break at its end; at a terminal it is asked for, twice. Raises
    InvalidItem, naming `what`, for what is not UTF-8."""
    if sys.stdin.isatty():
        typed: str = click.prompt(what, hide_input=True, confirmation_prompt=True, err=True)
        return typed
    try:
        text = sys.stdin.buffer.read(_MOST_BYTES).decode()
    except UnicodeDecodeError:
        raise InvalidItem(f"{what} on standard input is not text in UTF-8") from None
    return text[:-2] if text.endswith("\r\n") else text.removesuffix("\n")
