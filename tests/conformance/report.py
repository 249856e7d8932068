"""What the suite says of the engines: the page of divergences, and the line at the end of a run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from tests.conformance.divergences import DIVERGENCES, Divergence

__all__ = ["ENGINE", "page", "summary"]

ENGINE = "conformance_engine"
"""The property of a test's report that names the engine."""

_STANDS_IN = {"moto": "moto", "ministack": "MiniStack"}

_HEAD = """# Divergences

One conformance suite (`tests/conformance/`) runs on three engines: embedded; AWS, with moto in AWS's place; AWS, with
MiniStack in its place. What a test asks and an engine does not do is listed here, with the page that says so. Each row
is an expected failure of the suite, and a row that is not needed any more fails it.

This page is made from `tests/conformance/divergences.py`: `python -m tests.conformance > docs/divergences.md`.
"""


def page() -> str:
    """`docs/divergences.md`."""
    own = [row for row in DIVERGENCES if row.fault is None]
    faults = [row for row in DIVERGENCES if row.fault is not None]
    return "\n".join(
        [
            _HEAD,
            "## What is different on AWS",
            "",
            *_table(own),
            "",
            "## What the stand-ins cannot show",
            "",
            "AWS does what the tests ask, as the pages say; moto or MiniStack does not.",
            "",
            *_table(faults),
            "",
        ]
    )


def _table(rows: Iterable[Divergence]) -> list[str]:
    lines = ["| difference | seen with | tests | AWS says |", "|---|---|---|---|"]
    for row in rows:
        seen = ", ".join(_STANDS_IN[engine] for engine in row.engines)
        tests = ", ".join(f"`{test}`" for test in row.tests).replace("{engine}-", "")
        lines.append(f"| {row.reason} | {seen} | {tests} | [page]({row.source}) |")
    return lines


def summary(outcomes: Counter[tuple[str, str]]) -> str:
    """The line, of how many cases of each engine had which outcome (`passed`, `xfailed`, `failed`)."""
    engines = sorted({engine for engine, _ in outcomes}, key=lambda name: (name != "embedded", name))
    cases = max((sum(n for (one, _), n in outcomes.items() if one == engine) for engine in engines), default=0)
    passed = ", ".join(f"{engine} {outcomes[engine, 'passed']}" for engine in engines)
    diverging = ", ".join(f"{engine} {outcomes[engine, 'xfailed']}" for engine in engines)
    rows = len(DIVERGENCES)
    return f"conformance: {cases} cases; passed: {passed}; diverging: {diverging}, by {rows} rows of divergences.py"
