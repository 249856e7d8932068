"""A user pool: people and machines that sign in, and the tokens that prove it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, Literal

from msgspec import Meta

from windlass.errors import DeclarationError, InvalidItem
from windlass.model.resource import Resource, check_duration, check_list, operation
from windlass.ports.binding import port
from windlass.ports.user_pool import Tokens, UserPoolPort

if TYPE_CHECKING:
    from windlass.model.system import System

__all__ = ["Credentials", "UserPool", "checked_groups"]


@dataclass(frozen=True, slots=True)
class Credentials:
    """What a sign-in is sent, as a body for a route: the longest of both that a pool takes."""

    username: Annotated[str, Meta(min_length=1, max_length=128)]
    password: Annotated[str, Meta(min_length=1, max_length=256)]


class UserPool(Resource):
    """Declared with `system.user_pool(name, ...)`.

    `sign_in` says whether users are known by an e-mail address or by a name. `groups` are the groups that exist;
    a route's `roles` are checked against a user's groups. `lockout` failures in a row lock a user for
    `lockout_time`, doubling with each further failure up to 15 minutes, as Cognito does
    (https://docs.aws.amazon.com/cognito/latest/developerguide/amazon-cognito-user-pools-authentication-flow.html).
    `first_user` is created at the first start with a generated password that is shown once.
    """

    noun = "user_pool"

    def __init__(
        self,
        system: System,
        name: str,
        *,
        sign_in: Literal["email", "username"] = "email",
        groups: Sequence[str] = (),
        first_user: str | None = None,
        first_user_groups: Sequence[str] = (),
        access_token_life: timedelta = timedelta(hours=1),
        refresh_token_life: timedelta = timedelta(days=30),
        min_password_length: int = 12,
        lockout: int = 5,
        lockout_time: timedelta = timedelta(seconds=1),
    ) -> None:
        super().__init__(system, name)
        check_list(groups, "groups", where=self.where, example='"staff"')
        check_list(first_user_groups, "first_user_groups", where=self.where, example='"staff"')
        self.sign_in_by: Literal["email", "username"] = sign_in
        self.groups = tuple(groups)
        self.first_user = first_user
        self.first_user_groups = tuple(first_user_groups)
        self.access_token_life = access_token_life
        self.refresh_token_life = refresh_token_life
        self.min_password_length = min_password_length
        self.lockout = lockout
        self.lockout_time = lockout_time
        self._check()

    def _check(self) -> None:
        def refuse(summary: str, fix: str) -> None:
            raise DeclarationError(summary, where=self.where, fix=fix)

        if self.sign_in_by not in ("email", "username"):
            refuse(f"sign_in={self.sign_in_by!r} is not a way to sign in", 'sign_in="email" or sign_in="username"')
        if self.sign_in_by == "email" and self.first_user is not None and "@" not in self.first_user:
            refuse(
                f"first_user={self.first_user!r} is not an e-mail address, by which users sign in here",
                'first_user="ada@example.com", or sign_in="username"',
            )
        for what in ("access_token_life", "refresh_token_life", "lockout_time"):
            check_duration(getattr(self, what), what, where=self.where)
        if not timedelta(minutes=5) <= self.access_token_life <= timedelta(days=1):
            refuse("access_token_life is out of range", "give 5 minutes to 1 day, as Cognito takes")
        if not timedelta(hours=1) <= self.refresh_token_life <= timedelta(days=3650):
            refuse("refresh_token_life is out of range", "give 1 hour to 3650 days, as Cognito takes")
        if not 8 <= self.min_password_length <= 99:
            refuse(f"min_password_length={self.min_password_length} is out of range", "give 8 to 99")
        if self.lockout < 1 or self.lockout_time <= timedelta(0):
            refuse("lockout and lockout_time must be positive", "lockout=5, lockout_time=timedelta(seconds=1)")
        if unknown := set(self.first_user_groups) - set(self.groups):
            refuse(f"first_user_groups names unknown groups: {', '.join(sorted(unknown))}", "add them to groups=[...]")

    @operation
    def sign_in(self, username: str, password: str) -> Tokens:
        """Tokens for a user. Raises WrongCredentials (also for one who is unknown or disabled) and LockedOut."""
        pool: UserPoolPort = port(self.name, "sign_in")
        return pool.sign_in(username, password)

    @operation
    def refresh(self, refresh_token: str) -> Tokens:
        """Trades a refresh token for new tokens and spends it. Raises Unauthorized."""
        pool: UserPoolPort = port(self.name, "refresh")
        return pool.refresh(refresh_token)

    @operation
    def sign_out(self, refresh_token: str) -> None:
        """Revokes the refresh token and all that came of it. Unknown tokens are not an error."""
        pool: UserPoolPort = port(self.name, "sign_out")
        pool.sign_out(refresh_token)


def checked_groups(pool: UserPool, groups: Sequence[str]) -> list[str]:
    """The groups sorted, each once. Raises InvalidItem for one that the pool does not declare."""
    if unknown := set(groups) - set(pool.groups):
        known = ", ".join(pool.groups) or "none"
        raise InvalidItem(f"unknown groups: {', '.join(sorted(unknown))} (declared: {known})", field="groups")
    return sorted(set(groups))
