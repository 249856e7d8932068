"""Secrets in SQLite, each encrypted with a key of its own that is derived from the namespace's master key."""

from __future__ import annotations

import secrets

from windlass.dispatch.redact import Redactor
from windlass.engines.embedded.namespace import Namespace
from windlass.errors import InvalidItem, SecretNotSet
from windlass.model.secret import Secret

__all__ = ["EmbeddedSecret"]

# https://docs.aws.amazon.com/secretsmanager/latest/userguide/reference_limits.html
_MAX_BYTES = 65_536


# What another process (the command line) has set counts after this long.
_FRESH_SECONDS = 1.0


class EmbeddedSecret:
    """Implements `ports.secret.SecretOperator`. Every value that passes is made known to `redactor`, so that no
    log line shows it."""

    def __init__(self, model: Secret, namespace: Namespace, redactor: Redactor | None = None) -> None:
        self.model, self._store, self._clock = model, namespace.store, namespace.clock
        self._keyring, self._redactor = namespace.keyring, redactor
        self._key = (model.system.name, model.name)
        self._last: tuple[bytes, str] = (b"", "")
        self._steady, self._fresh_until = namespace.clock.steady, 0.0
        self._purpose = f"secret:{model.system.name}:{model.name}"
        with self._store.write() as db:
            db.execute(
                "create table if not exists secrets (system text not null, name text not null, value blob not null, "
                "written_at real not null, primary key (system, name)) without rowid"
            )

    def read(self) -> str:
        if self._steady() < self._fresh_until:
            return self._last[1]
        row = self._store.read_one("select value from secrets where system = ? and name = ?", self._key)
        if row is None:
            raise SecretNotSet(
                f"the secret {self.model.name!r} has no value\n"
                f"  fix: set it with `windlass secret set {self.model.system.name} {self.model.name}`"
            )
        encrypted, value = self._last
        if encrypted != row[0]:
            value = self._keyring.decrypt(self._purpose, row[0]).decode()
            self._last = (row[0], value)
            self._known(value)
        self._fresh_until = self._steady() + _FRESH_SECONDS
        return value

    def write(self, value: str) -> None:
        """Sets the value, durably."""
        self._put(value, replace=True)
        self._store.flush()

    def is_set(self) -> bool:
        return self._store.read_one("select 1 from secrets where system = ? and name = ?", self._key) is not None

    def ensure_generated(self) -> None:
        """Makes a value where the declaration asks for one and none is there; of several processes that start
        together, one makes it. Raises EngineUnavailable."""
        if self.model.generate is None or self.is_set():
            return
        self._put(secrets.token_urlsafe(self.model.generate), replace=False)
        self._store.flush()

    def _put(self, value: str, *, replace: bool) -> None:
        try:
            plain = value.encode()
        except UnicodeEncodeError:
            raise InvalidItem(f"the value of {self.model.name!r} is not Unicode text") from None
        if not 1 <= len(plain) <= _MAX_BYTES:
            raise InvalidItem(
                f"the value of {self.model.name!r} has {len(plain):,} bytes; a secret has 1 to {_MAX_BYTES:,}"
            )
        self._known(value)
        self._fresh_until = 0.0
        sealed = self._keyring.encrypt(self._purpose, plain)
        taken = "replace" if replace else "ignore"
        with self._store.write() as db:
            db.execute(
                f"insert or {taken} into secrets values (?, ?, ?, ?)",
                (*self._key, sealed, self._clock.now()),
            )

    def _known(self, value: str) -> None:
        if self._redactor is not None:
            self._redactor.add(value)
