"""The page to try an API, in a real browser."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.up import Up

CHROMIUM = shutil.which("chromium")
SYSTEM = Path(__file__).parents[4] / "systems" / "file_sla"


@pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed")
def test_the_page_lists_the_operations_and_its_policy_holds(tmp_path: Path) -> None:
    assert CHROMIUM is not None
    with Up(SYSTEM, home=tmp_path / "home", options=("--no-reload",)) as up:
        done = subprocess.run(
            [
                *(CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
                *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
                *(f"--user-data-dir={tmp_path / 'browser'}", "--virtual-time-budget=5000", "--enable-logging=stderr"),
                *("--dump-dom", f"{up.url}/file_sla/_docs/"),
            ],
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        )
    page = done.stdout
    for path in ("/auth", "/file_sla_error", "/file_sla_errors", "/summary"):
        assert path in page
    assert "Store the breaches that a collector found" in page
    assert "collector" in page, "the role that the route asks for"
    complaints = [line for line in done.stderr.splitlines() if "CONSOLE" in line]
    assert complaints == []
