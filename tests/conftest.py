"""What every test run shares: the hypothesis profile, and the rule that CI skips nothing."""

import os
import signal
import threading
from collections import Counter
from collections.abc import Generator

import hypothesis
import pytest

# The properties of reports that tests.conformance.report and tests.aws.agreement give them.
ENGINE, SCORE = "conformance_engine", "iam_agreement"

CI = os.environ.get("CI", "").lower() in {"1", "true", "yes"}

# No deadline: a loaded machine is not a bug. In CI the examples are the same for the same code.
hypothesis.settings.register_profile("windlass", deadline=None, derandomize=CI)
hypothesis.settings.load_profile("windlass")


class NoSkips:
    """In CI, turns the skip of a test or a module into its failure. An expected failure stays one."""

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_makereport(self) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        report = yield
        _refuse_skip(report)
        return report

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_make_collect_report(self) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
        report = yield
        _refuse_skip(report)
        return report


def pytest_configure(config: pytest.Config) -> None:
    """Register the rule by itself: as a hook of this file it would not see the tests under systems/."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN and threading.current_thread() is threading.main_thread():
        # A shell starts what is in its background so, and what the tests start and interrupt would inherit it.
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if CI:
        config.pluginmanager.register(NoSkips())


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """What the run says of the engines: how they agree, and what is derived for them. It comes with the reports, so it
    is whole with several processes too, of which this one runs no test."""
    outcomes: Counter[tuple[str, str]] = Counter()
    agreed = cases = 0
    for outcome in ("passed", "failed", "xfailed"):
        for report in terminalreporter.getreports(outcome):
            if getattr(report, "when", "") not in ("call", "setup"):
                continue
            properties = dict(report.user_properties)
            if (engine := properties.get(ENGINE)) is not None and (report.when == "call" or outcome != "passed"):
                outcomes[engine, outcome] += 1
            some, of = properties.get(SCORE, (0, 0)) if report.when == "call" else (0, 0)
            agreed, cases = agreed + some, cases + of
    if outcomes:
        from tests.conformance.report import summary

        terminalreporter.write_line(summary(outcomes))
    if cases:
        terminalreporter.write_line(f"IAM agreement: {agreed} / {cases} cases")


def _refuse_skip(report: pytest.TestReport | pytest.CollectReport) -> None:
    """Mark a skipped `report` failed; its text says where and why."""
    if not report.skipped or hasattr(report, "wasxfail"):
        return
    reason = report.longrepr
    if isinstance(reason, tuple):
        path, line, text = reason
        reason = f"{path}:{line}: {text}"
    report.outcome = "failed"
    report.longrepr = f"A skipped test is a failure in CI: {reason}"
