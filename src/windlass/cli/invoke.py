"""`windlass invoke`."""

from __future__ import annotations

import logging
import os
import secrets
import sys
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
import msgspec

from windlass.cli.declared import system_argument
from windlass.cli.document import print_json
from windlass.errors import BadRequest
from windlass.model.system import System

__all__ = ["invoke"]

_ACCOUNT = "000000000000"  # which those that stand in for AWS take as their own
_REGION = "us-east-1"
_STARTING_SECONDS = 1.0
"""What a deployed function has beyond its handler's timeout, to start and to answer."""


class _Context:
    """What Lambda tells an invocation of itself, made up."""

    def __init__(self, function: str, region: str, seconds: float) -> None:
        self.aws_request_id = str(uuid.uuid4())
        self.invoked_function_arn = f"arn:aws:lambda:{region}:{_ACCOUNT}:function:{function}"
        self._ends = time.monotonic() + seconds

    def get_remaining_time_in_millis(self) -> int:
        return max(0, int((self._ends - time.monotonic()) * 1000))


def _variables(ctx: click.Context, parameter: click.Parameter, said: Sequence[str]) -> dict[str, str]:
    variables = {}
    for text in said:
        name, equals, value = text.partition("=")
        if not name or not equals:
            raise click.BadParameter(f"{text!r} is not NAME=VALUE", ctx, parameter)
        variables[name] = value
    return variables


@click.command(
    epilog="""\b
Examples:
  windlass invoke shop create --event request.json
  windlass invoke shop create --event -
  windlass invoke shop persist --event batch.json --endpoint http://127.0.0.1:4566 --stage test"""
)
@system_argument
@click.argument("handler")
@click.option("--event", "event_file", required=True, metavar="FILE", help="The event, as JSON; -: standard input.")
@click.option("--stage", default="dev", show_default=True, metavar="NAME", help="The stage whose resources are used.")
@click.option("--endpoint", metavar="URL", help="What stands in for AWS; else AWS itself is called.")
@click.option(
    "--env",
    "variables",
    multiple=True,
    callback=_variables,
    metavar="NAME=VALUE",
    help="A variable of the function's environment; may be repeated.",
)
def invoke(
    system: System,
    handler: str,
    event_file: str,
    stage: str,
    endpoint: str | None,
    variables: Mapping[str, str],
) -> None:
    """Run a handler as its Lambda function would, on an event of AWS.

    Prints what the function answers; its log lines and metrics go to standard error. Resources are those of the
    stage, with the credentials and the region that the AWS CLI would use.
    """
    from windlass.engines.aws.clients import Clients
    from windlass.runtime.environment import Environment
    from windlass.runtime.function import function_of, handler_called, redactor_for
    from windlass.runtime.recorder import Recorder

    model = handler_called(system, handler)
    event = _event(event_file)
    region = variables.get("AWS_REGION") or os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")
    own = {
        "WINDLASS_SYSTEM": ".",  # it is loaded already
        "WINDLASS_HANDLER": model.name,
        "WINDLASS_STAGE": stage,
        "WINDLASS_CURSOR_KEY": secrets.token_hex(32),
        "AWS_REGION": region or _REGION,
    }
    with _environment({**own, **variables}):
        environment = Environment.read(os.environ)
        recorder = Recorder(
            system.name,
            model.name,
            _to_stderr,
            redactor=redactor_for(environment),
            xray=environment.xray,
            level=environment.log_level,
        )
        with _logging(recorder):
            clients = Clients(environment.variables["AWS_REGION"], endpoint=endpoint)
            function = function_of(system, environment, recorder, clients, _ACCOUNT)
            context = _Context(f"{system.name}-{stage}-{model.name}", clients.region, model.timeout + _STARTING_SECONDS)
            answer = function(event, context)
    print_json(answer)


def _event(file: str) -> Any:
    text = sys.stdin.buffer.read() if file == "-" else Path(file).read_bytes()
    try:
        return msgspec.json.decode(text)
    except msgspec.DecodeError as error:
        where = "standard input" if file == "-" else file
        raise BadRequest(f"{where} is not JSON: {error}\n  fix: give one event, as AWS sends it") from None


def _to_stderr(lines: bytes) -> None:
    sys.stderr.write(lines.decode())
    sys.stderr.flush()


@contextmanager
def _environment(variables: Mapping[str, str]) -> Iterator[None]:
    """Inside, this process has the function's environment, which handlers and boto3 read."""
    before = dict(os.environ)
    os.environ.update(variables)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


@contextmanager
def _logging(recorder: logging.Handler) -> Iterator[None]:
    root, botocore = logging.getLogger(), logging.getLogger("botocore")
    level, botocore_level = root.level, botocore.level
    root.addHandler(recorder)
    root.setLevel(recorder.level)
    botocore.setLevel(logging.WARNING)  # as in the function
    try:
        yield
    finally:
        root.setLevel(level)
        botocore.setLevel(botocore_level)
        root.removeHandler(recorder)
        recorder.close()
