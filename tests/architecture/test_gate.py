"""The gate itself: in CI a skipped test fails the run and is named; elsewhere a skip stays a skip."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

CONFTEST = Path(__file__).resolve().parents[1] / "conftest.py"
SKIPPING_TEST = """
import pytest

@pytest.mark.skip(reason="no browser")
def test_page(): ...

def test_cloud(): pytest.skip("no account")

@pytest.mark.xfail(reason="a known divergence", strict=True)
def test_known(): raise AssertionError

def test_sound(): ...
"""
SKIPPING_MODULE = """
import pytest
pytest.importorskip("windlass_no_such_module", reason="no such engine")
"""


def run_pytest(root: Path, test: str, *, ci: bool, options: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
    """Run the module `test`, placed in systems/ beside this project's tests/conftest.py, in CI or not."""
    for directory in ("tests", "systems"):
        (root / directory).mkdir()
    (root / "pytest.ini").write_text("[pytest]\ntestpaths = tests systems\n")
    (root / "tests" / "conftest.py").write_bytes(CONFTEST.read_bytes())
    (root / "systems" / "test_skips.py").write_text(test)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    environment["CI"] = "true" if ci else ""
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *options]
    return subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("options", [(), ("-n", "1")], ids=["one_process", "xdist"])
def test_a_skipped_test_fails_in_ci(tmp_path: Path, options: tuple[str, ...]) -> None:
    run = run_pytest(tmp_path, SKIPPING_TEST, ci=True, options=options)
    assert run.returncode == pytest.ExitCode.TESTS_FAILED, run.stdout + run.stderr
    assert "ERROR systems/test_skips.py::test_page - A skipped test is a failure in CI" in run.stdout
    assert "FAILED systems/test_skips.py::test_cloud - A skipped test is a failure in CI" in run.stdout
    assert "no browser" in run.stdout
    assert "no account" in run.stdout
    assert "1 failed, 1 passed, 1 xfailed, 1 error" in run.stdout


def test_a_skipped_module_fails_in_ci(tmp_path: Path) -> None:
    run = run_pytest(tmp_path, SKIPPING_MODULE, ci=True)
    assert run.returncode == pytest.ExitCode.INTERRUPTED, run.stdout + run.stderr
    assert "ERROR systems/test_skips.py - A skipped test is a failure in CI" in run.stdout
    assert "no such engine" in run.stdout


def test_a_skip_stays_a_skip_elsewhere(tmp_path: Path) -> None:
    run = run_pytest(tmp_path, SKIPPING_TEST, ci=False)
    assert run.returncode == pytest.ExitCode.OK, run.stdout + run.stderr
    assert "1 passed, 2 skipped, 1 xfailed" in run.stdout
