"""Telemetry from end to end: a server that runs, and the commands that show what happened on it."""

import json
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from tests.up import Up
from windlass.cli.main import main

APP = Path(__file__).parents[1] / "engines" / "embedded" / "telemetry_app"
TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    with Up(APP, home=tmp_path_factory.mktemp("telemetry") / "home", options=("--no-reload",)) as up:
        yield up


def ask(home: Path, *arguments: str) -> Any:
    result = CliRunner().invoke(main, [*arguments, "--json", "--home", str(home)])
    return json.loads(result.stdout) if result.exit_code == 0 else None


def eventually(asked: Callable[[], Any]) -> Any:
    """What `asked` returns when it is something."""
    pause = threading.Event()
    for _ in range(200):
        found = asked()
        if found:
            return found
        pause.wait(0.05)
    raise AssertionError("it did not come to be within ten seconds")


def spans(home: Path, trace: str, number: int) -> list[dict[str, Any]]:
    def complete() -> Any:
        found = ask(home, "traces", trace)
        return found["spans"] if found and len(found["spans"]) >= number else None

    found: list[dict[str, Any]] = eventually(complete)
    return found


def test_a_request_its_delivery_and_its_table_are_one_tree(up: Up) -> None:
    answer = up.http.post("/shop/orders", json={"id": "one"}, headers={"traceparent": f"00-{TRACE}-{SPAN}-01"})
    assert answer.headers["x-trace-id"] == TRACE
    request, send, delivery, write = spans(up.home, TRACE, 4)
    assert [span["name"] for span in (request, send, delivery, write)] == [
        "POST /orders",
        "placed.send",
        "queue placed",
        "orders.write",
    ]
    assert (request["parent"], request["status"]) == (SPAN, 202)
    assert answer.json()["traceparent"] == f"00-{TRACE}-{request['id']}-01"
    assert [send["parent"], delivery["parent"], write["parent"]] == [request["id"], request["id"], delivery["id"]]
    messages = [entry["message"] for entry in ask(up.home, "logs", "--trace", TRACE)]
    assert messages == ["order one is taken", "order one is stored"]


def test_a_batch_of_several_traces_is_found_from_each(up: Up) -> None:
    first, second = (up.http.post("/shop/batches", json={"id": number}).headers["x-trace-id"] for number in "ab")
    for trace in (first, second):
        found = spans(up.home, trace, 5)
        assert [span["name"] for span in found] == [
            "POST /batches",
            "many.send",
            "queue many",
            "orders.write",
            "orders.write",
        ]
        assert sorted(link.partition("-")[0] for link in found[2]["links"]) == sorted([first, second])
    tree = CliRunner().invoke(main, ["traces", first, "--home", str(up.home)]).stdout
    assert "└─ queue many  (store_many)  2 messages" in tree
    assert "   └─ orders.write" in tree


def test_secrets_are_masked_wherever_they_are_kept(up: Up) -> None:
    answer = up.http.get("/shop/broken/hunter22")
    assert answer.status_code == 500
    [span] = spans(up.home, answer.headers["x-trace-id"], 1)
    assert span["name"] == "GET /broken/{password}"
    assert span["error"] == "ValueError: password=*** is of no use"
    entries = ask(up.home, "logs", "--trace", answer.headers["x-trace-id"], "--handler", "broken", "--level", "warning")
    assert entries[0]["message"] == "about to break with password=***"
    assert entries[0]["span_id"] == span["id"]
    assert "Traceback" in entries[1]["message"]
    assert [found["trace"] for found in ask(up.home, "traces", "--errors")] == [answer.headers["x-trace-id"]]


def test_metrics_are_shown(up: Up) -> None:
    up.http.get("/shop/orders/nothing")

    def found() -> Any:
        shown = ask(up.home, "metrics", "--system", "shop") or {"metrics": []}
        series = {(row["name"], row["labels"].get("handler")) for row in shown["metrics"]}
        return shown if ("requests", "read") in series else None

    shown = eventually(found)
    assert {queue["queue"] for queue in shown["queues"]} == {"placed", "many"}


def test_all_of_it_is_there_after_a_kill_and_goes_on(tmp_path: Path) -> None:
    home = tmp_path / "home"
    up = Up(APP, home=home, options=("--no-reload",))
    trace = up.http.post("/shop/orders", json={"id": "1"}).headers["x-trace-id"]
    spans(home, trace, 4)
    eventually(lambda: (found := ask(home, "metrics", "order_value")) and found["metrics"])
    up.kill()
    assert len(spans(home, trace, 4)) == 4
    with Up(APP, home=home, options=("--no-reload",)) as again:
        again.http.post("/shop/orders", json={"id": "2"})
    [row] = ask(home, "metrics", "order_value")["metrics"]
    assert (row["count"], row["sum"]) == (2, 25.0)


def test_without_room_nothing_is_kept(tmp_path: Path) -> None:
    home = tmp_path / "home"
    with Up(APP, home=home, options=("--no-reload", "--telemetry-mb", "0")) as up:
        assert up.http.post("/shop/orders", json={"id": "1"}).status_code == 202
    assert sorted(file.name for file in (home / "default" / "telemetry").iterdir()) == ["metrics.sqlite"]
    result = CliRunner().invoke(main, ["traces", "--home", str(home)])
    assert result.exit_code == 1
    assert "no traces were recorded" in result.output


@pytest.mark.parametrize(
    "options",
    [["--telemetry-mb", "-1"], ["--telemetry-days", "0"], ["--otlp", "localhost"]],
    ids=["mb", "days", "otlp"],
)
def test_what_cannot_be_is_refused_at_the_start(tmp_path: Path, options: list[str]) -> None:
    result = CliRunner().invoke(main, ["up", str(APP), "--home", str(tmp_path / "home"), *options])
    assert result.exit_code in (1, 2)
    assert not (tmp_path / "home").exists()


def test_several_processes_keep_their_telemetry_side_by_side(tmp_path: Path) -> None:
    home = tmp_path / "home"
    with Up(APP, home=home, options=("--no-reload", "--workers", "2")) as up:
        trace = up.http.post("/shop/orders", json={"id": "1"}).headers["x-trace-id"]
        names = [span["name"] for span in spans(home, trace, 4)]
        assert names == ["POST /orders", "placed.send", "queue placed", "orders.write"]
        value = eventually(
            lambda: [line for line in up.http.get("/_windlass/metrics").text.splitlines() if "handled_total{" in line]
        )
    assert value == ['windlass_messages_handled_total{queue="placed",system="shop"} 1.0']
