"""From a fresh interpreter to the first answer of file_sla's API, as a Lambda function gives it.

The answer is a refusal by validation, which comes before anything is asked of AWS. Windlass runs from an
unpacked bundle; its peers from where they are installed, with their byte code.
"""

from __future__ import annotations

import io
import json
import os
import statistics
import subprocess
import sys
import sysconfig
import tempfile
import time
import zipfile
from importlib import metadata
from pathlib import Path

from bench.effort import Effort
from bench.result import Result
from bench.service import BASE
from windlass.synth.bundle import bundle
from windlass.synth.wheels import Target, Wheels

__all__ = ["measure"]

_APPS = BASE / "apps"
_RUNS = 15
_EVENT = {
    "version": "2.0",
    "routeKey": "POST /auth",
    "rawPath": "/auth",
    "rawQueryString": "",
    "headers": {"content-type": "application/json", "host": "api.example.com", "user-agent": "bench"},
    "requestContext": {
        "accountId": "123456789012",
        "apiId": "api",
        "domainName": "api.example.com",
        "http": {
            "method": "POST",
            "path": "/auth",
            "protocol": "HTTP/1.1",
            "sourceIp": "127.0.0.1",
            "userAgent": "bench",
        },
        "requestId": "1",
        "routeKey": "POST /auth",
        "stage": "$default",
        "time": "01/Jan/2026:00:00:00 +0000",
        "timeEpoch": 1767225600000,
    },
    "body": json.dumps({"username": 1}),
    "isBase64Encoded": False,
}


def measure(effort: Effort) -> list[Result]:
    """The services take turns, fifteen times each, whatever the effort: a cold start is short, and varies."""
    with tempfile.TemporaryDirectory() as folder:
        _unpack(Path(folder))
        seconds = {(name, client): [0.0] * 0 for client in (False, True) for name in _SERVICES}
        for number in range(_RUNS + 1):
            for (name, client), runs in seconds.items():
                took = _first_answer(name, Path(folder), client=client)
                if number > 0:  # the first reads the files from the disk
                    runs.append(took)
    median = {key: statistics.median(runs) * 1000 for key, runs in seconds.items()}
    for (name, client), runs in seconds.items():
        spread = f"{min(runs) * 1000:.0f} to {max(runs) * 1000:.0f}"
        with_client = "with a DynamoDB client" if client else "without a client"
        print(f"cold start {with_client}: {name:9} {median[name, client]:.0f} ms ({spread})", flush=True)

    def ratio(peer: str, *, client: bool) -> float:
        pairs = zip(seconds["windlass", client], seconds[peer, client], strict=True)
        return statistics.median(own / other for own, other in pairs)

    return [
        Result("cold start, Windlass / FastAPI + Mangum", ratio("mangum", client=False), "x", at_most=0.35),
        Result("likewise, with a DynamoDB client", ratio("mangum", client=True), "x", at_most=0.6),
        Result("cold start, Windlass / Chalice", ratio("chalice", client=False), "x", at_most=1.0),
        Result("likewise, with a DynamoDB client", ratio("chalice", client=True), "x", at_most=1.0),
        Result("cold start, Windlass", median["windlass", False], "ms"),
        Result("cold start with a DynamoDB client, Windlass", median["windlass", True], "ms"),
    ]


_SERVICES = ("windlass", "mangum", "chalice")


def _unpack(folder: Path) -> None:
    """Makes `bundle`, what Lambda unpacks, and `lambda`, what it has itself: boto3, and what that requires."""
    target = Target.here()
    wheels = Wheels(target, folder / "wheels")
    made = bundle(BASE.parent / "systems" / "file_sla", wheels, target)
    with zipfile.ZipFile(io.BytesIO(made.content)) as archive:
        archive.extractall(folder / "bundle")
    (folder / "lambda").mkdir()
    for name in wheels.with_requirements(["boto3"], asked_by="Lambda"):
        distribution = metadata.distribution(name)
        tops = {path.parts[0] for path in distribution.files or () if path.suffix == ".py"} - {"..", "bin"}
        for top in tops:
            (folder / "lambda" / top).symlink_to(Path(str(distribution.locate_file(top))))


def _first_answer(name: str, folder: Path, *, client: bool) -> float:
    """Seconds until the status is read. The interpreter looks in the bundle and in what Lambda has, or for the peers
    in this environment's packages, and nowhere else: an environment's own start is not what is measured."""
    ours = name == "windlass"
    paths = [str(folder / "bundle"), str(folder / "lambda")] if ours else [sysconfig.get_path("purelib")]
    command = [sys.executable, "-S", "-s", "-B", str(_APPS / f"{name}_file_sla.py"), json.dumps(_EVENT)]
    environment = {"PATH": os.environ.get("PATH", ""), "PYTHONPATH": os.pathsep.join(paths)}
    started = time.perf_counter()
    done = subprocess.Popen(
        command + ["client"] * client,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=environment,
        cwd=folder / "bundle",
    )
    assert done.stdout is not None
    with done:
        for line in done.stdout:
            if line.startswith(b"status"):
                took = time.perf_counter() - started
                assert line.split() == [b"status", b"400"], line
                return took
    raise RuntimeError(f"{name} gave no answer")
