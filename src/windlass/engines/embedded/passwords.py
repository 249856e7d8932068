"""Passwords: how they are kept.

They are kept as Argon2id (RFC 9106) with the parameters of argon2-cffi, which are that RFC's for machines with
little memory: 64 MiB, three passes, four lanes. What is hashed, and what may be set, `model.password` says.
"""

from __future__ import annotations

import base64
import secrets
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from argon2 import PasswordHasher
from argon2.exceptions import HashingError, InvalidHashError, VerificationError, VerifyMismatchError
from argon2.low_level import error_to_str

from windlass.errors import EngineUnavailable, InvalidItem, InvalidState, TooManyRequests
from windlass.model.password import check_password, prepared_password

__all__ = ["Passwords", "Slots"]

_DECODING_FAIL = -32  # ARGON2_DECODING_FAIL in argon2.h


class Slots:
    """How many hashes are computed at once: `places` of them, while `line` more wait, each up to `patience` seconds.

    The line is short so that a flood of sign-ins does not take every thread that could serve something else.
    """

    def __init__(self, places: int = 4, line: int = 12, patience: float = 5.0) -> None:
        self._line = threading.Semaphore(places + line)
        self._places = threading.Semaphore(places)
        self._patience = patience

    @contextmanager
    def taken(self) -> Iterator[None]:
        """Holds a place. Raises TooManyRequests when the line is full, or does not move."""
        if not self._line.acquire(blocking=False):
            raise _too_many()
        try:
            if not self._places.acquire(timeout=self._patience):
                raise _too_many()
            try:
                yield
            finally:
                self._places.release()
        finally:
            self._line.release()


# Memory is what Argon2 costs, and the machine has it once: the bound is for the process, not for a pool.
_SLOTS = Slots()


class Passwords:
    """Checks, hashes and verifies passwords.

    `min_length` is in characters after preparation. `slots` bounds the hashes that are computed at once, by default
    for the process. `hash_of_nobody` is a hash, with the
    parameters in force, that no password has.
    """

    def __init__(
        self,
        min_length: int,
        *,
        hasher: PasswordHasher | None = None,
        slots: Slots | None = None,
    ) -> None:
        self._min_length = min_length
        self._hasher = hasher or PasswordHasher()
        self._slots = slots or _SLOTS
        self.hash_of_nobody = self._random_hash()

    def check(self, password: str, *names: str | None) -> None:
        """Raises InvalidItem for a password that may not be set, to a user who is known by `names`."""
        check_password(password, *names, min_length=self._min_length)

    def hash(self, password: str) -> str:
        """The text that is kept, in the PHC string format. Raises TooManyRequests, EngineUnavailable."""
        prepared = _prepared(password)
        if prepared is None:
            raise InvalidItem("the password cannot be encoded", field="password")
        with self._slots.taken():
            return self._hash(prepared)

    def verify(self, password: str, kept: str | None, *, admit: Callable[[], None]) -> tuple[bool, str | None]:
        """Whether `password` is the one that `kept` was made of, and when it is, what to keep instead if the
        parameters have changed since.

        `kept=None` stands for a user who does not exist: it takes as long, and is never right. `admit` is called
        when the place to compute is there, and refuses by raising. Raises TooManyRequests, EngineUnavailable,
        InvalidState.
        """
        prepared = _prepared(password)
        if prepared is None:
            prepared, kept = b"", None
        with self._slots.taken():
            admit()
            right = self._verify(self.hash_of_nobody if kept is None else kept, prepared)
            if not right or kept is None:
                return False, None
            return True, self._hash(prepared) if self._hasher.check_needs_rehash(kept) else None

    def _hash(self, prepared: bytes) -> str:
        try:
            return self._hasher.hash(prepared)
        except HashingError as error:
            raise EngineUnavailable(f"no password can be hashed now: {error}") from error

    def _verify(self, kept: str, prepared: bytes) -> bool:
        try:
            return self._hasher.verify(kept, prepared)
        except VerifyMismatchError:
            return False
        except (InvalidHashError, VerificationError) as error:
            if isinstance(error, VerificationError) and str(error) != error_to_str(_DECODING_FAIL):
                raise EngineUnavailable(f"no password can be verified now: {error}") from error
            raise InvalidState("a password hash in the state is damaged; set the user's password again") from error

    def _random_hash(self) -> str:
        """A hash in the PHC string format whose salt and tag are random."""

        def encoded(length: int) -> str:
            return base64.b64encode(secrets.token_bytes(length)).decode().rstrip("=")

        hasher = self._hasher
        return (
            f"$argon2id$v=19$m={hasher.memory_cost},t={hasher.time_cost},p={hasher.parallelism}"
            f"${encoded(hasher.salt_len)}${encoded(hasher.hash_len)}"
        )


def _too_many() -> TooManyRequests:
    return TooManyRequests("too many sign-ins at once; try again", retry_after=1.0)


def _prepared(password: str) -> bytes | None:
    """The bytes that are hashed; None for a text that no password can be."""
    text = prepared_password(password)
    return None if text is None else text.encode()
