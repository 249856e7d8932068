"""What AWS raises, as what Windlass raises: refusals by IAM, and what cannot be served now."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from windlass.errors import Denied, EngineUnavailable
from windlass.model.resource import Resource
from windlass.ports.binding import running

__all__ = ["calling", "code_of"]

_REFUSED = frozenset({"AccessDenied", "AccessDeniedException", "NotAuthorized", "UnauthorizedOperation"})


def code_of(error: BaseException) -> str:
    """The code of a botocore ClientError (`ConditionalCheckFailedException`), empty for any other exception."""
    response: Any = getattr(error, "response", None)
    return str(response.get("Error", {}).get("Code", "")) if isinstance(response, dict) else ""


@contextmanager
def calling(resource: Resource, operation: str) -> Iterator[None]:
    """Around calls of boto3 for an operation: what they raise and the body does not catch becomes Denied, where IAM
    refuses, or EngineUnavailable, for all else. It never shows what AWS said to a caller, which may name accounts."""
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        yield
    except ClientError as error:
        if code_of(error) in _REFUSED:
            invocation = running()
            handler = invocation.handler if invocation is not None else resource.system.name
            raise Denied(handler, resource.address, operation) from error
        raise EngineUnavailable(f"{resource.where}.{operation}: AWS answered {code_of(error)}") from error
    except BotoCoreError as error:
        raise EngineUnavailable(f"{resource.where}.{operation}: {type(error).__name__}") from error
