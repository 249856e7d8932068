"""`python -m bench [NAME ...]`: runs the measurements and prints each with its target.

A ratio compares services that are measured in turn, round by round, in the same run: it holds on a slow or busy
machine, where the figures themselves do not. Exit code 1 when a target is missed.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable

from bench import (
    cold_start,
    durability,
    memory,
    overload,
    presenter,
    queue,
    requests,
    runtime,
    start,
    telemetry,
    workers,
)
from bench.effort import Effort
from bench.result import Result

MEASUREMENTS: dict[str, Callable[[Effort], list[Result]]] = {
    "requests": requests.measure,
    "durability": durability.measure,
    "presenter": presenter.measure,
    "telemetry": telemetry.measure,
    "workers": workers.measure,
    "queue": queue.measure,
    "overload": overload.measure,
    "memory": memory.measure,
    "start": start.measure,
    "cold_start": cold_start.measure,
    "runtime": runtime.measure,
}


def main(arguments: list[str]) -> int:
    """Runs the named measurements, all without names."""
    parser = argparse.ArgumentParser("python -m bench", description="Runs measurements; without names, all.")
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(MEASUREMENTS))
    parser.add_argument("--rounds", type=int, default=Effort().rounds, help="default: %(default)s")
    parser.add_argument(
        "--seconds", type=int, default=Effort().seconds, help="of load in a round (default: %(default)s)"
    )
    chosen = parser.parse_args(arguments)
    if unknown := [name for name in chosen.names if name not in MEASUREMENTS]:
        print(f"there is no measurement {', '.join(unknown)}; there are: {', '.join(MEASUREMENTS)}", file=sys.stderr)
        return 2
    effort = Effort(chosen.rounds, chosen.seconds)
    results = [result for name in chosen.names or MEASUREMENTS for result in MEASUREMENTS[name](effort)]
    print()
    for result in results:
        print(result)
    return 0 if all(result.met for result in results) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
