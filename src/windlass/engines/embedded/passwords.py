"""Passwords: which may be set, and how they are kept.

They are kept as Argon2id (RFC 9106) with the parameters of argon2-cffi, which are that RFC's for machines with
little memory: 64 MiB, three passes, four lanes. A password is prepared as RFC 8265, 4.2 (OpaqueString) says: every
kind of space becomes U+0020 and the text is put in normalisation form C, so that the same password typed on
another keyboard is the same. Compatibility forms (NFKC) are left as they are: they would make passwords that look
different equal. Rules for what a password is made of there are none, as NIST SP 800-63B, 3.1.1.2 advises; length is
what counts.
"""

from __future__ import annotations

import base64
import secrets
import threading
import unicodedata
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from argon2 import PasswordHasher
from argon2.exceptions import HashingError, InvalidHashError, VerificationError, VerifyMismatchError
from argon2.low_level import error_to_str

from windlass.errors import EngineUnavailable, InvalidItem, InvalidState, TooManyRequests

__all__ = ["MAX_LENGTH", "Passwords", "Slots"]

MAX_LENGTH = 256
"""The most characters of a password, as Cognito has it:
https://docs.aws.amazon.com/cognito-user-identity-pools/latest/APIReference/API_SignUp.html"""

_DECODING_FAIL = -32  # ARGON2_DECODING_FAIL in argon2.h

# Control characters cannot be typed; surrogates cannot be encoded; what is unassigned today may be normalised
# differently by tomorrow's Unicode, and the user would be locked out.
_REFUSED = {"Cc", "Cs", "Cn"}


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
        """Raises InvalidItem for a password that may not be set. `names` are what the user is known by: none of
        them may be the password."""

        def refuse(fault: str) -> None:
            raise InvalidItem(f"the password {fault}", field="password")

        if len(password) > MAX_LENGTH:
            refuse(f"has {len(password):,} characters; the most is {MAX_LENGTH}")
        if any(unicodedata.category(character) in _REFUSED for character in password):
            refuse("has a control character, or one that Unicode does not know")
        text = _normal(password)
        if not self._min_length <= len(text) <= MAX_LENGTH:
            refuse(f"has {len(text)} characters; the least is {self._min_length}, the most {MAX_LENGTH}")
        if text != text.strip():
            refuse("begins or ends with a space, which Cognito does not take")
        if any(name is not None and text.casefold() == name.casefold() for name in names):
            refuse("is the name of the user")

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


def _normal(password: str) -> str:
    spaced = "".join(" " if unicodedata.category(character) == "Zs" else character for character in password)
    return unicodedata.normalize("NFC", spaced)


def _prepared(password: str) -> bytes | None:
    """The bytes that are hashed; None for a text that no password can be."""
    if len(password) > MAX_LENGTH:
        return None
    try:
        return _normal(password).encode()
    except UnicodeEncodeError:
        return None
