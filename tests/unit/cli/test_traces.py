"""windlass traces."""

import json
import re
from pathlib import Path

import pytest

from tests.unit.cli.recording import BATCH, FAILED, POSTED, record
from tests.unit.cli.terminal import Run


@pytest.fixture
def kept(here: Path) -> Path:
    return record(here / ".windlass")


def test_what_began_is_listed_and_deliveries_that_failed(run: Run, kept: Path) -> None:
    head, *rows = run("traces").output.splitlines()
    assert head.split() == ["TIME", "TRACE", "SYSTEM", "NAME", "STATUS", "MS", "ERROR"]
    assert rows[0] == f"2026-05-04 09:00:00.000Z  {POSTED}  shop    POST /orders  202       2.6"
    assert [re.split(r"  +", row)[3] for row in rows] == ["POST /orders", "GET /broken", "queue placed", "queue late"]
    assert rows[1].endswith("500     250.0  E: x")
    assert rows[3].endswith("error     1.0  E: \\x1b[31m")


@pytest.mark.parametrize(
    ("options", "names"),
    [
        (["--errors"], ["GET /broken", "queue late"]),
        (["--system", "desk"], ["GET /broken"]),
        (["--slower", "100ms"], ["GET /broken"]),
        (["--slower", "2ms"], ["POST /orders", "GET /broken"]),
        (["--since", "2026-05-04T09:00:00.5Z"], ["GET /broken", "queue placed", "queue late"]),
        (["--since", "2026-05-04 09:00:02"], ["queue placed", "queue late"]),
        (["--since", "10m"], []),
        (["--limit", "1"], ["queue late"]),
    ],
)
def test_the_list_is_narrowed_down(run: Run, kept: Path, options: list[str], names: list[str]) -> None:
    assert [span["name"] for span in json.loads(run("traces", *options, "--json").output)] == names


def test_one_trace_is_a_tree_through_the_batch_that_it_is_linked_to(run: Run, kept: Path) -> None:
    assert run("traces", POSTED).output == (
        f"trace {POSTED}  2026-05-04 09:00:00.000Z\n"
        "AT (MS)  TOOK (MS)  STATUS  WHAT                                  ERROR\n"
        "    0.0        2.6  202     POST /orders  (create)\n"
        "    1.5        0.3  ok      ├─ placed.send\n"
        " 2000.0        1.0  ok      ├─ queue placed  (store)  2 messages\n"
        " 2000.5        0.1  ok      │  └─ orders.write\n"
        " 3000.0        1.0  error   └─ queue late                         E: \\x1b[31m\n"
    )


def test_the_trace_of_a_batch_says_where_it_comes_from(run: Run, kept: Path) -> None:
    lines = run("traces", BATCH[:6]).output.splitlines()
    assert lines[1] == f"  comes also from {POSTED}-01"
    assert "queue placed" in lines[3]
    assert "└─ orders.write" in lines[4]


def test_a_trace_as_json(run: Run, kept: Path) -> None:
    found = json.loads(run("traces", FAILED, "--json").output)
    assert found["trace"] == FAILED
    [span] = found["spans"]
    assert (span["start"], span["seconds"], span["status"]) == ("2026-05-04T09:00:01.000000Z", 0.25, 500)
    assert (span["outcome"], span["error"], span["links"]) == ("error", "E: x", [])


def test_what_is_not_there_is_said(run: Run, kept: Path) -> None:
    result = run("traces", "ffff")
    assert result.exit_code == 1
    assert result.stderr.startswith("error: there is no trace ffff\n  fix: ")
    assert run("traces", "--slower", "5s").output == "no trace is like that\n"
    assert run("traces", "not/an/id").exit_code == 2
    assert run("traces", "--since", "yesterday").exit_code == 2
    assert run("traces", POSTED, "--follow").exit_code == 2


def test_where_nothing_was_recorded(run: Run, here: Path) -> None:
    result = run("traces")
    assert (result.exit_code, result.stderr.splitlines()[0]) == (
        1,
        "error: nothing has been started in .windlass/default yet",
    )
    (here / ".windlass" / "default").mkdir(parents=True)
    for arguments in (["traces"], ["traces", POSTED]):
        result = run(*arguments)
        assert result.exit_code == 1
        assert result.stderr.startswith("error: no traces were recorded in .windlass/default yet\n  fix: run it with ")


def test_damage_is_counted(run: Run, kept: Path) -> None:
    [file] = (kept / "telemetry").glob("spans-*")
    with file.open("ab") as opened:
        opened.write(b"\x00\xff\n{}\n" + b'{"kind":"request"')
    result = run("traces")
    assert result.stderr == "2 lines could not be read and were left out\n"
    assert len(result.stdout.splitlines()) == 5
