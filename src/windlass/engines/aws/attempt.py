"""Calls that must not be done twice: tried again only where it is sure that AWS did nothing.

boto3 repeats a call whose answer was lost, as most calls may be repeated. A sum would be added twice then, a mail sent
twice, and a condition that held be refused, since the call itself has changed what it was about. So these calls are
made with `Clients.client(service, once=True)`, and where nobody can tell whether they were done, their caller is told
so: https://docs.aws.amazon.com/sdkref/latest/guide/feature-retry-behavior.html has what boto3 takes for passing.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping
from typing import Any

from windlass.engines.aws.faults import code_of

__all__ = ["backoff", "in_doubt", "retries_of", "send_once", "surely_undone"]

_ATTEMPTS = 5
_FIRST_PAUSE = 0.05
_LONGEST_PAUSE = 1.0

_THROTTLED = frozenset(
    {
        "LimitExceededException",
        "ProvisionedThroughputExceededException",
        "RequestLimitExceeded",
        "RequestThrottled",
        "RequestThrottledException",
        "Throttling",
        "ThrottledException",
        "ThrottlingException",
        "TooManyRequestsException",
    }
)


def surely_undone(error: Exception) -> bool:
    """Whether a call that raised did nothing, and may be repeated: it was throttled, or nobody was reached."""
    from botocore.exceptions import ConnectTimeoutError, EndpointConnectionError

    return code_of(error) in _THROTTLED or isinstance(error, ConnectTimeoutError | EndpointConnectionError)


def in_doubt(error: Exception) -> bool:
    """Whether nobody can tell if a call that raised was done: AWS failed half-way, or its answer did not arrive."""
    from botocore.exceptions import ClientError, ConnectionError, HTTPClientError

    if isinstance(error, ClientError):
        return int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 500)) >= 500
    return isinstance(error, ConnectionError | HTTPClientError) and not surely_undone(error)


def retries_of(error: Exception) -> int:
    """How often boto3 had repeated the call before this was its answer."""
    response: Any = getattr(error, "response", None)
    return int(response.get("ResponseMetadata", {}).get("RetryAttempts", 0)) if isinstance(response, dict) else 0


def send_once(
    send: Callable[..., Mapping[str, Any]], request: Mapping[str, Any], pause: Callable[[float], None] = time.sleep
) -> Mapping[str, Any]:
    """The answer to a method of such a client. `pause` waits for some seconds between two attempts. Raises what boto3
    does."""
    for attempt in range(1, _ATTEMPTS):
        try:
            return send(**request)
        except Exception as error:
            if not surely_undone(error):
                raise
        pause(backoff(attempt))
    return send(**request)


def backoff(attempt: int) -> float:
    """Seconds to wait, at random up to a bound that doubles: https://aws.amazon.com/builders-library/
    timeouts-retries-and-backoff-with-jitter/"""
    return random.uniform(0, min(_LONGEST_PAUSE, _FIRST_PAUSE * 2**attempt))
