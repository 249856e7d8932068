"""The user pool on one machine.

What the command line does to a user holds at once in a server that runs: `verify` asks the store at each use
whether the token's sign-in, and its user, are still there.

The issuer in the tokens is where the pool answers when they are issued, so that others can find the keys (OpenID
Connect Discovery, 4.3). After a restart on another port that is another issuer. Tokens issued before stay valid,
because the pool remembers under which issuers it issued, and accepts those and no other. The signature alone would
bind a token to the pool, whose key nobody shares; the issuer is checked besides, as RFC 8725, 3.8 asks.
"""

from __future__ import annotations

import base64
import secrets
from collections.abc import Mapping, Sequence
from typing import Any

from windlass.engines.embedded.lockout import Lockout
from windlass.engines.embedded.namespace import Namespace
from windlass.engines.embedded.passwords import Passwords
from windlass.engines.embedded.signing_key import SigningKeys
from windlass.engines.embedded.token_families import Family, TokenFamilies
from windlass.engines.embedded.tokens import TokenReader, check_times, sign
from windlass.engines.embedded.users import StoredUser, Users
from windlass.errors import Conflict, NotFound, Unauthorized, WrongCredentials
from windlass.model.user_pool import UserPool, checked_groups
from windlass.model.username import canonical_username, new_address, new_username
from windlass.ports.clock import iso
from windlass.ports.user_pool import Tokens, User

__all__ = ["EmbeddedUserPool"]


class EmbeddedUserPool:
    """Implements `windlass.ports.user_pool.UserPoolOperator`.

    `passwords` says how passwords are checked and hashed; tests give cheap ones.
    """

    def __init__(self, model: UserPool, namespace: Namespace, *, passwords: Passwords | None = None) -> None:
        self._model, self._namespace = model, namespace
        self._store, self._clock = namespace.store, namespace.clock
        system, pool = model.system.name, model.name
        keyring = namespace.keyring
        self._passwords = passwords or Passwords(model.min_password_length)
        self._users = Users(self._store, system=system, pool=pool)
        self._families = TokenFamilies(
            self._store, system=system, pool=pool, longest_token=model.access_token_life.total_seconds()
        )
        self._lockout = Lockout(
            self._store,
            self._clock,
            system=system,
            pool=pool,
            key=keyring.derive(f"user_pool.lockout/{system}/{pool}"),
            limit=model.lockout,
            first=model.lockout_time.total_seconds(),
        )
        self._keys = SigningKeys(namespace, system=system, pool=pool)
        # 26 lower-case letters and digits, as Cognito's are; the same at each start, another in each namespace.
        derived = keyring.derive(f"user_pool.client_id/{system}/{pool}")[:16]
        self._client_id = base64.b32encode(derived).decode().rstrip("=").lower()
        self._reader = TokenReader(self._keys.known, client_id=self._client_id, issued_as=self._families.has_issued_as)

    # ---- what a handler may ask

    def sign_in(self, username: str, password: str) -> Tokens:
        """Tokens for a user. Raises WrongCredentials (also for one who is unknown or disabled), LockedOut, and
        TooManyRequests when more sign in at once than the machine can bear.

        A user who does not exist takes as long, and is locked out, as one who does. The password is verified
        without holding the store, so the user is looked up again before the tokens are given.
        """
        name = self._canonical(username)
        known_as = username if name is None else name
        self._lockout.check(known_as)
        user = None if name is None else self._users.find(name)
        # Once more when it is this one's turn: others may have failed for the same name meanwhile.
        right, rehashed = self._passwords.verify(
            password, None if user is None else user.password, admit=lambda: self._lockout.check(known_as)
        )
        if user is None or not right or not user.enabled:
            self._lockout.failed(known_as)
            raise _wrong()
        now, issuer = self._clock.now(), self._issuer()
        with self._store.atomic() as db:
            present = self._users.find(user.username)
            if present is None or not user.may_go_on(present):
                raise _wrong()
            if rehashed is not None:
                self._users.set_password(db, user.username, rehashed, same=True)
            self._lockout.clear(db, user.username)
            self._families.issue_as(db, issuer, now)
            family = self._families.begin(db, user.id, now=now, life=self._model.refresh_token_life.total_seconds())
        return self._sign(present, family, issuer, now)

    def refresh(self, refresh_token: str) -> Tokens:
        """Trades a refresh token for new tokens; `token_families` says what becomes of the old one. The new refresh
        token ends when the first one would have. Raises Unauthorized."""
        claims = self._reader.read(refresh_token, "refresh")
        now, issuer = self._clock.now(), self._issuer()
        check_times(claims, now)
        with self._store.atomic() as db:
            family = self._families.find(claims["origin_jti"])
            user = None if family is None else self._users.find_id(family.user_id)
            if family is None or user is None or not user.enabled or user.id != claims["sub"]:
                raise _revoked()
            after = self._families.spend(db, family, claims["jti"], now)
            if after is not None:
                self._families.issue_as(db, issuer, now)
        if after is None:  # raised here: inside the block it would undo the revocation
            raise Unauthorized("the token was used before; sign in again")
        return self._sign(user, after, issuer, now)

    def sign_out(self, refresh_token: str) -> None:
        """Revokes all tokens of the sign-in that a refresh token, spent or not, came of. Anything else is ignored."""
        try:
            claims = self._reader.read(refresh_token, "refresh")
        except Unauthorized:
            return
        with self._store.write() as db:
            self._families.end(db, claims["origin_jti"])

    def verify(self, token: str) -> Mapping[str, Any]:
        """The claims of a valid access or ID token, as a dict of the caller's own. Raises Unauthorized for one that
        is not this pool's, has expired, or was revoked: by sign-out, by a new password, or because the user was
        disabled or deleted."""
        claims = self._reader.read(token, "access", "id")
        check_times(claims, self._clock.now())
        if not self._families.is_live(claims["origin_jti"], claims["sub"]):
            raise _revoked()
        own = claims.copy()
        if "cognito:groups" in own:
            own["cognito:groups"] = own["cognito:groups"].copy()
        return own

    def jwks(self) -> Mapping[str, Any]:
        """The pool's public key, as a JSON Web Key Set."""
        return {"keys": [self._keys.present().jwk()]}

    def discovery(self) -> Mapping[str, Any]:
        """The OpenID Connect discovery document, with what there is: keys and claims. There is no authorization
        endpoint, signing in being a route of the system's own; so the response type is `none`."""
        issuer = self._issuer()
        return {
            "issuer": issuer,
            "jwks_uri": f"{issuer}/.well-known/jwks.json",
            "response_types_supported": ["none"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["RS256"],
            "claims_supported": ["sub", "iss", "aud", "exp", "iat", "auth_time", "email", "email_verified"],
        }

    # ---- what an operator may ask

    def create_user(
        self, username: str, password: str, *, email: str | None = None, groups: Sequence[str] = ()
    ) -> User:
        """Raises Conflict when the name is taken, InvalidItem for a weak password, a bad name or unknown group. The
        e-mail address counts as verified: the operator vouches for it."""
        return self._create(username, password, email, groups, only_first=False)

    def ensure_first_user(self) -> tuple[str, str] | None:
        """Creates the declared `first_user`, unless there is none, or the pool ever had a user: then None.

        Returns name and password, to be shown once, after the store was flushed; the password is kept nowhere.
        Raises InvalidItem when the declared name can be no user's of this pool.
        """
        name = self._model.first_user
        if name is None or self._users.begun():
            return None
        password = secrets.token_urlsafe(max(18, self._model.min_password_length))
        try:
            user = self._create(name, password, None, self._model.first_user_groups, only_first=True)
        except Conflict:  # another process was faster, and shows its password
            return None
        return user.username, password

    def list_users(self) -> list[User]:
        """All users by name."""
        return [self._shown(user) for user in self._users.all()]

    def get_user(self, username: str) -> User:
        """Raises NotFound."""
        return self._shown(self._must_find(username))

    def set_enabled(self, username: str, enabled: bool) -> None:
        """Lets a user sign in, or not. Disabling ends all sign-ins for good; enabling ends a lockout. Raises
        NotFound."""
        with self._store.atomic() as db:
            user = self._must_find(username)
            self._users.set_enabled(db, user.username, enabled)
            if enabled:
                self._lockout.clear(db, user.username)
            else:
                self._families.end_all(db, user.id)

    def set_password(self, username: str, password: str) -> None:
        """Sets a new password, ends all sign-ins and a lockout. Raises NotFound, InvalidItem."""
        user = self._must_find(username)
        self._passwords.check(password, user.username, user.email)
        hashed = self._passwords.hash(password)
        with self._store.atomic() as db:
            user = self._must_find(username)
            self._users.set_password(db, user.username, hashed)
            self._families.end_all(db, user.id)
            self._lockout.clear(db, user.username)

    def set_groups(self, username: str, groups: Sequence[str]) -> None:
        """Puts a user into these groups only. Tokens issued before keep theirs until they expire, as Cognito's do;
        to end them, disable the user and enable it again. Raises NotFound, InvalidItem."""
        checked = checked_groups(self._model, groups)
        with self._store.atomic() as db:
            self._users.set_groups(db, self._must_find(username).username, checked)

    def delete_user(self, username: str) -> None:
        """Removes a user; its tokens are refused at once. Raises NotFound."""
        with self._store.atomic() as db:
            user = self._must_find(username)
            self._families.end_all(db, user.id)
            self._users.remove(db, user.username)
            self._lockout.clear(db, user.username)

    def clock_went_back(self, seconds: float) -> None:
        """Moves lockouts and the grace of spent refresh tokens; called when the machine's clock was set back."""
        with self._store.atomic() as db:
            self._lockout.clock_went_back(seconds)
            self._families.clock_went_back(db, seconds, self._clock.now())

    def remove_expired(self) -> None:
        """Deletes ended sign-ins and forgotten failures; the engine's housekeeping calls this."""
        now = self._clock.now()
        with self._store.write() as db:
            self._families.remove_expired(db, now)
            self._lockout.remove_expired(db, now)

    # ---- how

    def _create(
        self, username: str, password: str, email: str | None, groups: Sequence[str], *, only_first: bool
    ) -> User:
        name = new_username(username, self._model.sign_in_by)
        address = new_address(name, email, self._model.sign_in_by)
        checked = checked_groups(self._model, groups)
        self._passwords.check(password, name, address)
        if self._users.find(name) is not None:
            raise Conflict(f"there is a user {name} already")
        hashed = self._passwords.hash(password)
        with self._store.atomic() as db:
            if self._users.find(name) is not None or (only_first and self._users.begun()):
                raise Conflict(f"there is a user {name} already")
            self._lockout.clear(db, name)
            user = self._users.add(
                db, name, email=address, groups=checked, password=hashed, created_at=self._clock.now()
            )
        return self._shown(user)

    def _groups(self, user: StoredUser) -> tuple[str, ...]:
        """The user's groups that are still declared."""
        return tuple(group for group in user.groups if group in self._model.groups)

    def _canonical(self, username: str) -> str | None:
        return canonical_username(username, self._model.sign_in_by)

    def _must_find(self, username: str) -> StoredUser:
        name = self._canonical(username)
        user = None if name is None else self._users.find(name)
        if user is None:
            raise NotFound(f"there is no user {username!r}")
        return user

    def _shown(self, user: StoredUser) -> User:
        locked_until = self._lockout.locked_until(user.username)
        return User(
            id=user.id,
            username=user.username,
            email=user.email,
            groups=self._groups(user),
            enabled=user.enabled,
            created_at=iso(user.created_at),
            locked_until=None if locked_until is None else iso(locked_until),
        )

    def _issuer(self) -> str:
        return f"{self._namespace.base_url().rstrip('/')}/{self._model.system.name}/_pools/{self._model.name}"

    def _sign(self, user: StoredUser, family: Family, issuer: str, now: float) -> Tokens:
        return sign(
            user,
            self._groups(user),
            family,
            self._keys.present(),
            client_id=self._client_id,
            issuer=issuer,
            now=now,
            life=self._model.access_token_life,
        )


def _wrong() -> WrongCredentials:
    return WrongCredentials("the user name or the password is wrong")


def _revoked() -> Unauthorized:
    return Unauthorized("the token was revoked")
