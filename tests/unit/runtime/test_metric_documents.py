"""Metrics in CloudWatch's embedded metric format."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from windlass.dispatch.metrics import Metrics, minute_of, series
from windlass.model.alarm_metric import METRICS
from windlass.ports.clock import ManualClock
from windlass.runtime.metric_documents import MOST_METRICS, MOST_VALUES, SECONDS, WATCHED, documents

CLOCK = ManualClock()
MINUTE = minute_of(CLOCK.now())


def made(metrics: Metrics) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = [json.loads(one) for one in documents(metrics.take(), "Windlass/shop")]
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
    metrics.count(series("request_seconds", system="shop", api="api", handler="create"), 0.25)
    (document,) = made(metrics)
    assert document["request_seconds"] == 0.25
    assert (document["system"], document["api"], document["handler"]) == ("shop", "api", "create")
    assert document["_aws"]["Timestamp"] == MINUTE * 60_000
    directive = directive_of(document, "request_seconds")
    assert directive["Metrics"] == [{"Name": "request_seconds", "Unit": "Seconds"}]


def test_what_an_alarm_watches_has_dimensions_of_its_own() -> None:
    metrics = Metrics(CLOCK)
    metrics.count(series("requests", system="shop", api="api", handler="create", status="200"))
    metrics.count(series("grams", system="shop"), 7)
    (document,) = made(metrics)
    assert directive_of(document, "requests")["Dimensions"] == [
        ["api", "handler", "status", "system"],
        ["api", "system"],
    ]
    assert directive_of(document, "grams") == {
        "Namespace": "Windlass/shop",
        "Dimensions": [["system"]],
        "Metrics": [{"Name": "grams", "Unit": "None"}],
    }


def test_the_same_value_many_times_is_one_value_with_its_count() -> None:
    metrics = Metrics(CLOCK)
    metrics.repeat(series("calls", system="shop", handler="arrive", outcome="ok"), MINUTE, 1.0, 5000)
    (document,) = made(metrics)
    assert document["calls"] == {
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
    metrics.add(series("duration", system="shop", handler="x"), MINUTE, values)
    (document,) = made(metrics)
    told = document["duration"]
    assert (told["Min"], told["Max"], told["Count"]) == (min(values), max(values), len(values))
    assert told["Sum"] == pytest.approx(sum(values))


def test_each_minute_has_its_document() -> None:
    metrics = Metrics(CLOCK)
    for minute in (MINUTE, MINUTE + 1):
        metrics.add(series("grams", system="shop"), minute, [1.0])
    assert [document["_aws"]["Timestamp"] // 60_000 for document in made(metrics)] == [MINUTE, MINUTE + 1]


def test_series_that_differ_in_a_label_stand_in_different_documents() -> None:
    metrics = Metrics(CLOCK)
    for operation in ("get", "put"):
        metrics.count(series("operations", system="shop", noun="table", resource="items", operation=operation))
    assert [document["operation"] for document in made(metrics)] == ["get", "put"]


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
    known = [metric for metrics in METRICS.values() for metric in metrics.values()]
    assert {metric.series: metric.label for metric in known} == WATCHED
    assert {metric.series for metric in known if metric.kind == "seconds"} == SECONDS
