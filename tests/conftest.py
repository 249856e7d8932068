"""What every test run shares: the hypothesis profile, and the rule that CI skips nothing."""

import os
from collections.abc import Generator

import hypothesis
import pytest

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
    if CI:
        config.pluginmanager.register(NoSkips())


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
