"""The keys of a namespace, all derived from one that is made at the first start and kept beside the state."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from windlass.errors import HomeError, InvalidState

__all__ = ["Keyring"]

_LENGTH = 32
_NONCE = 12


class Keyring:
    """Derives a key for each purpose (HKDF, RFC 5869) and encrypts with it (AES-256-GCM, NIST SP 800-38D)."""

    def __init__(self, master: bytes) -> None:
        self._master = master
        self._derived: dict[str, bytes] = {}

    @classmethod
    def open(cls, path: Path) -> Keyring:
        """The keyring whose master key is in the file `path`, which is made, readable by its owner only, when it
        is not there. Raises HomeError for a file that holds no key."""
        try:
            handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError:
            master = path.read_bytes()
            if len(master) != _LENGTH:
                raise HomeError(
                    f"{path} is not a master key: it has {len(master)} bytes, not {_LENGTH}\n"
                    f"  fix: restore it from a backup; without it the secrets and tokens of this state are lost"
                ) from None
            return cls(master)
        try:
            with os.fdopen(handle, "wb") as file:
                master = secrets.token_bytes(_LENGTH)
                file.write(master)
                file.flush()
                os.fsync(file.fileno())
        except OSError:
            path.unlink()  # half a key would be in the way of every later start
            raise
        return cls(master)

    def derive(self, purpose: str) -> bytes:
        """32 bytes that depend on the master key and `purpose`."""
        if purpose not in self._derived:
            hkdf = HKDF(algorithm=hashes.SHA256(), length=_LENGTH, salt=None, info=purpose.encode())
            self._derived[purpose] = hkdf.derive(self._master)
        return self._derived[purpose]

    def encrypt(self, purpose: str, plain: bytes) -> bytes:
        """`plain`, encrypted so that it can be read for the same purpose only."""
        nonce = secrets.token_bytes(_NONCE)
        return nonce + AESGCM(self.derive(purpose)).encrypt(nonce, plain, purpose.encode())

    def decrypt(self, purpose: str, sealed: bytes) -> bytes:
        """What `encrypt` was given. Raises InvalidState when it was changed, or encrypted with another key."""
        try:
            return AESGCM(self.derive(purpose)).decrypt(sealed[:_NONCE], sealed[_NONCE:], purpose.encode())
        except (InvalidTag, ValueError):
            raise InvalidState(
                f"{purpose} cannot be decrypted: the state and the master key do not belong together"
            ) from None
