"""The port of a user pool."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

__all__ = ["Tokens", "User", "UserPoolOperator", "UserPoolPort"]


@dataclass(frozen=True, slots=True)
class Tokens:
    """What a sign-in answers, in the names of RFC 6749; `expires_in` is in seconds, for the access token."""

    access_token: str
    id_token: str
    refresh_token: str
    token_type: Literal["Bearer"]
    expires_in: int


@dataclass(frozen=True, slots=True)
class User:
    """A user as an operator sees it. `id` is the `sub` of the tokens; times are ISO 8601 in UTC."""

    id: str
    username: str
    email: str | None
    groups: tuple[str, ...]
    enabled: bool
    created_at: str
    locked_until: str | None = None


class UserPoolPort(Protocol):
    """What a handler, and the gateway, may ask of a user pool."""

    def sign_in(self, username: str, password: str) -> Tokens:
        """Raises WrongCredentials (also for a user that is unknown or disabled) and LockedOut."""
        ...

    def refresh(self, refresh_token: str) -> Tokens:
        """Trades a refresh token for new tokens; the old one is spent. A spent one that comes again revokes the
        whole family (RFC 9700, 4.14.2). Raises Unauthorized."""
        ...

    def sign_out(self, refresh_token: str) -> None:
        """Revokes the refresh token's family. Unknown tokens are not an error."""
        ...

    def verify(self, token: str) -> Mapping[str, Any]:
        """The claims of a valid access or ID token of this pool. Raises Unauthorized."""
        ...

    def jwks(self) -> Mapping[str, Any]:
        """The public keys (RFC 7517)."""
        ...

    def discovery(self) -> Mapping[str, Any]:
        """The OpenID Connect discovery document."""
        ...


class UserPoolOperator(UserPoolPort, Protocol):
    """What an operator may ask, besides."""

    def create_user(
        self, username: str, password: str, *, email: str | None = None, groups: Sequence[str] = ()
    ) -> User:
        """Raises Conflict when the name is taken, InvalidItem for a weak password, a bad name or unknown group."""
        ...

    def list_users(self) -> list[User]: ...

    def get_user(self, username: str) -> User:
        """Raises NotFound."""
        ...

    def set_enabled(self, username: str, enabled: bool) -> None:
        """A disabled user cannot sign in, and its tokens are refused at once."""
        ...

    def set_password(self, username: str, password: str) -> None: ...

    def set_groups(self, username: str, groups: Sequence[str]) -> None: ...

    def delete_user(self, username: str) -> None: ...
