"""A user pool to test: cheap password hashes, a clock to move, restarts, and a second process beside it."""

import base64
import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any, Literal

from argon2 import PasswordHasher

from windlass.engines.embedded.namespace import Namespace
from windlass.engines.embedded.passwords import Passwords
from windlass.engines.embedded.user_pool import EmbeddedUserPool
from windlass.model.system import System
from windlass.model.user_pool import UserPool
from windlass.ports.clock import ManualClock
from windlass.ports.user_pool import Tokens, UserPoolOperator

ADA = "ada@example.com"
SECRET = "correct horse battery"
CHEAP = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)


def declared(system: str = "todos", name: str = "users", **options: Any) -> UserPool:
    """A pool's declaration, with two groups unless `options` say otherwise."""
    return System(system).user_pool(name, **{"groups": ["admins", "readers"], **options})


class Interrupted(PasswordHasher):
    """A hasher during whose work something else happens, once."""

    def __init__(self) -> None:
        super().__init__(time_cost=1, memory_cost=8, parallelism=1)
        self.meanwhile: Callable[[], object] = lambda: None

    def verify(self, hash: str | bytes, password: str | bytes) -> Literal[True]:
        right = super().verify(hash, password)
        self._interrupt()
        return right

    def hash(self, password: str | bytes, *, salt: bytes | None = None) -> str:
        hashed = super().hash(password, salt=salt)
        self._interrupt()
        return hashed

    def _interrupt(self) -> None:
        meanwhile, self.meanwhile = self.meanwhile, lambda: None
        meanwhile()


class PoolWorld:
    """One pool in a namespace of its own; `pool` is the one that runs."""

    def __init__(self, home: Path, model: UserPool | None = None, *, hasher: PasswordHasher = CHEAP) -> None:
        self.home, self.model, self.hasher = home, model or declared(), hasher
        self.clock = ManualClock()
        self.base_url = "http://127.0.0.1:8400"
        self.namespace, self.pool = self.beside()

    def beside(self, model: UserPool | None = None) -> tuple[Namespace, EmbeddedUserPool]:
        """The same state opened once more, as another process does."""
        url = self.base_url
        namespace = Namespace(self.home, clock=self.clock, base_url=lambda: url)
        model = model or self.model
        pool = EmbeddedUserPool(model, namespace, passwords=Passwords(model.min_password_length, hasher=self.hasher))
        port: UserPoolOperator = pool  # mypy: the port is implemented
        assert port is pool
        namespace.store.flush()
        return namespace, pool

    def restart(self, *, base_url: str | None = None, model: UserPool | None = None) -> None:
        """Ends the process and starts another, at another address or with another declaration."""
        self.namespace.close()
        self.base_url, self.model = base_url or self.base_url, model or self.model
        self.namespace, self.pool = self.beside()

    def close(self) -> None:
        self.namespace.close()

    def add_ada(self, **options: Any) -> Tokens:
        """Creates Ada and signs her in."""
        self.pool.create_user(ADA, SECRET, **options)
        return self.sign_in()

    def sign_in(self, username: str = ADA, password: str = SECRET) -> Tokens:
        return self.pool.sign_in(username, password)

    def advance(self, seconds: float) -> None:
        self.clock.advance(timedelta(seconds=seconds))


def part(token: str, index: int) -> dict[str, Any]:
    """The header (0) or the claims (1) of a token, unverified."""
    segment = token.split(".")[index]
    content: dict[str, Any] = json.loads(base64.urlsafe_b64decode(segment + "=" * (-len(segment) % 4)))
    return content
