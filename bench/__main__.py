"""`python -m bench [NAME ...]`: runs the measurements and prints each with its target.

A ratio compares services that are measured in turn, round by round, in the same run: it holds on a slow or busy
machine, where the figures themselves do not. Exit code 1 when a target is missed.
"""

from __future__ import annotations

import sys
from collections.abc import Callable

from bench import durability, requests, start
from bench.result import Result

MEASUREMENTS: dict[str, Callable[[], list[Result]]] = {
    "requests": requests.measure,
    "durability": durability.measure,
    "start": start.measure,
}


def main(names: list[str]) -> int:
    """Runs the named measurements, all without names."""
    unknown = [name for name in names if name not in MEASUREMENTS]
    if unknown:
        print(f"there is no measurement {', '.join(unknown)}; there are: {', '.join(MEASUREMENTS)}", file=sys.stderr)
        return 2
    results = [result for name in names or MEASUREMENTS for result in MEASUREMENTS[name]()]
    print()
    for result in results:
        print(result)
    return 0 if all(result.met for result in results) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
