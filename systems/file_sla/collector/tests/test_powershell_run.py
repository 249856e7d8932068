"""The PowerShell variant, run where `pwsh` is; CI leaves this module out where it is not (conftest.py)."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from aged_file import AgedFile
from peer import PASSWORD, USERNAME, Peer, hang_up, status

SCRIPT = Path(__file__).parents[2] / "check-file-sla.ps1"
PWSH = shutil.which("pwsh")


@pytest.mark.skipif(PWSH is None, reason="PowerShell is not installed")
class TestRunning:
    """The script itself, as a scheduler would start it."""

    def start(self, folder: Path, peer: Peer, *more: str, password: str = PASSWORD) -> dict[str, Any]:
        assert PWSH is not None
        folders = folder / "folders.json"
        if not folders.exists():
            (folder / "in").mkdir(exist_ok=True)
            entry = {"path": "in", "sla": "20m", "name": "orders"}
            folders.write_text(json.dumps({"url": peer.url, "folders": [entry]}), encoding="utf-8")
        done = subprocess.run(
            [
                PWSH,
                "-NoProfile",
                "-NonInteractive",
                "-File",
                str(SCRIPT),
                "-Config",
                str(folders),
                "-Json",
                *more,
            ],
            env=dict(os.environ) | {"FILE_SLA_USERNAME": USERNAME, "FILE_SLA_PASSWORD": password},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        fields: dict[str, Any] = json.loads(done.stdout)
        assert fields["exit_code"] == done.returncode
        return fields

    def test_a_breach_is_posted(self, tmp_path: Path, peer: Peer, aged: AgedFile) -> None:
        aged(tmp_path / "in" / "caf\u00e9 \u65e5\u672c.csv", 10**6)
        aged(tmp_path / "in" / "archive" / "old.csv", 10**6)
        fields = self.start(tmp_path, peer)
        assert (fields["exit"], fields["late_files"], fields["posts_sent"]) == ("sent", 1, 1)
        (post,) = peer.posts
        (entry,) = post.json()["sla_error"]
        assert (entry["folder"], entry["sla"]) == ("orders", 20)
        assert [file["filename"] for file in entry["files"]] == ["caf\u00e9 \u65e5\u672c.csv"]

    def test_what_could_not_be_sent_is_sent_later_with_its_key(
        self, tmp_path: Path, peer: Peer, aged: AgedFile
    ) -> None:
        late = aged(tmp_path / "in" / "a.csv", 10**6)
        peer.fault("/file_sla_error", hang_up)
        assert self.start(tmp_path, peer, "-Attempts", "1")["exit"] == "spooled"
        late.unlink()
        assert self.start(tmp_path, peer)["posts_sent"] == 1
        first, second = peer.posts
        assert (first.key, first.body) == (second.key, second.body)

    def test_a_refused_post_is_set_aside(self, tmp_path: Path, peer: Peer, aged: AgedFile) -> None:
        aged(tmp_path / "in" / "a.csv", 10**6)
        peer.fault("/file_sla_error", status(422, "no"))
        fields = self.start(tmp_path, peer)
        assert (fields["exit"], fields["set_aside"][0]["status"]) == ("rejected", 422)

    def test_a_wrong_password(self, tmp_path: Path, peer: Peer, aged: AgedFile) -> None:
        aged(tmp_path / "in" / "a.csv", 10**6)
        fields = self.start(tmp_path, peer, password="wrong-and-secret")
        assert fields["exit"] == "sign_in"
        assert "wrong-and-secret" not in json.dumps(fields)

    def test_an_unreadable_folder(self, tmp_path: Path, peer: Peer) -> None:
        entry = {"path": "none", "sla": 20}
        (tmp_path / "folders.json").write_text(json.dumps({"url": peer.url, "folders": [entry]}))
        assert self.start(tmp_path, peer)["exit"] == "unreadable"

    def test_a_configuration_that_cannot_be_used(self, tmp_path: Path, peer: Peer) -> None:
        (tmp_path / "folders.json").write_text('{"folders": [{"path": "in", "sla": "19m"}]}')
        fields = self.start(tmp_path, peer)
        assert fields["exit"] == "usage"
        assert "folders[0].sla: '19m' is out of bounds" in fields["error"]
