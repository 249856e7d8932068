"""boto3's clients: made once each, at the first call, since each costs a tenth of a second of a cold start."""

from __future__ import annotations

import os
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
    `access_key` and `secret_key` for what boto3 finds by itself. `attempts` is how often a call is made at the most, as
    long as AWS throttles it or is at fault."""

    def __init__(
        self,
        region: str,
        *,
        endpoint: str | None = None,
        access_key: str | None = None,
        secret_key: str | None = None,
        token: str | None = None,
        attempts: int = _ATTEMPTS,
    ) -> None:
        self.region, self.endpoint, self._attempts = region, endpoint, attempts
        self._keys = {
            "aws_access_key_id": access_key,
            "aws_secret_access_key": secret_key,
            "aws_session_token": token,
        }
        self._lock = threading.Lock()
        self._session: Session | None = None
        self._made: dict[tuple[str, bool], Any] = {}

    def client(self, service: str, *, once: bool = False) -> Any:
        """The client of a service, by boto3's name for it: `dynamodb`, `sqs`, `cognito-idp`. Any, as botocore makes
        its classes when it runs. With `once`, one that repeats nothing by itself, for `engines.aws.attempt`: a second
        client of a service costs two milliseconds."""
        made = self._made.get((service, once))
        if made is None:
            with self._lock:  # botocore's session is not for several threads at once
                made = self._made.get((service, once))
                if made is None:
                    made = self._made[service, once] = self.make(service, once=once)
        return made

    def make(self, service: str, *, once: bool = False) -> Any:
        """A new client of a service."""
        from botocore.config import Config

        if self._session is None:
            self._session = _new_session()
        config = Config(
            connect_timeout=_CONNECT_SECONDS,
            read_timeout=_READ_SECONDS,
            retries={"mode": "adaptive", "total_max_attempts": 1 if once else self._attempts},
            tcp_keepalive=True,
        )
        return self._session.create_client(
            service, region_name=self.region, endpoint_url=self.endpoint, config=config, **self._keys
        )


def _new_session() -> Session:
    """botocore's session, which finds and reads the descriptions of services sooner: a client is made in half the time.

    To make a client, botocore looks twice whether each of its four hundred services has the file that it wants of one,
    and then decodes with the standard library's `json`. Here a service is what has a folder, and msgspec decodes. What
    loads them is a component that a session is meant to be given
    (https://botocore.amazonaws.com/v1/documentation/api/latest/reference/loaders.html).
    """
    import gzip

    import msgspec
    from botocore.exceptions import DataNotFoundError, UnknownServiceError
    from botocore.loaders import JSONFileLoader, Loader
    from botocore.session import Session

    class Files(JSONFileLoader):  # type: ignore[misc]  # botocore has no types
        def load_file(self, file_path: str) -> Any:
            """What is in the file, None where there is none."""
            for suffix, opened in ((".json", open), (".json.gz", gzip.open)):
                if os.path.isfile(file_path + suffix):  # noqa: PTH113, at a start each Path counts
                    with opened(file_path + suffix, "rb") as file:
                        return msgspec.json.decode(file.read())
            return None

    class Descriptions(Loader):  # type: ignore[misc]
        def list_available_services(self, type_name: str) -> list[str]:
            """The services that have a folder, whatever is in it."""
            folders = [path for path in self.search_paths if os.path.isdir(path)]  # noqa: PTH112
            return sorted({entry.name for path in folders for entry in os.scandir(path) if entry.is_dir()})

        def load_service_model(self, service_name: str, type_name: str, api_version: str | None = None) -> Any:
            """The description. A folder without that file is for botocore no such service, which it expects."""
            try:
                return super().load_service_model(service_name, type_name, api_version)
            except DataNotFoundError:
                known = ", ".join(self.list_available_services(type_name))
                raise UnknownServiceError(service_name=service_name, known_service_names=known) from None

    session = Session()
    more = session.get_config_variable("data_path")
    paths = [os.path.expanduser(os.path.expandvars(path)) for path in more.split(os.pathsep)] if more else None  # noqa: PTH111
    session.register_component("data_loader", Descriptions(paths, Files()))
    return session
