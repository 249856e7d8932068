"""Functions of the depot, as Lambda would start them, and what they leave."""

from __future__ import annotations

import copy
import json
import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from windlass.dispatch.redact import Redactor
from windlass.engines.aws.clients import Clients
from windlass.graph.load import load
from windlass.runtime.environment import Environment
from windlass.runtime.function import Function, function_of
from windlass.runtime.recorder import Recorder

HERE = Path(__file__).parent
ACCOUNT = "123456789012"


def payload(name: str, **changed: Any) -> dict[str, Any]:
    """An event as AWS's documentation shows it, with other members at its top."""
    event: dict[str, Any] = json.loads((HERE / "payloads" / f"{name}.json").read_text())
    return {**event, **copy.deepcopy(changed)}


def variables(handler: str, **more: str) -> dict[str, str]:
    """The environment of a function of the depot."""
    return {
        "WINDLASS_SYSTEM": str(HERE / "depot"),
        "WINDLASS_HANDLER": handler,
        "WINDLASS_STAGE": "dev",
        "WINDLASS_CURSOR_KEY": "00" * 32,
        "WINDLASS_STAFF_POOL": "us-east-1_example",
        "WINDLASS_STAFF_CLIENT": "7a8b9cexample",
        "AWS_REGION": "us-east-1",
        **more,
    }


class Context:
    """What Lambda tells an invocation of itself."""

    def __init__(self, seconds: float = 30.0) -> None:
        self.aws_request_id = "8f507cfc-0000-4697-b07a-ac58fc914c95"
        self.invoked_function_arn = f"arn:aws:lambda:us-east-1:{ACCOUNT}:function:depot-dev-x"
        self._ends = time.monotonic() + seconds

    def get_remaining_time_in_millis(self) -> int:
        return int((self._ends - time.monotonic()) * 1000)


class Left:
    """What a function has written, one entry for each write."""

    def __init__(self) -> None:
        self.writes: list[bytes] = []

    @property
    def lines(self) -> list[dict[str, Any]]:
        """All log lines."""
        return [line for line in self._all() if "_aws" not in line]

    @property
    def said(self) -> list[str]:
        """The messages of level INFO."""
        return [line["message"] for line in self.lines if line["level"] == "INFO"]

    @property
    def metrics(self) -> dict[str, Any]:
        """All metrics by name; of one that stands in several documents, the last."""
        found: dict[str, Any] = {}
        for document in self._all():
            for directive in document.get("_aws", {}).get("CloudWatchMetrics", []):
                found |= {metric["Name"]: document[metric["Name"]] for metric in directive["Metrics"]}
        return found

    def _all(self) -> list[dict[str, Any]]:
        return [json.loads(line) for write in self.writes for line in write.decode().splitlines()]


@contextmanager
def function(handler: str, *, xray: str = "") -> Iterator[tuple[Function, Left]]:
    """The function of a handler of the depot, whose log is the process's, and what it leaves."""
    left, redactor, root = Left(), Redactor(), logging.getLogger()
    system = load(HERE / "depot")
    recorder = Recorder(system.name, handler, left.writes.append, redactor=redactor, xray=xray)
    environment = Environment.read(variables(handler))
    made = function_of(system, environment, recorder, Clients("us-east-1"), ACCOUNT)
    level = root.level
    root.addHandler(recorder)
    root.setLevel(logging.INFO)
    try:
        yield made, left
    finally:
        root.setLevel(level)
        root.removeHandler(recorder)
        recorder.close()


def body_of(answer: dict[str, Any]) -> Any:
    """The JSON of an answer's body."""
    return json.loads(answer["body"])
