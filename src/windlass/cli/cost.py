"""`windlass cost`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from windlass.cli.declared import find_system
from windlass.cli.document import json_option, print_json
from windlass.graph.load import load
from windlass.model.system import System
from windlass.synth.cost import Bill, bill
from windlass.synth.flow import Deployment, flow
from windlass.synth.limit import HOT_KEY, Use, uses
from windlass.synth.price import PriceTable, price_table
from windlass.synth.recording import Recording, path_of, read

__all__ = ["cost"]

_SCALES = (0.001, 1.0, 1000.0)
_UNBATCHED = "unbatched"


@click.command(
    epilog="""\b
Examples:
  windlass cost presenter --requests-per-hour 36000
  windlass cost presenter --requests-per-hour 36000 --share take=9 --share show=1
  windlass cost presenter --requests-per-hour 36000 --compare --json"""
)
@click.argument("system", metavar="SYSTEM")
@click.option(
    "--requests-per-hour",
    "requests",
    required=True,
    type=click.FloatRange(0, 1e12, min_open=True),
    metavar="NUMBER",
    help="How many requests; also shown for a thousandth and for a thousand times as many.",
)
@click.option(
    "--share",
    "shares",
    multiple=True,
    metavar="HANDLER=WEIGHT",
    help="How the requests are shared out to routes; may be repeated. Without it, all get as many.",
)
@click.option(
    "--memory",
    type=click.IntRange(128, 10_240),
    default=512,
    show_default=True,
    metavar="MB",
    help="The memory of each function.",
)
@click.option(
    "--arch", type=click.Choice(["arm64", "x86_64"]), default="arm64", show_default=True, help="Of functions."
)
@click.option("--users", type=click.IntRange(0), default=0, metavar="NUMBER", help="Users who sign in within a month.")
@click.option("--keys", type=click.IntRange(0), default=0, metavar="NUMBER", help="Customer managed keys of KMS.")
@click.option(
    "--hot-key",
    type=click.FloatRange(0, 1),
    default=HOT_KEY,
    show_default=True,
    metavar="SHARE",
    help="The share of a table's traffic that its busiest partition key gets.",
)
@click.option("--compare", is_flag=True, help="Also the same system with REST APIs and one message an invocation.")
@click.option(
    "--calls", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE", help="Another recording of calls."
)
@json_option
def cost(
    system: str,
    requests: float,
    shares: tuple[str, ...],
    memory: int,
    arch: str,
    users: int,
    keys: int,
    hot_key: float,
    compare: bool,
    calls: Path | None,
    as_json: bool,
) -> None:
    """Say what a system costs on AWS in a month, and which limit it meets first.

    Made of what its handlers call, as recorded in the calls.json beside the system.py, and of a table of prices that
    says when they were known. Free tiers are left out. Nothing is asked of AWS.
    """
    path = find_system(system)
    loaded = load(path)
    recording = read(calls or path_of(path), loaded)
    table = price_table()
    deployment = Deployment(memory=memory, architecture="arm64" if arch == "arm64" else "x86_64")
    weights = dict(map(_weight, shares))

    def size(scale: float, deployed: Deployment) -> tuple[Bill, list[Use]]:
        made = flow(loaded, recording, requests * scale, table.assumptions, deployed, weights)
        return bill(made, table, users=round(users * scale), keys=keys), uses(made, table, hot_key=hot_key)

    sizes = [(requests * scale, *size(scale, deployment)) for scale in _SCALES]
    unbatched = replace(deployment, rest_api=True, batches=False)
    compared = [size(scale, unbatched)[0] for scale in _SCALES] if compare else []
    if as_json:
        print_json(_document(loaded, recording, deployment, table, sizes, compared))
    else:
        _print(loaded, deployment, table, sizes, compared)


def _weight(said: str) -> tuple[str, float]:
    name, _, weight = said.partition("=")
    try:
        return name.strip(), float(weight)
    except ValueError:
        raise click.UsageError(f"--share {said}: write the name of a handler and a weight, as in take=9") from None


def _print(
    system: System,
    deployment: Deployment,
    table: PriceTable,
    sizes: list[tuple[float, Bill, list[Use]]],
    compared: list[Bill],
) -> None:
    click.echo(
        f"{system.name}: US dollars a month in {table.region}, by prices as known on {table.known}, without free tiers"
        f" ({deployment.memory} MB, {deployment.architecture})"
    )
    click.echo()
    services = {service: None for _, made, _ in sizes for service, dollars in made.services.items() if dollars}
    rows = [[service, *(_dollars(made.services.get(service, 0.0)) for _, made, _ in sizes)] for service in services]
    rows.append(["in all", *(_dollars(made.dollars) for _, made, _ in sizes)])
    if compared:
        rows.append([_UNBATCHED, *(_dollars(made.dollars) for made in compared)])
    _columns(["SERVICE", *(f"{_number(requests)} AN HOUR" for requests, _, _ in sizes)], rows)
    click.echo()
    limits = [
        [_number(requests), _share(use.share), f"{_named(use)}: {_number(use.most)} {use.unit}"]
        for requests, _, used in sizes
        for use in _told(used)
    ]
    _columns(["AN HOUR", "USED", "OF WHICH LIMIT"], limits, right=2)


def _told(used: list[Use]) -> list[Use]:
    """The quota that is met first, and whatever does not let all through, one of a kind."""
    told: dict[str, Use] = {}
    first = next((use for use in used if not use.declared), None)
    for use in used:
        if use is first or use.share > 1:
            told.setdefault(use.limit, use)
    return list(told.values())


def _share(share: float) -> str:
    if share >= 10:
        return f"{share:,.0f} times"
    return "<0.1%" if share < 0.001 else f"{share:.1%}"


def _columns(heads: list[str], rows: list[list[str]], right: int | None = None) -> None:
    """Prints columns: numbers in words, so put to the right here; the first `right` of them, or all but the first."""
    widths = [max(len(row[place]) for row in [heads, *rows]) for place in range(len(heads))]

    def line(cells: list[str]) -> str:
        made = []
        for place, (cell, width) in enumerate(zip(cells, widths, strict=True)):
            to_the_right = place > 0 if right is None else place < right
            made.append(cell.rjust(width) if to_the_right else cell.ljust(width))
        return "  ".join(made).rstrip()

    click.secho(line(heads), bold=True)
    for row in rows:
        click.echo(line(row))


def _named(use: Use) -> str:
    return f"{use.limit} of {use.of}" if use.of else use.limit


def _dollars(amount: float) -> str:
    return "<0.01" if 0 < amount < 0.005 else f"{amount:,.2f}"


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 10 or value == int(value) else f"{value:,.3g}"


def _document(
    system: System,
    recording: Recording,
    deployment: Deployment,
    table: PriceTable,
    sizes: list[tuple[float, Bill, list[Use]]],
    compared: list[Bill],
) -> dict[str, Any]:
    made = []
    for place, (requests, paid, used) in enumerate(sizes):
        entry: dict[str, Any] = {
            "requests_per_hour": requests,
            "dollars": paid.dollars,
            "services": paid.services,
            "lines": [
                {
                    "service": line.service,
                    "what": line.what,
                    "quantity": line.quantity,
                    "unit": table.prices[line.price].unit,
                    "dollars": line.dollars,
                    "source": table.prices[line.price].source,
                }
                for line in paid.lines
            ],
            "limits": [
                {
                    "limit": use.limit,
                    "of": use.of,
                    "used": use.used,
                    "most": use.most,
                    "share": use.share,
                    "unit": use.unit,
                    "source": use.source,
                }
                for use in used
            ],
        }
        if compared:
            entry[_UNBATCHED] = {"dollars": compared[place].dollars, "services": compared[place].services}
        made.append(entry)
    return {
        "system": system.name,
        "region": table.region,
        "prices_known": table.known,
        "note": table.note,
        "recorded_on": recording.made_on,
        "memory": deployment.memory,
        "architecture": deployment.architecture,
        "sizes": made,
    }
