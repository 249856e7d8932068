"""boto3's clients: made once each, at the first call, since each costs a tenth of a second of a cold start."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from botocore.session import Session

__all__ = ["Clients"]

_CONNECT_SECONDS = 2.0
_READ_SECONDS = 10.0
_ATTEMPTS = 5


class Clients:
    """The clients of one region. `endpoint` stands in for AWS's own, as the variable `AWS_ENDPOINT_URL` does;
    `access_key` and `secret_key` for what boto3 finds by itself."""

    def __init__(
        self,
        region: str,
        *,
        endpoint: str | None = None,
        access_key: str | None = None,
        secret_key: str | None = None,
        token: str | None = None,
    ) -> None:
        self.region, self.endpoint = region, endpoint
        self._keys = {
            "aws_access_key_id": access_key,
            "aws_secret_access_key": secret_key,
            "aws_session_token": token,
        }
        self._lock = threading.Lock()
        self._session: Session | None = None
        self._made: dict[str, Any] = {}

    def client(self, service: str) -> Any:
        """The client of a service, by boto3's name for it: `dynamodb`, `sqs`, `cognito-idp`. Any, as botocore makes
        its classes when it runs."""
        made = self._made.get(service)
        if made is None:
            with self._lock:  # botocore's session is not for several threads at once
                made = self._made.get(service)
                if made is None:
                    made = self._made[service] = self.make(service)
        return made

    def make(self, service: str) -> Any:
        """A new client of a service."""
        from botocore.config import Config
        from botocore.session import Session

        if self._session is None:
            self._session = Session()
        config = Config(
            connect_timeout=_CONNECT_SECONDS,
            read_timeout=_READ_SECONDS,
            retries={"mode": "adaptive", "total_max_attempts": _ATTEMPTS},
            tcp_keepalive=True,
        )
        return self._session.create_client(
            service, region_name=self.region, endpoint_url=self.endpoint, config=config, **self._keys
        )
