"""Metrics in CloudWatch's embedded metric format."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from windlass import System
from windlass.dispatch.metrics import Metrics, Series, minute_of, series
from windlass.dispatch.telemetry import BUILT_IN
from windlass.model.alarm_metric import METRICS
from windlass.ports.clock import ManualClock
from windlass.runtime.metric_documents import FAULTS, MOST_METRICS, MOST_VALUES, SECONDS, WATCHED, documents, watched_by

CLOCK = ManualClock()
MINUTE = minute_of(CLOCK.now())


@dataclass(frozen=True)
class Item:
    id: str


def made(metrics: Metrics, *watched: Series) -> list[dict[str, Any]]:
    written = documents(metrics.take(), "Windlass/shop", frozenset(watched))
    found: list[dict[str, Any]] = [json.loads(one) for one in written]
    for document in found:
        check(document)
    return found


def check(document: dict[str, Any]) -> None:
    """What the specification wants of every document."""
    meta = document["_aws"]
    assert isinstance(meta["Timestamp"], int)
    names = []
    for directive in meta["CloudWatchMetrics"]:
        assert directive["Namespace"] == "Windlass/shop"
        assert 1 <= len(directive["Metrics"]) <= 100
        for dimensions in directive["Dimensions"]:
            assert len(dimensions) <= 30
            assert all(isinstance(document[name], str) and document[name] for name in dimensions)
        for metric in directive["Metrics"]:
            names.append(metric["Name"])
            value = document[metric["Name"]]
            assert isinstance(value, float | int | dict)
            if isinstance(value, dict):
                assert len(value["Values"]) == len(value["Counts"]) <= MOST_VALUES
                assert sum(value["Counts"]) == value["Count"]
                assert all(value["Min"] <= one <= value["Max"] for one in value["Values"])
    assert len(names) == len(set(names)) <= 100
    assert len(json.dumps(document)) < 256 * 1024


def directive_of(document: dict[str, Any], name: str) -> dict[str, Any]:
    return next(
        directive
        for directive in document["_aws"]["CloudWatchMetrics"]
        if name in [metric["Name"] for metric in directive["Metrics"]]
    )


def test_one_value_is_a_number_with_its_unit() -> None:
    metrics = Metrics(CLOCK)
    watched = series("operation_seconds", system="shop", resource="items")
    metrics.count(series("operation_seconds", system="shop", noun="table", resource="items", operation="get"), 0.25)
    (document,) = made(metrics, watched)
    assert document["operation_seconds"] == 0.25
    assert (document["system"], document["resource"]) == ("shop", "items")
    assert document["_aws"]["Timestamp"] == MINUTE * 60_000
    assert directive_of(document, "operation_seconds") == {
        "Namespace": "Windlass/shop",
        "Dimensions": [["resource", "system"]],
        "Metrics": [{"Name": "operation_seconds", "Unit": "Seconds"}],
    }


def test_a_metric_of_the_systems_own_has_the_system_for_its_only_dimension() -> None:
    metrics = Metrics(CLOCK)
    metrics.count(series("grams", system="shop"), 7)
    (document,) = made(metrics)
    assert document["_aws"]["CloudWatchMetrics"] == [
        {"Namespace": "Windlass/shop", "Dimensions": [["system"]], "Metrics": [{"Name": "grams", "Unit": "None"}]}
    ]


def test_what_aws_measures_by_itself_is_not_written() -> None:
    metrics = Metrics(CLOCK)
    for name in sorted(BUILT_IN - FAULTS.keys() - WATCHED.keys()):
        metrics.count(series(name, system="shop", api="api", queue="jobs"))
    assert made(metrics) == []


@pytest.mark.parametrize(("name", "label"), FAULTS.items())
def test_faults_are_written_where_there_were_some(name: str, label: str) -> None:
    known = series(name, system="shop", **{label: "x"})
    metrics = Metrics(CLOCK)
    metrics.repeat(known, MINUTE, 0.0, 3)
    assert made(metrics) == []
    metrics.repeat(known, MINUTE, 0.0, 3)
    metrics.repeat(known, MINUTE, 1.0, 2)
    (document,) = made(metrics)
    assert (document[name]["Sum"], document[name]["Count"], document[label]) == (2.0, 5, "x")
    assert directive_of(document, name)["Dimensions"] == [sorted(["system", label])]


def test_faults_of_several_operations_are_one_metric_of_the_resource() -> None:
    metrics = Metrics(CLOCK)
    for operation, failed in (("get", 1.0), ("put", 1.0), ("query", 0.0)):
        counted = series("operation_errors", system="shop", noun="table", resource="items", operation=operation)
        metrics.count(counted, failed)
    (document,) = made(metrics)
    assert document["operation_errors"]["Sum"] == 2.0
    assert "operation" not in document


def test_what_a_declared_alarm_watches_is_written_whole() -> None:
    system = System("shop")
    items = system.table("items", Item, key="id")
    jobs = system.queue("jobs", Item)
    api = system.api("api")

    @api.get("/items")
    def show() -> None: ...

    @jobs.consumer()
    def work(item: Item) -> None: ...

    system.alarm("slow", of=items, metric="latency", above=1)
    system.alarm("some", of=items, metric="errors", statistic="average", above=0.1)
    system.alarm("any", of=jobs, metric="failed", above=0)
    system.alarm("refused", of=api, metric="throttles", statistic="average", above=0.5)
    system.alarm("idle", of=work, metric="calls", below=1)
    system.alarm("quiet", of=show, metric="calls", below=1)
    system.alarm("deep", of=jobs, metric="depth", above=10)
    system.alarm("own", metric="grams", statistic="sum", above=10)
    watched = watched_by(system)
    assert watched == {
        series("operation_seconds", system="shop", resource="items"),
        series("operation_errors", system="shop", resource="items"),
        series("calls", system="shop", handler="work"),
    }
    metrics = Metrics(CLOCK)
    metrics.count(series("operation_errors", system="shop", noun="table", resource="items", operation="get"), 0.0)
    metrics.count(series("operation_errors", system="shop", noun="table", resource="others", operation="get"), 0.0)
    (document,) = made(metrics, *watched)
    assert (document["operation_errors"], document["resource"]) == (0.0, "items")


def test_the_same_value_many_times_is_one_value_with_its_count() -> None:
    metrics = Metrics(CLOCK)
    metrics.repeat(series("boxes", system="shop"), MINUTE, 1.0, 5000)
    (document,) = made(metrics)
    assert document["boxes"] == {
        "Values": [1.0],
        "Counts": [5000],
        "Min": 1.0,
        "Max": 1.0,
        "Sum": 5000.0,
        "Count": 5000,
    }


@given(st.lists(st.floats(1e-6, 1e9), min_size=2, max_size=400))
def test_a_distribution_keeps_its_ends_its_sum_and_its_number(values: list[float]) -> None:
    metrics = Metrics(CLOCK)
    metrics.add(series("grams", system="shop"), MINUTE, values)
    (document,) = made(metrics)
    told = document["grams"]
    assert (told["Min"], told["Max"], told["Count"]) == (min(values), max(values), len(values))
    assert told["Sum"] == pytest.approx(sum(values))


def test_each_minute_has_its_document() -> None:
    metrics = Metrics(CLOCK)
    for minute in (MINUTE, MINUTE + 1):
        metrics.add(series("grams", system="shop"), minute, [1.0])
    assert [document["_aws"]["Timestamp"] // 60_000 for document in made(metrics)] == [MINUTE, MINUTE + 1]


def test_series_that_differ_in_a_label_stand_in_different_documents() -> None:
    metrics = Metrics(CLOCK)
    for resource in ("items", "orders"):
        metrics.count(series("operation_errors", system="shop", resource=resource))
    assert [document["resource"] for document in made(metrics)] == ["items", "orders"]


def test_more_metrics_than_a_document_takes_are_spread() -> None:
    metrics = Metrics(CLOCK)
    for number in range(MOST_METRICS * 2 + 1):
        metrics.count(series(f"own_{number}", system="shop"))
    assert len(made(metrics)) == 3


def test_a_metric_that_is_called_as_a_label_is_has_that_name_for_itself() -> None:
    metrics = Metrics(CLOCK)
    metrics.count(series("system", system="shop"), 5)
    metrics.count(series("grams", system="shop"), 5)
    first, second = made(metrics)
    assert (first["system"], first["_aws"]["CloudWatchMetrics"][0]["Dimensions"]) == (5.0, [[]])
    assert second["system"] == "shop"


def test_nothing_new_is_no_document() -> None:
    assert made(Metrics(CLOCK)) == []


def test_labels_and_units_are_those_that_alarms_know() -> None:
    known = {metric.series: metric for metrics in METRICS.values() for metric in metrics.values()}
    written = {**FAULTS, **WATCHED}
    assert {name: known[name].label for name in written} == written
    assert {name for name in written if known[name].kind == "seconds"} == SECONDS


def test_the_documentation_says_what_takes_the_place_of_what_is_not_written() -> None:
    text = (Path(__file__).parents[3] / "docs" / "runtime.md").read_text()
    rows = [line.split("|") for line in text.splitlines() if line.startswith("| `")]
    replaced = {name.strip(" `") for row in rows if "`AWS/" in row[2] for name in row[1].split(",")}
    alarmed = {metric.series for metrics in METRICS.values() for metric in metrics.values()}
    assert replaced >= alarmed - FAULTS.keys() - WATCHED.keys()
    assert replaced <= BUILT_IN
