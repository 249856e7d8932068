"""What is said at the end of a run of these tests."""

from __future__ import annotations

import pytest

from tests.aws.agreement import SCORE


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """The score of `test_agreement.py`. It comes with the reports, so it is whole with several processes too."""
    agreed = cases = 0
    for outcome in ("passed", "failed"):
        for report in terminalreporter.getreports(outcome):
            if getattr(report, "when", "") == "call":
                some, of = dict(report.user_properties).get(SCORE, (0, 0))
                agreed, cases = agreed + some, cases + of
    if cases:
        terminalreporter.write_line(f"IAM agreement: {agreed} / {cases} cases")
