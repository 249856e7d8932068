"""Secrets in Secrets Manager. The Terraform makes them without a value; an operator sets it."""

from __future__ import annotations

import secrets
import uuid
from collections.abc import Callable

from windlass.engines.aws.clients import Clients
from windlass.engines.aws.faults import calling
from windlass.engines.aws.stage import Stage
from windlass.errors import EngineUnavailable, InvalidItem, InvalidState, SecretNotSet
from windlass.model.secret import Secret
from windlass.ports.clock import Clock

__all__ = ["AwsSecret"]

# https://docs.aws.amazon.com/secretsmanager/latest/userguide/reference_limits.html
_MAX_BYTES = 65_536

# Each call of Secrets Manager takes some milliseconds, costs ($0.05 for 10,000), and counts towards a quota; so a value
# that was replaced is used for this long by functions that have read it before.
_FRESH_SECONDS = 60.0


class AwsSecret:
    """Implements `ports.secret.SecretOperator`. A value that was read is kept in memory for a minute. `known` is told
    of every value, to keep it out of logs."""

    def __init__(
        self, model: Secret, stage: Stage, clients: Clients, clock: Clock, known: Callable[[str], None] | None = None
    ) -> None:
        self._known = known or (lambda value: None)
        self.model, self._clients = model, clients
        self._name = stage.secret(model.name)
        self._steady = clock.steady
        self._kept: tuple[str, float] | None = None

    def read(self) -> str:
        """Raises InvalidState when somebody has put bytes there, and not text."""
        if (kept := self._kept) is not None and self._steady() < kept[1]:
            return kept[0]
        asked = self._steady()
        found = self._found("read")
        if found is None:
            raise SecretNotSet(
                f"the secret {self.model.name!r} has no value\n  fix: set it, for {self._name} in AWS Secrets Manager"
            )
        if isinstance(found, bytes):
            raise InvalidState(f"{self.model.where}: {self._name} in AWS Secrets Manager holds bytes; set a text there")
        self._known(found)
        self._kept = (found, asked + _FRESH_SECONDS)
        return found

    def write(self, value: str) -> None:
        try:
            size = len(value.encode())
        except UnicodeEncodeError:
            raise InvalidItem(f"the value of {self.model.name!r} is not Unicode text") from None
        if not 1 <= size <= _MAX_BYTES:
            raise InvalidItem(f"the value of {self.model.name!r} has {size:,} bytes; a secret has 1 to {_MAX_BYTES:,}")
        version = str(uuid.uuid4())
        # Twice: another may have made the secret between the two calls of the first time.
        if not any(self._put(value, version) for _ in range(2)):
            raise EngineUnavailable(f"{self.model.where}.write: the secret was changed by another at the same time")

    def is_set(self) -> bool:
        return self._found("is_set") is not None

    def ensure_generated(self) -> None:
        if self.model.generate is None or self.is_set():
            return
        # Of several that do this together one makes the value, as all ask for the same version of the secret, which
        # Secrets Manager does not let anybody change.
        version = str(uuid.uuid5(uuid.NAMESPACE_URL, f"windlass:{self._name}"))
        self._put(secrets.token_urlsafe(self.model.generate), version)

    def _found(self, operation: str) -> str | bytes | None:
        """What Secrets Manager has now; None where the secret has no value, or is not there."""
        manager = self._clients.client("secretsmanager")
        with calling(self.model, operation):
            try:
                told = manager.get_secret_value(SecretId=self._name)
            except manager.exceptions.ResourceNotFoundException:
                return None
            except manager.exceptions.InvalidRequestException as error:
                raise self._unusable(operation) from error
        found: str | bytes | None = told.get("SecretString", told.get("SecretBinary"))
        return found

    def _put(self, value: str, version: str) -> bool:
        """Sets the value as a version of the secret, which is made where it is missing. False where another was first:
        the version has another value, or the secret was made meanwhile."""
        manager = self._clients.client("secretsmanager")
        self._known(value)
        self._kept = None
        with calling(self.model, "write"):
            try:
                try:
                    manager.put_secret_value(SecretId=self._name, SecretString=value, ClientRequestToken=version)
                except manager.exceptions.ResourceNotFoundException:
                    manager.create_secret(Name=self._name, SecretString=value, ClientRequestToken=version)
            except manager.exceptions.ResourceExistsException:
                return False
            except manager.exceptions.InvalidRequestException as error:
                raise self._unusable("write") from error
        return True

    def _unusable(self, operation: str) -> EngineUnavailable:
        return EngineUnavailable(
            f"{self.model.where}.{operation}: {self._name} in AWS Secrets Manager is marked for deletion, or another "
            f"service's\n  fix: aws secretsmanager restore-secret --secret-id {self._name}"
        )
