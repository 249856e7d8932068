"""The user pool on AWS: Cognito, with one app client that has no secret.

Signing in, refreshing and signing out are public operations of Cognito: IAM is not asked, botocore does not sign them,
and a function needs no grant for them
(https://docs.aws.amazon.com/cognito/latest/developerguide/authentication-flows-public-server-side.html). An operator's
operations are signed.

In a pool of addresses a user's name is its address, which Cognito is given as the user name, be it kept as that or as
an attribute to sign in by
(https://docs.aws.amazon.com/cognito/latest/developerguide/user-pool-settings-attributes.html).
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import cached_property
from typing import TYPE_CHECKING, Any

from windlass.engines.aws.attempt import in_doubt, send_once
from windlass.engines.aws.clients import Clients
from windlass.engines.aws.faults import calling, code_of
from windlass.engines.aws.stage import Stage
from windlass.errors import (
    Conflict,
    EngineUnavailable,
    InvalidItem,
    LockedOut,
    NotFound,
    Problem,
    TooManyRequests,
    Unauthorized,
    WrongCredentials,
)
from windlass.model.password import check_password, prepared_password
from windlass.model.user_pool import UserPool, checked_groups
from windlass.model.username import canonical_username, new_address, new_username
from windlass.ports.clock import Clock, iso
from windlass.ports.user_pool import Tokens, User

if TYPE_CHECKING:
    from windlass.engines.aws.jwks import KeySet
    from windlass.engines.aws.tokens import TokenReader

__all__ = ["AwsUserPool", "ProblemOf", "refresh_problem", "sign_in_problem", "sign_out_problem", "throttle_problem"]

ProblemOf = Callable[[Exception], Problem | None]
"""Says which Problem an answer of Cognito is to who asked; None for a fault that is not theirs."""

logger = logging.getLogger("windlass")

# TokenModelType: https://docs.aws.amazon.com/cognito-user-identity-pools/latest/APIReference/API_RevokeToken.html
_TOKEN = re.compile(r"[A-Za-z0-9_=.-]+", re.ASCII)

_THROTTLED = frozenset({"TooManyRequestsException", "LimitExceededException", "ThrottlingException"})
_WEAK = frozenset({"InvalidPasswordException", "PasswordHistoryPolicyViolationException"})
_NO_TOKEN = frozenset({"NotAuthorizedException", "UserNotFoundException", "InvalidParameterException"})
_NOTHING_TO_REVOKE = frozenset(
    {"InvalidParameterException", "NotAuthorizedException", "UnauthorizedException", "UnsupportedTokenTypeException"}
)

# What NotAuthorizedException says of a person; another text is of the app client, and an operator's to mend.
_OF_THE_USER = frozenset({"Incorrect username or password.", "User is disabled.", "User does not exist."})

# Cognito does not say for how long; the shortest is a second:
# https://docs.aws.amazon.com/cognito/latest/developerguide/authentication.html#authentication-flow-lockout-behavior
_LOCKED_SECONDS = 1.0


class AwsUserPool:
    """Implements `windlass.ports.user_pool.UserPoolOperator`."""

    def __init__(self, model: UserPool, stage: Stage, clients: Clients, clock: Clock) -> None:
        self._model, self._stage, self._clients, self._clock = model, stage, clients, clock
        self._told_of_rotation = False

    # ---- what a handler may ask

    def sign_in(self, username: str, password: str) -> Tokens:
        """Tokens for a user. Raises WrongCredentials (also for one who is unknown, disabled, or has something to do
        first, which the log tells), LockedOut, and TooManyRequests above the account's quota of sign-ins."""
        name = canonical_username(username, self._model.sign_in_by)
        prepared = prepared_password(password)
        if name is None or not prepared:
            raise _wrong()
        with self._calling("sign_in", sign_in_problem):
            answer = self._cognito.initiate_auth(
                AuthFlow="USER_PASSWORD_AUTH",
                ClientId=self._client_id,
                AuthParameters={"USERNAME": name, "PASSWORD": prepared},
            )
        result = answer.get("AuthenticationResult")
        if result is None:
            challenge = answer.get("ChallengeName", "no tokens")
            remedy = (
                "set a permanent password, as create_user and set_password do"
                if challenge == "NEW_PASSWORD_REQUIRED"
                else "turn off for this user, or for the pool, what asks for more than a password"
            )
            logger.warning(
                "%s: %s may not sign in yet: Cognito answers %s; %s", self._model.where, name, challenge, remedy
            )
            raise _wrong()
        return _tokens(result, result["RefreshToken"])

    def refresh(self, refresh_token: str) -> Tokens:
        """Trades a refresh token for new tokens. What becomes of the old one, rotation says:
        https://docs.aws.amazon.com/cognito/latest/developerguide/amazon-cognito-user-pools-using-the-refresh-token.html
        Without it, which Windlass never deploys, the old one stays. Raises Unauthorized, TooManyRequests."""
        if _TOKEN.fullmatch(refresh_token) is None:
            raise Unauthorized("the token is not valid")
        with self._calling("refresh", refresh_problem):
            answer = self._cognito.get_tokens_from_refresh_token(RefreshToken=refresh_token, ClientId=self._client_id)
        result = answer["AuthenticationResult"]
        if "RefreshToken" not in result and not self._told_of_rotation:
            self._told_of_rotation = True
            logger.warning(
                "%s: refresh tokens do not rotate, so a stolen one stays good; deploy the system again to turn "
                "refresh token rotation on for the app client",
                self._model.where,
            )
        return _tokens(result, refresh_token)

    def sign_out(self, refresh_token: str) -> None:
        """Revokes a refresh token and what was got with it. Anything else is ignored. The access tokens stay good for
        routes until they expire: API Gateway looks at the signature only."""
        if _TOKEN.fullmatch(refresh_token) is None:
            return
        with suppress(Unauthorized), self._calling("sign_out", sign_out_problem):
            self._cognito.revoke_token(Token=refresh_token, ClientId=self._client_id)

    def verify(self, token: str) -> Mapping[str, Any]:
        """The claims of a valid access or ID token, as a dict of the caller's own. Raises Unauthorized for one that
        is not this pool's or has expired; one that was revoked is good until then."""
        return self._reader.read(token)

    def jwks(self) -> Mapping[str, Any]:
        """The pool's public keys, as Cognito publishes them."""
        return self._keys.document()

    def discovery(self) -> Mapping[str, Any]:
        """The OpenID Connect discovery document, with what there is: keys and claims. The pool has no domain, so
        there is no authorization endpoint, and the response type is `none`."""
        return {
            "issuer": self._issuer,
            "jwks_uri": f"{self._issuer}/.well-known/jwks.json",
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
        e-mail address counts as verified: the operator vouches for it. No mail is sent.

        The password comes last, so that a user whose creation breaks off cannot sign in; it is removed again, unless
        this process dies first: then `set_password` completes it and `delete_user` removes it. Raises EngineUnavailable
        where Cognito's answer was lost: there may be such a user then.
        """
        name = new_username(username, self._model.sign_in_by)
        address = new_address(name, email, self._model.sign_in_by)
        checked = checked_groups(self._model, groups)
        prepared = self._checked_password(password, name, address)
        attributes = {} if address is None else {"email": address, "email_verified": "true"}
        with self._calling("create_user", _operator_problem(username)):
            made = self._created(name, attributes)
            try:
                for group in checked:
                    self._cognito.admin_add_user_to_group(**self._of(name), GroupName=group)
                self._cognito.admin_set_user_password(**self._of(name), Password=prepared, Permanent=True)
            except BaseException:
                self._undo_creation(name)
                raise
        return self._shown(made["User"], made["User"]["Attributes"], checked)

    def list_users(self) -> list[User]:
        """All users by name. A change of the last moments may be missing: Cognito's list is eventually consistent
        (https://docs.aws.amazon.com/cognito-user-identity-pools/latest/APIReference/API_ListUsers.html)."""
        with self._calling("list_users", _operator_problem("")):
            members: dict[str, list[str]] = {}
            # There are fewer groups than users, so they are asked for their users, not each user for its groups.
            for group in self._model.groups:
                for member in self._pages("list_users_in_group", "Users", GroupName=group):
                    members.setdefault(member["Username"], []).append(group)
            found = [
                self._shown(user, user["Attributes"], members.get(user["Username"], ()))
                for user in self._pages("list_users", "Users")
            ]
        return sorted(found, key=lambda user: user.username)

    def get_user(self, username: str) -> User:
        """Raises NotFound."""
        name = self._known(username)
        with self._calling("get_user", _operator_problem(username)):
            user = self._cognito.admin_get_user(**self._of(name))
            return self._shown(user, user["UserAttributes"], self._groups_of(name))

    def set_enabled(self, username: str, enabled: bool) -> None:
        """Lets a user sign in, or not. Disabling ends all sign-ins for good; an access token that is out stays good for
        routes until it expires. A lockout ends by itself only. Raises NotFound."""
        user = self._of(self._known(username))
        with self._calling("set_enabled", _operator_problem(username)):
            if enabled:
                self._cognito.admin_enable_user(**user)
            else:
                self._cognito.admin_disable_user(**user)
                self._cognito.admin_user_global_sign_out(**user)

    def set_password(self, username: str, password: str) -> None:
        """Sets a new password and ends all sign-ins. Raises NotFound, InvalidItem."""
        name = self._known(username)
        user = self.get_user(username)
        prepared = self._checked_password(password, name, user.email)
        with self._calling("set_password", _operator_problem(username)):
            self._cognito.admin_set_user_password(**self._of(name), Password=prepared, Permanent=True)
            self._cognito.admin_user_global_sign_out(**self._of(name))

    def set_groups(self, username: str, groups: Sequence[str]) -> None:
        """Puts a user into these groups only. Tokens issued before keep theirs until they expire. Raises NotFound,
        InvalidItem."""
        checked = set(checked_groups(self._model, groups))
        name = self._known(username)
        with self._calling("set_groups", _operator_problem(username)):
            present = set(self._groups_of(name))
            for group in sorted(checked - present):
                self._cognito.admin_add_user_to_group(**self._of(name), GroupName=group)
            for group in sorted(present - checked):
                self._cognito.admin_remove_user_from_group(**self._of(name), GroupName=group)

    def delete_user(self, username: str) -> None:
        """Removes a user and its refresh tokens. Raises NotFound."""
        with self._calling("delete_user", _operator_problem(username)):
            self._cognito.admin_delete_user(**self._of(self._known(username)))

    # ---- how

    @property
    def _cognito(self) -> Any:
        return self._clients.client("cognito-idp")

    @property
    def _pool_id(self) -> str:
        return self._stage.told(self._model.name, "pool")

    @property
    def _client_id(self) -> str:
        return self._stage.told(self._model.name, "client")

    @property
    def _issuer(self) -> str:
        suffix = ".cn" if self._stage.partition == "aws-cn" else ""
        return f"https://cognito-idp.{self._stage.region}.amazonaws.com{suffix}/{self._pool_id}"

    # Made when a token is first read: a function that only signs in does not pay for the imports.
    @cached_property
    def _keys(self) -> KeySet:
        from windlass.engines.aws.jwks import KeySet

        endpoint = self._clients.endpoint
        base = self._issuer if endpoint is None else f"{endpoint.rstrip('/')}/{self._pool_id}"
        return KeySet(f"{base}/.well-known/jwks.json", self._clock, where=self._model.where)

    @cached_property
    def _reader(self) -> TokenReader:
        from windlass.engines.aws.tokens import TokenReader

        return TokenReader(self._keys, issuer=self._issuer, client_id=self._client_id, clock=self._clock)

    @contextmanager
    def _calling(self, operation: str, problem_of: ProblemOf) -> Iterator[None]:
        """`calling`, after `problem_of` said which Problem an answer of Cognito is, if any."""
        from botocore.exceptions import ClientError

        with calling(self._model, operation):
            try:
                yield
            except ClientError as error:
                if (problem := throttle_problem(error) or problem_of(error)) is None:
                    raise
                raise problem from error

    def _of(self, name: str) -> dict[str, str]:
        return {"UserPoolId": self._pool_id, "Username": name}

    def _known(self, username: str) -> str:
        """The name that Cognito is asked for. Raises NotFound for one that can be no user's."""
        name = canonical_username(username, self._model.sign_in_by)
        if name is None:
            raise _unknown(username)
        return name

    def _checked_password(self, password: str, *names: str | None) -> str:
        check_password(password, *names, min_length=self._model.min_password_length)
        prepared = prepared_password(password)
        assert prepared is not None  # check_password refuses what cannot be prepared
        return prepared

    def _created(self, name: str, attributes: Mapping[str, str]) -> Mapping[str, Any]:
        """Makes a user, once: repeated, a creation that was done says that the name is taken, as it does when another
        took it meanwhile; and to go on with another's user would give it away."""
        request = {
            **self._of(name),
            "UserAttributes": [{"Name": key, "Value": value} for key, value in attributes.items()],
            "MessageAction": "SUPPRESS",
        }
        try:
            return send_once(self._clients.client("cognito-idp", once=True).admin_create_user, request)
        except Exception as error:
            if not in_doubt(error):
                raise
            raise EngineUnavailable(
                f"{self._model.where}.create_user: Cognito did not say whether it made {name}\n"
                "  fix: if the user is there, set its password and groups, or delete it and make it again"
            ) from error

    def _undo_creation(self, name: str) -> None:
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            self._cognito.admin_delete_user(**self._of(name))
        except (BotoCoreError, ClientError):
            logger.warning("%s: %s is half created; delete the user", self._model.where, name, exc_info=True)

    def _groups_of(self, name: str) -> list[str]:
        pages = self._pages("admin_list_groups_for_user", "Groups", Username=name)
        return [group["GroupName"] for group in pages]

    def _pages(self, operation: str, what: str, **parameters: str) -> Iterator[Mapping[str, Any]]:
        paginator = self._cognito.get_paginator(operation)
        for page in paginator.paginate(UserPoolId=self._pool_id, **parameters):
            yield from page[what]

    def _shown(self, user: Mapping[str, Any], attributes: Sequence[Mapping[str, str]], groups: Iterable[str]) -> User:
        of = {attribute["Name"]: attribute["Value"] for attribute in attributes}
        email = of.get("email")
        by_address = self._model.sign_in_by == "email" and email is not None
        return User(
            id=of["sub"],
            username=str(email if by_address else user["Username"]),
            email=email,
            groups=tuple(sorted(set(groups) & set(self._model.groups))),
            enabled=bool(user["Enabled"]),
            created_at=iso(user["UserCreateDate"].timestamp()),
        )


def sign_in_problem(error: Exception) -> Problem | None:
    """What InitiateAuth's answer means to who signs in; None for a fault that is not theirs. Whether the name, the
    password or the state of the user is at fault is for the log only."""
    code, message = code_of(error), _message_of(error)
    if code == "TooManyFailedAttemptsException" or (
        code == "NotAuthorizedException" and "attempts exceeded" in message
    ):
        return LockedOut("too many failed sign-ins; wait", retry_after=_LOCKED_SECONDS)
    if code == "UserNotFoundException":
        return _wrong()
    if code == "NotAuthorizedException":
        if message not in _OF_THE_USER:
            logger.warning("Cognito refuses a sign-in: %s", message)
        return _wrong()
    if code in ("UserNotConfirmedException", "PasswordResetRequiredException"):
        logger.warning("a user may not sign in yet: Cognito answers %s; set the user's password", code)
        return _wrong()
    return None


def refresh_problem(error: Exception) -> Problem | None:
    """What GetTokensFromRefreshToken's answer means to who refreshes; None for a fault that is not theirs."""
    code = code_of(error)
    if code == "RefreshTokenReuseException":
        return Unauthorized("the token was used before; sign in again")
    if code in _NO_TOKEN:
        return Unauthorized("the token is not valid, or not any more; sign in again")
    return None


def sign_out_problem(error: Exception) -> Problem | None:
    """Unauthorized when RevokeToken's answer is that there is nothing to revoke; None for a fault."""
    return Unauthorized("the token is not valid") if code_of(error) in _NOTHING_TO_REVOKE else None


def _operator_problem(username: str) -> ProblemOf:
    """What an answer means to the operator who asked about `username`."""

    def problem_of(error: Exception) -> Problem | None:
        code = code_of(error)
        if code == "UserNotFoundException":
            return _unknown(username)
        if code in ("UsernameExistsException", "AliasExistsException"):
            return Conflict(f"there is a user {username} already")
        if code in _WEAK:
            return InvalidItem("the password is not one that the pool's policy takes", field="password")
        return None

    return problem_of


def throttle_problem(error: Exception) -> Problem | None:
    """TooManyRequests when an answer is that the account's quota is spent
    (https://docs.aws.amazon.com/cognito/latest/developerguide/quotas.html)."""
    if code_of(error) in _THROTTLED:
        return TooManyRequests("too many requests at once; try again", retry_after=1.0)
    return None


def _message_of(error: Exception) -> str:
    response: Any = getattr(error, "response", None)
    return str(response.get("Error", {}).get("Message", "")) if isinstance(response, dict) else ""


def _tokens(result: Mapping[str, Any], refresh_token: str) -> Tokens:
    """What Cognito answers, as tokens; `refresh_token` is the one that is good when the answer has none."""
    return Tokens(
        access_token=result["AccessToken"],
        id_token=result["IdToken"],
        refresh_token=result.get("RefreshToken", refresh_token),
        token_type="Bearer",  # noqa: S106 - the name of a scheme (RFC 6750), not a token
        expires_in=result["ExpiresIn"],
    )


def _wrong() -> WrongCredentials:
    return WrongCredentials("the user name or the password is wrong")


def _unknown(username: str) -> NotFound:
    return NotFound(f"there is no user {username!r}")
