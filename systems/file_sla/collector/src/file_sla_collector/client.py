"""The API's client: signs in, posts with an idempotency key, tries again where that can help.

What an answer means:

- 2xx with the list `stored`: accepted.
- 400, 413, 415, 422: this post is refused, and would be again (`RefusedError`).
- 401 to a post: the token is over; sign in once more, and no more than once.
- 401 to a sign-in, or a sign-in refused otherwise: `SignInError`.
- 408, 409, 425, 429, 5xx, a broken or unreadable answer, no answer: try again, then `UnavailableError`.
- anything else, a redirect included: the URL is not that of the API; `UnavailableError` without another try.
"""

from __future__ import annotations

import json
import logging
import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from file_sla_collector.clock import Clock
from file_sla_collector.credentials import Credentials, CredentialSource
from file_sla_collector.endpoint import Answer, ExchangeError, Line
from file_sla_collector.report import encode
from file_sla_collector.retry import RetryPolicy, parse_retry_after

SIGN_IN_PATH = "/auth"
POST_PATH = "/file_sla_error"

# After a refused sign-in, the same password is not tried for so long: repeating it could lock the account.
SIGN_IN_PAUSE = 300.0

# A token is replaced this long before it ends, so that a post does not fail on its way.
_TOKEN_MARGIN = 30.0
_AGAIN = frozenset({408, 409, 425, 429})
_REFUSED = frozenset({400, 413, 415, 422})
_LONGEST_REASON = 500

_log = logging.getLogger(__name__)


class ClientError(Exception):
    """A post was not accepted."""


class UnavailableError(ClientError):
    """The API cannot be reached, or does not answer as it should. The post stays in the spool.

    `status` is that of the last answer, None when there was none.
    """

    def __init__(self, message: str, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status


class SignInError(ClientError):
    """The API does not accept these credentials, or this user. The post stays in the spool."""


class RefusedError(ClientError):
    """The API refused this very post; sending it again would change nothing."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(f"{status}: {reason}")
        self.status = status
        self.reason = reason


@dataclass(frozen=True, slots=True)
class _Token:
    value: str
    ends: float | None


class Client:
    """Posts reports over `line`, signed in with `credentials`. The token is kept in memory only.

    `policy` says how often a request is tried, `draw` is the source of the jitter.
    """

    def __init__(
        self,
        line: Line,
        credentials: CredentialSource,
        clock: Clock,
        *,
        policy: RetryPolicy | None = None,
        draw: Callable[[float, float], float] = random.uniform,
    ) -> None:
        self._line = line
        self._credentials = credentials
        self._clock = clock
        self._policy = policy or RetryPolicy()
        self._draw = draw
        self._token: _Token | None = None
        self._silent_until = float("-inf")
        self._refused: tuple[Credentials, float, str] | None = None

    def post(self, body: bytes, key: str) -> tuple[str, ...]:
        """Deliver one report under the idempotency key `key`; the ErrorIds that the API stored it under.

        Raises RefusedError, SignInError, UnavailableError, and ConfigError when a password file has gone.
        """
        answer = self._post_signed_in(body, key)
        if answer.status == 401:
            self._token = None
            answer = self._post_signed_in(body, key)
        if answer.status in (401, 403):
            self._token = None
            raise SignInError(f"signed in, but the post was not allowed: {_reason(answer)}")
        if answer.status in _REFUSED:
            raise RefusedError(answer.status, _reason(answer))
        return _stored(answer) or ()

    def _post_signed_in(self, body: bytes, key: str) -> Answer:
        headers = {"Authorization": f"Bearer {self._signed_in()}", "Idempotency-Key": key}
        return self._try("post", POST_PATH, body, headers, lambda answer: _stored(answer) is not None)

    def _signed_in(self) -> str:
        token = self._token
        if token is None or (token.ends is not None and self._clock.monotonic() >= token.ends):
            token = self._sign_in()
            self._token = token
        return token.value

    def _sign_in(self) -> _Token:
        credentials = self._credentials()
        if self._refused is not None:
            refused, until, reason = self._refused
            if credentials == refused and self._clock.monotonic() < until:
                raise SignInError(f"{reason}; the same password is not tried again before {SIGN_IN_PAUSE:g} s are over")
        body = encode({"username": credentials.username, "password": credentials.password})
        asked = self._clock.monotonic()
        try:
            answer = self._try("sign-in", SIGN_IN_PATH, body, {}, lambda answer: _token(answer, asked) is not None)
        except UnavailableError as error:
            if error.status == 429:
                # The API answers so after repeated wrong passwords: it is there, and lets nobody in.
                raise SignInError(str(error)) from error
            raise
        token = _token(answer, asked) if answer.status < 300 else None
        if token is None:
            told = _reason(answer).replace(credentials.password, "***")
            reason = f"the sign-in of {credentials.username!r} was refused: {told}"
            self._refused = (credentials, self._clock.monotonic() + SIGN_IN_PAUSE, reason)
            raise SignInError(reason)
        return token

    def _try(
        self, what: str, path: str, body: bytes, headers: dict[str, str], is_whole: Callable[[Answer], bool]
    ) -> Answer:
        """An answer that is 2xx and whole, or one of the final refusals. Raises UnavailableError."""
        silence = self._silent_until - self._clock.monotonic()
        if silence > 0:
            raise UnavailableError(f"the server asked not to be called for another {silence:.0f} s")
        failures = 0
        while True:
            retry_after = status = None
            try:
                answer = self._line.post(path, body, headers)
            except ExchangeError as error:
                problem = f"{what}: {error}"
                if error.lasting:
                    raise UnavailableError(problem) from error
            else:
                status = answer.status
                if status in _REFUSED or status in (401, 403):
                    return answer
                if 200 <= status < 300:
                    if is_whole(answer):
                        return answer
                    problem = f"{what}: {status}, but the body is not an answer of the API"
                elif status in _AGAIN or status >= 500:
                    problem = f"{what}: {_reason(answer)}"
                    retry_after = parse_retry_after(answer.headers.get("retry-after"), self._clock.now())
                else:
                    raise UnavailableError(f"{what}: {_reason(answer)}; is the URL that of the API?", status)
            failures += 1
            gives_up = self._pause(failures, retry_after, problem)
            if gives_up is not None:
                raise UnavailableError(gives_up, status)

    def _pause(self, failures: int, retry_after: float | None, problem: str) -> str | None:
        """Wait until the next attempt is due; when there is to be none, say why."""
        if retry_after is not None:
            silence = min(retry_after, self._policy.longest_silence)
            self._silent_until = self._clock.monotonic() + silence
            if retry_after > self._policy.longest_wait:
                return f"{problem}; the server asks to wait {retry_after:.0f} s"
        if failures >= self._policy.attempts:
            return f"{problem} ({failures} attempts)"
        seconds = self._policy.wait(failures, retry_after, self._draw)
        _log.warning("%s; attempt %d of %d in %.1f s", problem, failures + 1, self._policy.attempts, seconds)
        if self._clock.wait(seconds):
            return f"{problem}; stopped before another attempt"
        return None


def _json(answer: Answer) -> dict[str, Any]:
    try:
        value = json.loads(answer.body)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def _stored(answer: Answer) -> tuple[str, ...] | None:
    """The ErrorIds of a 2xx answer; None when it is not the API that answered so (a portal, a proxy)."""
    stored = _json(answer).get("stored")
    if isinstance(stored, list) and all(isinstance(each, str) for each in stored):
        return tuple(stored)
    return None


def _token(answer: Answer, asked: float) -> _Token | None:
    fields = _json(answer)
    value, lasts = fields.get("access_token"), fields.get("expires_in")
    # Only what may stand in a header: a line break would let a broken server write headers of its own.
    if not isinstance(value, str) or not value or not value.isascii() or not value.isprintable() or " " in value:
        return None
    if isinstance(lasts, bool) or not isinstance(lasts, int) or lasts <= 2 * _TOKEN_MARGIN:
        return _Token(value, None)
    return _Token(value, asked + lasts - _TOKEN_MARGIN)


def _reason(answer: Answer) -> str:
    """What a refusal says, from an RFC 9457 problem where there is one: title, detail, fields at fault."""
    problem = _json(answer)
    parts = [problem.get("title"), problem.get("detail")]
    errors = problem.get("errors")
    if errors:
        parts.append(json.dumps(errors, ensure_ascii=False))
    told = f"{answer.status} {': '.join(str(part) for part in parts if part)}".strip()[:_LONGEST_REASON]
    # It ends up in logs and on terminals, where a line break or an escape sequence could forge a line.
    return "".join(char if char.isprintable() else " " for char in told)
