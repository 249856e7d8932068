"""The port of a secret."""

from __future__ import annotations

from typing import Protocol

__all__ = ["SecretOperator", "SecretPort"]


class SecretPort(Protocol):
    def read(self) -> str:
        """The present value. Raises SecretNotSet when none was set."""
        ...


class SecretOperator(SecretPort, Protocol):
    def write(self, value: str) -> None:
        """Sets the value: 1 to 65,536 bytes of UTF-8, as Secrets Manager has it. Raises InvalidItem."""
        ...

    def is_set(self) -> bool: ...

    def ensure_generated(self) -> None:
        """Makes a value where the declaration asks for one and none is there, as the first start does."""
        ...
