"""A secret: a text that is set by an operator, kept encrypted, and never logged."""

from __future__ import annotations

from typing import TYPE_CHECKING

from windlass.errors import DeclarationError
from windlass.model.resource import Resource, operation
from windlass.ports.binding import port
from windlass.ports.secret import SecretPort

if TYPE_CHECKING:
    from windlass.model.system import System

__all__ = ["Secret"]


class Secret(Resource):
    """Declared with `system.secret(name)`. `generate` is the number of random bytes (written as URL-safe base64)
    that it gets when it has no value at the first start; None leaves it unset until an operator sets it."""

    noun = "secret"

    def __init__(self, system: System, name: str, *, generate: int | None = None) -> None:
        super().__init__(system, name)
        if generate is not None and not 16 <= generate <= 1024:
            raise DeclarationError(
                f"generate={generate} random bytes is out of range", where=self.where, fix="give 16 to 1024"
            )
        self.generate = generate

    @operation
    def read(self) -> str:
        """The present value. Raises SecretNotSet when none was set."""
        secret: SecretPort = port(self.name, "read")
        return secret.read()
