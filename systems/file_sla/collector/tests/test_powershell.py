"""The PowerShell variant: kept in step with the collector by reading it, and run where `pwsh` is."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from aged_file import AgedFile
from file_sla_collector import client, config, endpoint, paths, report, scan, spool
from file_sla_collector.outcome import ExitCode
from file_sla_collector.retry import RetryPolicy
from peer import PASSWORD, USERNAME, Peer, hang_up, status

SCRIPT = Path(__file__).parents[2] / "check-file-sla.ps1"
TEXT = SCRIPT.read_bytes().decode("utf-8")
CODE = re.sub(r"<#.*?#>", "", TEXT, flags=re.DOTALL)
PWSH = shutil.which("pwsh")

POLICY = RetryPolicy()
CONSTANTS: dict[str, Any] = {
    "MaxBodyBytes": report.MAX_BODY_BYTES,
    "MaxFiles": report.MAX_FILES,
    "MaxEntries": report.MAX_ENTRIES,
    "LongestName": paths.LONGEST_NAME,
    "LongestNameBytes": config.LONGEST_NAME_BYTES,
    "MaxAnswerBytes": endpoint.MAX_ANSWER_BYTES,
    "KeptAside": spool.KEPT_ASIDE,
    "MostUnreadable": scan.MOST_UNREADABLE,
    "ShortestSlaMinutes": config.SHORTEST_SLA.total_seconds() / 60,
    "LongestSlaMinutes": config.LONGEST_SLA.total_seconds() / 60,
    "SignInPauseSeconds": client.SIGN_IN_PAUSE,
    "BackoffBaseSeconds": POLICY.base,
    "BackoffCapSeconds": POLICY.cap,
    "LongestWaitSeconds": POLICY.longest_wait,
    "LongestSilenceSeconds": POLICY.longest_silence,
    "DefaultSpoolPosts": config.DEFAULT_SPOOL_POSTS,
    "DefaultSpoolMib": config.DEFAULT_SPOOL_MIB,
    "DefaultArchive": config.DEFAULT_ARCHIVE,
    "DefaultIgnore": config.DEFAULT_IGNORE,
}


def constant(name: str) -> float | tuple[str, ...]:
    """A number, or a list of texts, that the script sets at its top."""
    found = re.search(rf"^\${name} = (@\([^)]*\)|[0-9.* ]+)$", CODE, re.MULTILINE)
    assert found is not None
    if found[1].startswith("@"):
        return tuple(re.findall(r"'([^']*)'", found[1]))
    product = 1.0
    for factor in found[1].split("*"):
        product *= float(factor)
    return product


@pytest.mark.parametrize("name", CONSTANTS)
def test_both_collectors_have_the_same_bounds_and_defaults(name: str) -> None:
    assert constant(name) == CONSTANTS[name]


def test_both_collectors_have_the_same_exit_codes() -> None:
    named = dict(re.findall(r"\b([0-8]) = '(\w+)'", CODE))
    assert {int(code): name for code, name in named.items()} == {1: "failed"} | {
        int(code): code.name.lower() for code in ExitCode
    }


def test_both_collectors_know_the_same_keys() -> None:
    lists = re.findall(r"Test-Key \$\w+ @\(([^)]*)\)", CODE)
    top, folder = (set(re.findall(r"'(\w+)'", keys)) for keys in lists)
    assert top == config.TOP_KEYS
    assert folder == config.FOLDER_KEYS


def test_the_script_is_ascii_because_5_1_reads_any_other_text_in_the_code_page_of_the_machine() -> None:
    assert TEXT.isascii()


NOT_IN_5_1 = {
    "ternary": r"\?[^'\"\n]*:\s*\$",
    "null coalescing": r"\?\?",
    "null conditional": r"\?\.",
    "pipeline chain": r"&&|\|\|",
    "ConvertTo-Json": r"-AsArray|-EscapeHandling",
    "ConvertFrom-Json": r"-AsHashtable|-NoEnumerate",
    "ForEach-Object": r"-Parallel",
    # It is in 5.1, but throws another exception there than in 7.
    "Invoke-WebRequest": r"Invoke-(WebRequest|RestMethod)",
}


@pytest.mark.parametrize("what", NOT_IN_5_1)
def test_the_script_uses_nothing_that_5_1_does_not_have(what: str) -> None:
    without_texts = re.sub(r"'[^'\n]*'", "''", CODE)
    assert re.search(NOT_IN_5_1[what], without_texts, re.MULTILINE) is None


def test_every_parameter_is_explained() -> None:
    block = CODE[CODE.index("param(") : CODE.index("Set-StrictMode")]
    declared = re.findall(r"\[(?:string|switch|int|double)\] \$(\w+)", block)
    assert sorted(declared) == sorted(re.findall(r"^\.PARAMETER (\w+)$", TEXT, re.MULTILINE))


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
