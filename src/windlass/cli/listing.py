"""What people read: aligned columns, moments, and texts of others made safe for a terminal."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence

import click

from windlass.ports.clock import from_epoch

__all__ = ["harmless", "moment", "print_listing"]

_GAP = "  "
_KEPT = {"\n", "\t"}


def print_listing(columns: Sequence[str], rows: Sequence[Sequence[object]], *, empty: str) -> None:
    """Prints `rows` below the names of the `columns`; numbers stand to the right. `empty` is said when there are
    none."""
    if not rows:
        click.echo(empty)
        return
    texts = [[harmless(str(cell)).replace("\n", " ").replace("\t", " ") for cell in row] for row in rows]
    right = [all(isinstance(row[number], int | float) for row in rows) for number in range(len(columns))]
    widths = [max(map(_width, column)) for column in zip(columns, *texts, strict=True)]

    def line(cells: Sequence[str]) -> str:
        padded = []
        for cell, width, to_the_right in zip(cells, widths, right, strict=True):
            space = " " * (width - _width(cell))
            padded.append(space + cell if to_the_right else cell + space)
        return _GAP.join(padded).rstrip()

    click.secho(line(columns), bold=True)
    for text in texts:
        click.echo(line(text))


def moment(seconds: float) -> str:
    """A time as people read it, in UTC and to the second: `2026-05-04 09:00:00Z`."""
    return from_epoch(seconds).strftime("%Y-%m-%d %H:%M:%SZ")


def harmless(text: str) -> str:
    """`text` with its control characters written out, as `\\x1b`: others have written it, and a terminal would obey
    them. Line breaks and tabs stay."""
    return "".join(repr(character)[1:-1] if _commands(character) else character for character in text)


def _commands(character: str) -> bool:
    return unicodedata.category(character) in {"Cc", "Cs"} and character not in _KEPT


def _width(text: str) -> int:
    """How many columns of a terminal `text` takes: East Asian wide characters take two, combining marks none
    (https://www.unicode.org/reports/tr11/)."""
    return sum(
        0 if unicodedata.combining(character) else 2 if unicodedata.east_asian_width(character) in "WF" else 1
        for character in text
    )
