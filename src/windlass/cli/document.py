"""`--json`: one JSON document on standard output, indented, with the same keys in the same order every time.

Times in it are ISO 8601 in UTC.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
import msgspec

__all__ = ["json_option", "print_json", "put_out"]

json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")


def print_json(value: Any) -> None:
    """Prints `value`, which msgspec can encode, as a document."""
    click.echo(msgspec.json.format(msgspec.json.encode(value), indent=2))


def put_out(text: str, file: Path | None) -> None:
    """Prints `text`, which ends in a line break, or writes it to `file`."""
    if file is None:
        click.echo(text, nl=False)
    else:
        file.write_bytes(text.encode())
