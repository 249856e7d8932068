"""`python -m tests.torture`: many rounds by hand; the tests run few."""

from __future__ import annotations

import random
import shutil
import sys
import tempfile
import time
from pathlib import Path

import click

from tests.torture.torture import Options, torture


@click.command()
@click.option("--kills", default=200, show_default=True, type=click.IntRange(0), help="Kills of the whole server.")
@click.option(
    "--children", default=20, show_default=True, type=click.IntRange(0), help="Then, kills of single processes."
)
@click.option("--workers", type=click.IntRange(1, 8), help="As of windlass up; without it, 1 or 2 as chance has it.")
@click.option("--durability", type=click.Choice(["process", "full"]), default="process", show_default=True)
@click.option("--seed", type=int, help="The same moments again; the machine's own timing remains.")
def main(kills: int, children: int, workers: int | None, durability: str, seed: int | None) -> None:
    """Kill a loaded server with SIGKILL at random moments, and count what was lost or done twice."""
    seed = random.SystemRandom().randrange(1_000_000) if seed is None else seed
    click.echo(f"seed {seed}")
    folder = Path(tempfile.mkdtemp(prefix="windlass-torture-"))
    began = time.monotonic()
    report = torture(folder / "home", Options(kills, children, workers, durability, seed), click.echo)
    click.echo(f"\n{report}\n{time.monotonic() - began:.0f} s")
    if not report.kept:
        click.echo(f"MISSED; the state and the log are in {folder}")
        sys.exit(1)
    shutil.rmtree(folder)
    click.echo("ok")


if __name__ == "__main__":
    main()
