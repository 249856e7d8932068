"""What the environment of a function says: which system and handler it runs, where, and how it logs.

https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path

import msgspec

from windlass.errors import EngineUnavailable

__all__ = ["Environment"]

_NEEDED = ("WINDLASS_SYSTEM", "WINDLASS_HANDLER", "WINDLASS_STAGE", "WINDLASS_CURSOR_KEY", "AWS_REGION")
_SECRETS = ("AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "WINDLASS_CURSOR_KEY")
_SHORTEST_KEY = 16


class Environment(msgspec.Struct, frozen=True):
    """`system` is the folder of the system in the bundle, `handler` the one that runs, `cursor_key` what signs cursors.
    `log_level` is a level of `logging`. `xray` is where X-Ray's daemon listens, empty where there is none. `secrets`
    are values that must not be logged, and `variables` is all that there is."""

    system: Path
    handler: str
    cursor_key: bytes
    log_level: int
    xray: str
    secrets: tuple[str, ...]
    variables: Mapping[str, str]

    @classmethod
    def read(cls, variables: Mapping[str, str]) -> Environment:
        """The environment in `variables`. Raises EngineUnavailable, which names everything that is missing."""
        if missing := [name for name in _NEEDED if not variables.get(name)]:
            raise EngineUnavailable(
                f"the function's environment lacks {', '.join(missing)}\n"
                f"  fix: deploy it again; by hand, set {'it' if len(missing) == 1 else 'them'} in the function's "
                f"configuration"
            )
        return cls(
            Path(variables["WINDLASS_SYSTEM"]),
            variables["WINDLASS_HANDLER"],
            _key(variables["WINDLASS_CURSOR_KEY"]),
            _level(variables.get("AWS_LAMBDA_LOG_LEVEL", "")),
            variables.get("AWS_XRAY_DAEMON_ADDRESS", ""),
            tuple(variables[name] for name in _SECRETS if variables.get(name)),
            variables,
        )


def _key(text: str) -> bytes:
    try:
        key = bytes.fromhex(text)
    except ValueError:
        key = b""
    if len(key) < _SHORTEST_KEY:  # what it holds is told nowhere
        raise EngineUnavailable(
            f"WINDLASS_CURSOR_KEY in the function's environment is not a key\n"
            f"  fix: give at least {_SHORTEST_KEY} bytes in hexadecimal; a deployment makes it"
        )
    return key


def _level(name: str) -> int:
    """Lambda's application log level (https://docs.aws.amazon.com/lambda/latest/dg/monitoring-cloudwatchlogs-log-level
    .html): INFO where none is set, or one that `logging` does not know."""
    level = {"TRACE": logging.DEBUG, "FATAL": logging.CRITICAL}.get(name.upper())
    return level or logging.getLevelNamesMapping().get(name.upper(), logging.INFO)
