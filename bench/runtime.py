"""What the Lambda runtime costs over bare handlers that do the same with json: a request, and a record of a batch of
100; with its log lines and metrics, which are written to the null device. And how long a function takes to start.

Neither waits for anything, so the time of the processor is measured, which others on the machine change little.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bench.apps import bare_parcels
from bench.effort import Effort
from bench.result import Result
from bench.service import BASE
from windlass.dispatch.redact import Redactor
from windlass.engines.aws.clients import Clients
from windlass.graph.load import load
from windlass.runtime.environment import Environment
from windlass.runtime.function import function_of
from windlass.runtime.recorder import Recorder

__all__ = ["measure"]

_SYSTEM = BASE / "apps" / "parcels"
_ACCOUNT = "000000000000"
_BATCH = 100
_CALLS = 1000
_CHUNKS = 5
_PARCEL = json.dumps({"id": "018f6f3c-1c0e-7d3a-9d1b-6f2f4c1f7e11", "to": "Ada Lovelace, London", "grams": 1200})

_START = """
import json, logging, os, sys, time, decimal, urllib.request
began = time.process_time()
from windlass.runtime.entry import handle
class Context:
    aws_request_id = "1"
    invoked_function_arn = "arn:aws:lambda:eu-central-1:000000000000:function:f"
    def get_remaining_time_in_millis(self):
        return 10_000
assert handle(json.loads(sys.argv[1]), Context())["statusCode"] == 201
sys.stderr.write(str(time.process_time() - began))
"""

_Handler = Callable[[dict[str, Any], Any], Any]


class _Context:
    aws_request_id = "8f507cfc-xmpl-4697-b07a-ac58fc914c95"
    invoked_function_arn = f"arn:aws:lambda:eu-central-1:{_ACCOUNT}:function:parcels-bench-accept"

    def get_remaining_time_in_millis(self) -> int:
        return 10_000


def measure(effort: Effort) -> list[Result]:
    """Measures both in turn, round by round; the figure is the median of the rounds."""
    request, batch = _request(), {"Records": [_record(number) for number in range(_BATCH)]}
    with Path(os.devnull).open("wb", buffering=0) as nowhere:
        accept, arrive = _function("accept", nowhere.write), _function("arrive", nowhere.write)
        # The first calls compile what is compiled once.
        assert accept(request, _Context())["statusCode"] == 201
        assert arrive(batch, _Context()) == {"batchItemFailures": []}
        requests = _rounds("a request", effort, accept, bare_parcels.accept, request, _CALLS)
        records = _rounds("a batch of 100", effort, arrive, bare_parcels.arrive, batch, _CALLS // 20)
    started = [_start() for _ in range(effort.rounds)]
    print("start: " + "  ".join(f"{seconds * 1000:.0f} ms" for seconds in started), flush=True)
    return [
        Result("runtime, a request over a bare handler", requests, "microseconds", at_most=150.0),
        Result("runtime, a record of 100 over a bare handler", records / _BATCH, "microseconds", at_most=20.0),
        Result("runtime, start and first request", statistics.median(started) * 1000, "ms"),
    ]


def _variables(handler: str) -> dict[str, str]:
    return {
        "WINDLASS_SYSTEM": str(_SYSTEM),
        "WINDLASS_HANDLER": handler,
        "WINDLASS_STAGE": "bench",
        "WINDLASS_CURSOR_KEY": "00" * 32,
        "AWS_REGION": "eu-central-1",
    }


def _function(handler: str, write: Callable[[bytes], object]) -> _Handler:
    system = load(_SYSTEM)
    recorder = Recorder(system.name, handler, write, redactor=Redactor())
    environment = Environment.read(_variables(handler))
    return function_of(system, environment, recorder, Clients("eu-central-1"), _ACCOUNT)


def _rounds(what: str, effort: Effort, runtime: _Handler, bare: _Handler, event: dict[str, Any], calls: int) -> float:
    """The microseconds that a call through the runtime takes more than a bare one: in each round the best of some
    runs of each, of the rounds the median."""
    over = []
    for number in range(effort.rounds):
        ours, theirs = _microseconds(runtime, event, calls), _microseconds(bare, event, calls)
        over.append(ours - theirs)
        print(f"{what}, round {number + 1}: runtime {ours:.1f} us  bare {theirs:.1f} us", flush=True)
    return statistics.median(over)


def _microseconds(handler: _Handler, event: dict[str, Any], calls: int) -> float:
    context = _Context()
    chunks = []
    for _ in range(_CHUNKS):
        began = time.process_time()
        for _ in range(calls):
            handler(event, context)
        chunks.append((time.process_time() - began) / calls * 1e6)
    return min(chunks)


def _start() -> float:
    """Seconds of the processor until the first answer, in a new interpreter that has what Lambda's runtime imports."""
    done = subprocess.run(
        [sys.executable, "-c", _START, json.dumps(_request())],
        env={**os.environ, **_variables("accept")},
        cwd=BASE.parent,
        capture_output=True,
        text=True,
        check=True,
    )
    return float(done.stderr)


def _request() -> dict[str, Any]:
    return {
        "version": "2.0",
        "routeKey": "POST /parcels",
        "rawPath": "/parcels",
        "rawQueryString": "",
        "headers": {
            "accept": "*/*",
            "content-length": str(len(_PARCEL)),
            "content-type": "application/json",
            "host": "abcdefghij.execute-api.eu-central-1.amazonaws.com",
            "user-agent": "curl/8.5.0",
            "x-amzn-trace-id": "Root=1-5759e988-bd862e3fe1be46a994272793",
            "x-forwarded-for": "192.0.2.1",
            "x-forwarded-port": "443",
            "x-forwarded-proto": "https",
        },
        "requestContext": {
            "accountId": _ACCOUNT,
            "apiId": "abcdefghij",
            "domainName": "abcdefghij.execute-api.eu-central-1.amazonaws.com",
            "domainPrefix": "abcdefghij",
            "http": {
                "method": "POST",
                "path": "/parcels",
                "protocol": "HTTP/1.1",
                "sourceIp": "192.0.2.1",
                "userAgent": "curl/8.5.0",
            },
            "requestId": "JKJaXmPLvHcESHA=",
            "routeKey": "POST /parcels",
            "stage": "$default",
            "time": "10/Mar/2026:05:16:23 +0000",
            "timeEpoch": 1773119783000,
        },
        "body": _PARCEL,
        "isBase64Encoded": False,
    }


def _record(number: int) -> dict[str, Any]:
    return {
        "messageId": f"059f36b4-87a3-44ab-83d2-{number:012}",
        "receiptHandle": "AQEBwJnKyrHigUMZj6rYigCgxlaS3SLy0a",
        "body": _PARCEL,
        "attributes": {
            "ApproximateReceiveCount": "1",
            "SentTimestamp": "1773119783000",
            "SenderId": "AIDAIENQZJOLO23YVJ4VO",
            "ApproximateFirstReceiveTimestamp": "1773119783100",
        },
        "messageAttributes": {},
        "md5OfBody": "e4e68fb7bd0e697a0ae8f1bb342846b3",
        "eventSource": "aws:sqs",
        "eventSourceARN": f"arn:aws:sqs:eu-central-1:{_ACCOUNT}:parcels-bench-arrivals",
        "awsRegion": "eu-central-1",
    }
