"""The PowerShell variant, kept in step with the collector by reading it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from file_sla_collector import client, config, endpoint, paths, report, scan, spool
from file_sla_collector.outcome import ExitCode
from file_sla_collector.retry import RetryPolicy

SCRIPT = Path(__file__).parents[2] / "check-file-sla.ps1"
TEXT = SCRIPT.read_bytes().decode("utf-8")
CODE = re.sub(r"<#.*?#>", "", TEXT, flags=re.DOTALL)

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
