"""windlass cost."""

import json
from pathlib import Path

import pytest

from tests.unit.cli.terminal import Run

SIZE = ("cost", "desk", "--requests-per-hour", "36000")


def test_each_service_is_shown_at_three_sizes(run: Run) -> None:
    lines = run(*SIZE).stdout.splitlines()
    assert lines[0].startswith("desk: US dollars a month in us-east-1, by prices as known on 20")
    assert lines[2].split("  ")[0] == "SERVICE"
    assert lines[2].endswith("36 AN HOUR  36,000 AN HOUR  36,000,000 AN HOUR")
    services = [line.split("  ")[0] for line in lines[3 : lines.index("", 3)]]
    assert services[-1] == "in all"
    assert {"API Gateway", "Lambda", "SQS", "DynamoDB", "SES", "CloudWatch"} <= set(services)


def test_the_limit_that_is_met_first_is_told_for_each_size_and_all_that_are_too_low(run: Run) -> None:
    lines = run(*SIZE).stdout.splitlines()
    told = lines[lines.index("", 3) + 2 :]
    assert [line.split()[0] for line in told[:3]] == ["36", "36,000", "36,000,000"]
    assert "mails: 1 mails a second" in told[0]
    assert any("concurrency of reply: 10 batches" in line for line in told[2:])


def test_the_document_has_every_line_with_its_source(run: Run) -> None:
    document = json.loads(run(*SIZE, "--json").stdout)
    assert document["system"] == "desk"
    assert [size["requests_per_hour"] for size in document["sizes"]] == [36, 36_000, 36_000_000]
    for size in document["sizes"]:
        assert sum(line["dollars"] for line in size["lines"]) == pytest.approx(size["dollars"])
        assert sum(size["services"].values()) == pytest.approx(size["dollars"])
        assert all(line["source"].startswith("https://") for line in size["lines"])
        shares = [limit["share"] for limit in size["limits"]]
        assert shares == sorted(shares, reverse=True)
        assert "unbatched" not in size


def test_the_unbatched_system_costs_more(run: Run) -> None:
    assert "\nunbatched " in run(*SIZE, "--compare").stdout
    for size in json.loads(run(*SIZE, "--compare", "--json").stdout)["sizes"]:
        assert size["unbatched"]["dollars"] > size["dollars"]


def test_memory_architecture_users_and_keys_count(run: Run) -> None:
    def dollars(*more: str) -> dict[str, float]:
        document = json.loads(run(*SIZE, "--json", *more).stdout)
        services: dict[str, float] = document["sizes"][1]["services"]
        return services

    assert dollars("--memory", "2048")["Lambda"] > dollars()["Lambda"]
    assert dollars("--arch", "x86_64")["Lambda"] > dollars()["Lambda"]
    assert dollars("--users", "1000")["Cognito"] == pytest.approx(15)
    assert dollars("--keys", "3")["KMS"] == pytest.approx(3)


def test_shares_are_of_routes(run: Run) -> None:
    assert run(*SIZE, "--share", "open_ticket=1").stdout == run(*SIZE).stdout
    result = run(*SIZE, "--share", "reply=1")
    assert result.exit_code == 1
    assert result.stderr == "error: desk has no route 'reply'\n  fix: name a route's handler: open_ticket\n"
    result = run(*SIZE, "--share", "open_ticket")
    assert result.exit_code == 2
    assert "write the name of a handler and a weight, as in take=9" in result.stderr


def test_without_a_recording_it_is_said_how_to_make_one(run: Run, here: Path) -> None:
    result = run("cost", "twin_pools", "--requests-per-hour", "1")
    assert result.exit_code == 1
    assert result.stderr == (
        "error: there is no recording of what twin_pools calls: systems/twin_pools/calls.json does not exist\n"
        "  fix: record it: tests/aws/calls.py runs a system's handlers and writes the file (docs/cost.md)\n"
    )
    (here / "other.json").write_bytes((here / "systems" / "desk" / "calls.json").read_bytes())
    assert run(*SIZE, "--calls", "other.json").stdout == run(*SIZE).stdout


@pytest.mark.parametrize("number", ["0", "-1", "many"])
def test_a_number_of_requests_that_is_none_is_a_usage_error(run: Run, number: str) -> None:
    assert run("cost", "desk", "--requests-per-hour", number).exit_code == 2
