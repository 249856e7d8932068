"""The environment of a function."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from tests.unit.runtime.depot_function import variables
from windlass.errors import EngineUnavailable
from windlass.runtime.environment import Environment


def test_what_the_environment_says() -> None:
    told = variables("accept", AWS_LAMBDA_LOG_LEVEL="DEBUG", AWS_XRAY_DAEMON_ADDRESS="127.0.0.1:2000")
    environment = Environment.read({**told, "AWS_SESSION_TOKEN": "token"})
    assert (environment.system, environment.handler) == (Path(told["WINDLASS_SYSTEM"]), "accept")
    assert (environment.cursor_key, environment.log_level) == (bytes(32), logging.DEBUG)
    assert environment.xray == "127.0.0.1:2000"
    assert environment.secrets == ("token", "00" * 32)


@pytest.mark.parametrize(
    "name", ["WINDLASS_SYSTEM", "WINDLASS_HANDLER", "WINDLASS_STAGE", "WINDLASS_CURSOR_KEY", "AWS_REGION"]
)
def test_what_is_missing_is_named(name: str) -> None:
    with pytest.raises(EngineUnavailable, match=f"lacks {name}\n  fix: deploy it again; by hand, set it"):
        Environment.read({**variables("accept"), name: ""})


def test_all_that_is_missing_is_named_together() -> None:
    with pytest.raises(EngineUnavailable, match=r"lacks WINDLASS_SYSTEM, .*, AWS_REGION\n.* set them"):
        Environment.read({})


@pytest.mark.parametrize("key", ["not hexadecimal", "00ff"])
def test_a_key_that_is_none_is_refused_and_not_shown(key: str) -> None:
    with pytest.raises(EngineUnavailable, match=r"WINDLASS_CURSOR_KEY .* is not a key") as refused:
        Environment.read({**variables("accept"), "WINDLASS_CURSOR_KEY": key})
    assert key not in str(refused.value)


@pytest.mark.parametrize(
    ("name", "level"),
    [("", logging.INFO), ("TRACE", logging.DEBUG), ("fatal", logging.CRITICAL), ("WARN", logging.WARNING), ("x", 20)],
)
def test_levels_are_those_of_lambda(name: str, level: int) -> None:
    assert Environment.read({**variables("accept"), "AWS_LAMBDA_LOG_LEVEL": name}).log_level == level
