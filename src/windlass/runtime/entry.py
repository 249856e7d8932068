"""The entry point of every function: `windlass.runtime.entry.handle`.

What the environment must say is in `environment.py`. All that can be done before the first event is done when this
module is imported: Lambda gives a function a whole processor for that time, and does not count it as a request's.
"""

from __future__ import annotations

import logging
import os
import sys
from typing import Any

from windlass.engines.aws.clients import Clients
from windlass.graph.load import load
from windlass.runtime.environment import Environment
from windlass.runtime.function import Function, LambdaContext, function_of, handler_called, redactor_for
from windlass.runtime.recorder import Recorder

__all__ = ["handle"]


def _write(lines: bytes) -> None:
    sys.stdout.buffer.write(lines)
    sys.stdout.buffer.flush()


_environment = Environment.read(os.environ)
_system = load(_environment.system)
_clients = Clients(os.environ["AWS_REGION"])
_recorder = Recorder(
    _system.name,
    handler_called(_system, _environment.handler).name,
    _write,
    redactor=redactor_for(_environment),
    xray=_environment.xray,
    level=_environment.log_level,
)
# Lambda's own handler writes lines of another form, one by one; this one takes its place.
logging.getLogger().handlers[:] = [_recorder]
logging.getLogger().setLevel(_environment.log_level)
# Below that it tells, at each cold start, where it found its credentials.
logging.getLogger("botocore").setLevel(logging.WARNING)
_function: Function | None = None


def handle(event: dict[str, Any], context: LambdaContext) -> Any:
    """What Lambda calls."""
    global _function
    if _function is None:  # the account is told by the first context
        account = context.invoked_function_arn.split(":")[4]
        _function = function_of(_system, _environment, _recorder, _clients, account)
    return _function(event, context)
