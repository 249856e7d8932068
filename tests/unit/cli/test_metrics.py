"""windlass metrics."""

import json
import re
from contextlib import closing
from pathlib import Path

import pytest

from tests.unit.cli.recording import record
from tests.unit.cli.terminal import Run
from windlass.engines.embedded.metric_store import MetricStore
from windlass.engines.embedded.recorder import metrics_path


@pytest.fixture
def kept(here: Path) -> Path:
    return record(here / ".windlass")


def test_a_row_for_each_series(run: Run, kept: Path) -> None:
    head, seconds, requests = run("metrics").output.splitlines()
    assert re.split(r"  +", head) == ["METRIC", "OF", "COUNT", "SUM", "PER MIN", "AVG", "P50", "P99", "MAX"]
    name, of, count, total, _, average, middle, high, greatest = re.split(r"  +", seconds)
    assert (name, of, count, total) == ("request_seconds", "system=shop handler=create", "100", "5.09")
    assert (average, greatest) == ("0.0509", "0.5")
    assert float(middle) == pytest.approx(0.001, rel=0.06)
    assert float(high) == pytest.approx(0.5, rel=0.06)
    assert requests.startswith("requests         system=desk handler=read")


def test_the_metrics_are_narrowed_down(run: Run, kept: Path) -> None:
    def found(*options: str) -> list[tuple[str, int]]:
        return [(row["name"], row["count"]) for row in json.loads(run("metrics", *options, "--json").output)["metrics"]]

    assert found() == [("request_seconds", 100), ("requests", 90)]
    assert found("requests") == [("requests", 90)]
    assert found("--system", "shop") == [("request_seconds", 100)]
    assert found("--since", "1m", "request_seconds") == [("request_seconds", 90)]
    assert found("--since", "2020-01-01", "request_seconds") == [("request_seconds", 100)]
    assert found("request_seconds", "--step", "1m") == [("request_seconds", 10), ("request_seconds", 90)]


def test_a_series_as_json(run: Run, kept: Path) -> None:
    [row] = json.loads(run("metrics", "request_seconds", "--json").output)["metrics"]
    assert list(row) == ["name", "labels", "from", "to", "count", "sum", "average", "min", "p50", "p99", "max"]
    assert row["labels"] == {"system": "shop", "handler": "create"}
    assert (row["min"], row["max"], row["sum"]) == (0.001, 0.5, pytest.approx(5.09))
    assert row["p50"] == pytest.approx(0.001, rel=0.06)


def test_a_name_that_is_none_is_told_the_others(run: Run, kept: Path) -> None:
    said = "nothing was measured of that name; there are request_seconds, requests\n"
    assert run("metrics", "nothing").output == said
    assert run("metrics", "--system", "nobody").output == "nothing was measured in that time\n"


@pytest.mark.parametrize("options", [["--step", "30s"], ["--step", "90s"], ["--step", "1"], ["--since", "soon"]])
def test_what_cannot_be_asked(run: Run, kept: Path, options: list[str]) -> None:
    assert run("metrics", *options).exit_code == 2


def test_too_many_rows(run: Run, kept: Path) -> None:
    result = run("metrics", "--step", "1m", "--since", "2001-01-01")
    assert result.exit_code == 2
    assert "too many rows" in result.stderr


def test_where_nothing_was_recorded(run: Run, here: Path) -> None:
    assert run("metrics").stderr.startswith("error: nothing has been started in .windlass/default yet\n")
    (here / ".windlass" / "default").mkdir(parents=True)
    assert run("metrics").stderr.startswith("error: no metrics were recorded in .windlass/default yet\n")


def test_queues_are_shown_as_they_are_now(run: Run, used: Path) -> None:
    with closing(MetricStore(metrics_path(used / "default"))) as store:
        assert isinstance(store.names(), list)  # which begins the file
    output = run("metrics", "--system", "desk").output
    rows = [re.split(r"  +", line)[:6] for line in output.partition("\n\n")[2].splitlines()]
    assert rows == [
        ["SYSTEM", "QUEUE", "WAITING", "IN FLIGHT", "DELAYED", "DEAD"],
        ["desk", "archive", "2", "0", "0", "0"],
        ["desk", "replies", "1", "0", "0", "1"],
    ]
    [archive, replies] = json.loads(run("metrics", "--system", "desk", "--json").output)["queues"]
    assert (archive["waiting"], replies["dead"]) == (2, 1)


def test_a_damaged_file_is_said_and_left_alone(run: Run, kept: Path) -> None:
    file = kept / "telemetry" / "metrics.sqlite"
    file.write_bytes(b"this is not a database" * 1000)
    result = run("metrics")
    assert result.exit_code == 1
    assert "metrics.sqlite cannot be used now: file is not a database" in result.stderr
    assert file.read_bytes().startswith(b"this is not")
