"""The RSA key that signs a pool's tokens.

It is made when it is first needed and kept in the store, encrypted for this pool of this system; its `kid` is its
thumbprint (RFC 7638). RSA with 2048 bits and SHA-256 is what Cognito signs with.
"""

from __future__ import annotations

import base64
import hashlib
import json
from dataclasses import dataclass

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey, generate_private_key

from windlass.engines.embedded.namespace import Namespace
from windlass.errors import EngineUnavailable, InvalidState

__all__ = ["SigningKey", "SigningKeys"]

_BITS = 2048
_EXPONENT = 65537

_TABLE = """
create table if not exists user_pool_keys (
  system text not null, pool text not null, private_key blob not null, created_at real not null,
  primary key (system, pool)
) without rowid
"""


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A key pair and its name."""

    kid: str
    private: RSAPrivateKey
    public: RSAPublicKey

    @classmethod
    def of(cls, private: RSAPrivateKey) -> SigningKey:
        """The key pair of a private key."""
        public = private.public_key()
        return cls(cls.name_of(public), private, public)

    @staticmethod
    def name_of(public: RSAPublicKey) -> str:
        """The thumbprint of a public key (RFC 7638)."""
        text = json.dumps(_parameters(public), sort_keys=True, separators=(",", ":"))
        return _base64url(hashlib.sha256(text.encode()).digest())

    @classmethod
    def generate(cls) -> SigningKey:
        """A new key pair; takes some tens of milliseconds."""
        return cls.of(generate_private_key(_EXPONENT, _BITS))

    def jwk(self) -> dict[str, str]:
        """The public key as a JSON Web Key (RFC 7517)."""
        return {"kid": self.kid, "use": "sig", "alg": "RS256", **_parameters(self.public)}


class SigningKeys:
    """The keys of one pool in the store."""

    def __init__(self, namespace: Namespace, *, system: str, pool: str) -> None:
        self._namespace = namespace
        self._pool = (system, pool)
        self._purpose = f"user_pool.signing_key/{system}/{pool}"
        self._key: SigningKey | None = None
        with namespace.store.write() as db:
            db.execute(_TABLE)

    def known(self) -> SigningKey | None:
        """The pool's key, None when it has none yet. Raises InvalidState when it cannot be decrypted."""
        if self._key is None:
            row = self._namespace.store.read_one(
                "select private_key from user_pool_keys where system = ? and pool = ?", self._pool
            )
            if row is not None:
                self._key = self._opened(row[0])
        return self._key

    def present(self) -> SigningKey:
        """The pool's key, which is made when it has none yet."""
        key = self.known()
        if key is not None:
            return key
        made = SigningKey.generate()  # before the store is locked
        der = made.private.private_bytes(
            serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        sealed = self._namespace.keyring.encrypt(self._purpose, der)
        store = self._namespace.store
        with store.write() as db:
            # Another thread or process may have been faster; its key stays.
            db.execute(
                "insert or ignore into user_pool_keys (system, pool, private_key, created_at) values (?, ?, ?, ?)",
                (*self._pool, sealed, self._namespace.clock.now()),
            )
            row = db.execute(
                "select private_key from user_pool_keys where system = ? and pool = ?", self._pool
            ).fetchone()
            self._key = key = made if row[0] == sealed else self._opened(row[0])
            store.after_commit(self._committed)
        return key

    def _committed(self, error: EngineUnavailable | None) -> None:
        if error is not None:
            self._key = None  # it was not stored: it must not sign what outlives this process

    def _opened(self, sealed: bytes) -> SigningKey:
        der = self._namespace.keyring.decrypt(self._purpose, sealed)
        # It was authenticated just now, so its arithmetic need not be checked again.
        private = serialization.load_der_private_key(der, None, unsafe_skip_rsa_key_validation=True)
        if not isinstance(private, RSAPrivateKey):
            raise InvalidState(f"{self._purpose} holds no RSA key")
        return SigningKey.of(private)


def _parameters(public: RSAPublicKey) -> dict[str, str]:
    numbers = public.public_numbers()
    return {"kty": "RSA", "n": _uint(numbers.n), "e": _uint(numbers.e)}


def _uint(number: int) -> str:
    """Base64urlUInt (RFC 7518, 2)."""
    return _base64url(number.to_bytes((number.bit_length() + 7) // 8, "big"))


def _base64url(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).decode().rstrip("=")
