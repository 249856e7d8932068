"""The entry point, in an interpreter of its own, as Lambda starts it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

from tests.unit.cli.terminal import ENVIRONMENT
from tests.unit.runtime.depot_function import ACCOUNT, payload, variables

_RUN = """
import json, sys
from windlass.runtime.entry import handle

class Context:
    aws_request_id = "request-1"
    invoked_function_arn = "arn:aws:lambda:us-east-1:ACCOUNT:function:f"
    def get_remaining_time_in_millis(self):
        return 30_000

print(json.dumps([handle(json.loads(sys.argv[1]), Context()), sorted(sys.modules)]), file=sys.stderr)
""".replace("ACCOUNT", ACCOUNT)


def start(environment: dict[str, str], event: dict[str, Any]) -> subprocess.CompletedProcess[str]:
    clean = {name: value for name, value in ENVIRONMENT.items() if not name.startswith(("WINDLASS_", "AWS_"))}
    return subprocess.run(
        [sys.executable, "-c", _RUN, json.dumps(event)],
        env={**clean, **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def test_a_function_starts_answers_and_writes_json_lines() -> None:
    done = start(variables("accept"), payload("http_post"))
    assert done.returncode == 0, done.stderr
    answer, modules = json.loads(done.stderr)
    assert answer["statusCode"] == 201
    taken, metrics = map(json.loads, done.stdout.splitlines())
    assert (taken["message"], taken["aws_request_id"], taken["handler"]) == ("taken: p1", "request-1", "accept")
    assert metrics["_aws"]["CloudWatchMetrics"][0]["Namespace"] == "Windlass/depot"
    for heavy in ("boto3", "botocore", "granian", "sqlite3", "jinja2", "argon2", "click", "windlass.dispatch.tick"):
        assert heavy not in modules


def test_the_entry_of_a_consumer_loads_no_http() -> None:
    done = start(variables("arrive"), payload("sqs"))
    assert done.returncode == 0, done.stderr
    _, modules = json.loads(done.stderr)
    assert "windlass.dispatch.http" not in modules
    assert "windlass.runtime.events.http" not in modules


def test_a_cold_start_says_what_is_missing() -> None:
    done = start({"AWS_REGION": "us-east-1", "PATH": os.defpath}, {})
    assert done.returncode == 1
    lacking = "WINDLASS_SYSTEM, WINDLASS_HANDLER, WINDLASS_STAGE, WINDLASS_CURSOR_KEY"
    assert f"EngineUnavailable: the function's environment lacks {lacking}\n" in done.stderr


def test_a_cold_start_knows_its_handlers() -> None:
    done = start(variables("acept"), {})
    assert "NotFound: depot has no handler 'acept'\n  fix: did you mean accept?" in done.stderr
