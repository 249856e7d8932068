"""Which calls may be made again, and which nobody can tell of."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import (
    ClientError,
    ConnectionClosedError,
    ConnectTimeoutError,
    EndpointConnectionError,
    HTTPClientError,
    NoCredentialsError,
    ReadTimeoutError,
)

from windlass.engines.aws.attempt import backoff, in_doubt, retries_of, send_once, surely_undone

URL = {"endpoint_url": "http://127.0.0.1:9"}


def answered(status: int, code: str, retries: int = 0) -> ClientError:
    told = {"HTTPStatusCode": status, "RetryAttempts": retries}
    return ClientError({"Error": {"Code": code}, "ResponseMetadata": told}, "UpdateItem")


@pytest.mark.parametrize(
    ("error", "undone", "doubt"),
    [
        (answered(400, "ProvisionedThroughputExceededException"), True, False),
        (answered(429, "TooManyRequestsException"), True, False),
        (answered(400, "ValidationException"), False, False),
        (answered(403, "AccessDeniedException"), False, False),
        (answered(500, "InternalServerError"), False, True),
        (answered(503, "ServiceUnavailable"), False, True),
        (EndpointConnectionError(**URL), True, False),
        (ConnectTimeoutError(**URL), True, False),
        (ReadTimeoutError(**URL), False, True),
        (ConnectionClosedError(**URL), False, True),
        (HTTPClientError(error=OSError()), False, True),
        (NoCredentialsError(), False, False),
        (ValueError("of our own"), False, False),
    ],
)
def test_a_call_was_not_done_or_nobody_knows(error: Exception, undone: bool, doubt: bool) -> None:
    assert (surely_undone(error), in_doubt(error)) == (undone, doubt)


def test_boto_tells_how_often_it_tried() -> None:
    assert (retries_of(answered(400, "x", 2)), retries_of(answered(400, "x")), retries_of(ValueError())) == (2, 0, 0)


def saying(*answers: Exception | dict[str, Any]) -> tuple[Callable[..., dict[str, Any]], list[dict[str, Any]]]:
    left, asked = list(answers), list[dict[str, Any]]()

    def send(**request: Any) -> dict[str, Any]:
        asked.append(request)
        answer = left.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    return send, asked


def test_a_call_is_made_again_only_when_it_was_not_done() -> None:
    pauses: list[float] = []
    throttled = answered(400, "ThrottlingException")
    send, asked = saying(throttled, EndpointConnectionError(**URL), {"done": True})
    assert send_once(send, {"a": 1}, pauses.append) == {"done": True}
    assert (asked, len(pauses)) == ([{"a": 1}] * 3, 2)
    send, asked = saying(throttled, ReadTimeoutError(**URL))
    with pytest.raises(ReadTimeoutError):
        send_once(send, {}, pauses.append)
    assert len(asked) == 2
    send, asked = saying(*[throttled] * 9)
    with pytest.raises(ClientError):
        send_once(send, {}, pauses.append)
    assert len(asked) == 5


def test_a_pause_is_at_most_a_second() -> None:
    assert all(0 <= backoff(attempt) <= min(1.0, 0.05 * 2**attempt) for attempt in range(20))
