"""The test driver: a system on the embedded engine, without threads, with a clock that the test moves.

with todos.run_embedded() as app:
    assert app.post("/todos", json={"title": "tea"}, as_user="ada@example.com").status == 201
    app.settle()                       # every queue is drained
    app.advance(timedelta(hours=1))    # every schedule on the way has fired
"""

from __future__ import annotations

import logging
import random
import secrets
import tempfile
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import unquote, urlencode

import msgspec
from argon2 import PasswordHasher

from windlass.dispatch.problem import as_problem, problem_response
from windlass.dispatch.throttle import Throttles
from windlass.engines.embedded.alarm_mail import MAILER
from windlass.engines.embedded.engine import EmbeddedEngine
from windlass.engines.embedded.namespace import Namespace
from windlass.engines.embedded.site import site_answer
from windlass.errors import Conflict, EngineUnavailable, NotFound, WindlassError
from windlass.model.api import Api
from windlass.model.system import System
from windlass.model.user_pool import UserPool
from windlass.ports.api import Request, Response
from windlass.ports.binding import Grant, Invocation, invocation_trace, invoked
from windlass.ports.clock import ManualClock, from_epoch
from windlass.ports.mailer import Mail, MailerOperator
from windlass.ports.queue import QueueOperator
from windlass.ports.secret import SecretOperator
from windlass.ports.telemetry import Span
from windlass.ports.user_pool import UserPoolOperator

__all__ = ["Answer", "Capture", "Driver", "LogLine"]

_MOST_ROUNDS = 100_000


@dataclass(frozen=True, slots=True)
class LogLine:
    """One line that was logged, with secrets masked."""

    level: str
    logger: str
    message: str
    trace_id: str | None


class Answer:
    """A response as a test reads it. Header names are in lower case."""

    def __init__(self, response: Response) -> None:
        self.status, self.body = response.status, response.body
        self.headers = dict(response.headers)

    def __repr__(self) -> str:
        return f"<Answer {self.status} {self.body[:200]!r}>"

    def json(self) -> Any:
        """The body, decoded."""
        return msgspec.json.decode(self.body)


class Capture(logging.Handler):
    """Puts what is logged into a driver's `logs`."""

    def __init__(self, driver: Driver) -> None:
        super().__init__(logging.INFO)
        self._driver = driver

    def emit(self, record: logging.LogRecord) -> None:
        text = self._driver._masked(self.format(record))
        trace_id = getattr(record, "trace_id", None) or invocation_trace()
        self._driver.logs.append(LogLine(record.levelname, record.name, text, trace_id))


class Driver:
    """Runs one system for a test.

    `seed` shuffles the order of deliveries and repeats some, as AWS may; the same seed does the same. `path` keeps
    the state between drivers. `logs`, `metrics`, `spans` and `outbox` hold what happened so far.
    """

    def __init__(
        self,
        system: System,
        path: Path | str | None = None,
        *,
        seed: int | None = None,
        clock_start: datetime | None = None,
    ) -> None:
        self._folder = None if path is not None else tempfile.TemporaryDirectory(prefix="windlass-")
        home = Path(path if path is not None else self._folder.name if self._folder else "")
        self.system, self.clock = system, ManualClock(clock_start)
        self._random = None if seed is None else random.Random(seed)
        self.logs: list[LogLine] = []
        namespace = Namespace(home, clock=self.clock)
        try:
            self.engine = EmbeddedEngine(
                namespace,
                [system],
                chaos=self._random,
                throttles=Throttles(self.clock.now),
                hasher=PasswordHasher(time_cost=1, memory_cost=8, parallelism=1),
            )
            self.first_users = self.engine.prepare()
        except BaseException:
            namespace.close()
            raise
        self._running = self.engine.systems[system.name]
        self.metrics = self.engine.telemetry.metrics
        self._spans: list[Span] = []
        self._passwords: dict[str, str] = {}
        self._tokens: dict[str, tuple[str, float]] = {}
        self._begin_capture(Capture(self))

    def _begin_capture(self, capture: Capture) -> None:
        self._capture = capture
        logging.getLogger().addHandler(self._capture)
        self._root_level = logging.getLogger().level
        logging.getLogger().setLevel(min(self._root_level, logging.INFO) or logging.INFO)

    def _end_capture(self) -> None:
        logging.getLogger().removeHandler(self._capture)
        logging.getLogger().setLevel(self._root_level)

    def _masked(self, text: str) -> str:
        return self.engine.redactor.mask(text)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Ends the run; removes the state unless a path was given."""
        self._end_capture()
        self.engine.stop(0)
        if self._folder is not None:
            self._folder.cleanup()

    # ---- HTTP

    def request(
        self,
        method: str,
        path: str,
        *,
        json: Any = None,
        body: bytes | None = None,
        query: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
        as_user: str | None = None,
    ) -> Answer:
        """Sends a request to the system, below its prefix. `as_user` signs in a user of the api's pool, who is
        created when there is none of that name."""
        sent = {name.lower(): value for name, value in (headers or {}).items()}
        if json is not None:
            body = msgspec.json.encode(json)
            sent.setdefault("content-type", "application/json")
        if as_user is not None:
            sent["authorization"] = f"Bearer {self.token(as_user)}"
        path, _, text = path.partition("?")
        if query:
            text = urlencode(query, doseq=True)
        request = Request(method, unquote(path), text, sent, body or b"", "127.0.0.1")
        return Answer(self._handle(request))

    def _handle(self, request: Request) -> Response:
        response = self._from_site(request) or self._running.http.handle(request)
        self.engine.namespace.store.flush()
        return response

    def _from_site(self, request: Request) -> Response | None:
        """As in the gateway: what no route takes is the site's, where it has something there."""
        if self._running.http.allowed(request.path):
            return None
        try:
            return site_answer(self.system, self._running.ports, request.method, request.path, request.headers)
        except WindlassError as error:
            return problem_response(as_problem(error), request.trace_id)

    def get(self, path: str, **options: Any) -> Answer:
        """`request("GET", path, ...)`."""
        return self.request("GET", path, **options)

    def post(self, path: str, **options: Any) -> Answer:
        """`request("POST", path, ...)`."""
        return self.request("POST", path, **options)

    def put(self, path: str, **options: Any) -> Answer:
        """`request("PUT", path, ...)`."""
        return self.request("PUT", path, **options)

    def patch(self, path: str, **options: Any) -> Answer:
        """`request("PATCH", path, ...)`."""
        return self.request("PATCH", path, **options)

    def delete(self, path: str, **options: Any) -> Answer:
        """`request("DELETE", path, ...)`."""
        return self.request("DELETE", path, **options)

    def add_user(self, username: str, *, groups: tuple[str, ...] | list[str] = ()) -> None:
        """Creates a user with a password of its own in the pool that the system's api trusts."""
        password = secrets.token_urlsafe(18)
        email = username if "@" in username else None
        self.user_pool(self._pool()).create_user(username, password, email=email, groups=groups)
        self._passwords[username] = password

    def token(self, username: str) -> str:
        """An access token of a user, who is created when this driver does not know it."""
        if username not in self._passwords:
            try:
                self.add_user(username)
            except Conflict:  # a first user, or one of an earlier run, whose password nobody here knows
                self._passwords[username] = secrets.token_urlsafe(18)
                self.user_pool(self._pool()).set_password(username, self._passwords[username])
        held, until = self._tokens.get(username, ("", 0.0))
        if self.clock.now() >= until:
            tokens = self.user_pool(self._pool()).sign_in(username, self._passwords[username])
            held = tokens.access_token
            self._tokens[username] = (held, self.clock.now() + tokens.expires_in - 1)
        return held

    def _pool(self) -> str:
        pools = {api.auth.name for api in self.system.of(Api) if isinstance(api.auth, UserPool)}
        pools = pools or {pool.name for pool in self.system.of(UserPool)}
        if len(pools) != 1:
            raise NotFound(f"as_user needs one user pool, and {self.system.name} has {len(pools)}; send headers=")
        return pools.pop()

    # ---- time and deliveries

    @property
    def now(self) -> datetime:
        """The driver's time, in UTC."""
        return from_epoch(self.clock.now())

    def settle(self) -> None:
        """Delivers everything that is due, and what comes of that, until nothing is. What waits for a later time
        (a delay, a visibility timeout, a schedule) is left to `advance`."""
        for _ in range(_MOST_ROUNDS):
            self.engine.jump.check()
            now = self.clock.now()
            sources = [source for source in self.engine.sources if (due := source.due_at()) is not None and due <= now]
            if not sources:
                self.engine.namespace.store.flush()
                return
            if self._random is not None:
                self._random.shuffle(sources)
            for source in sources:
                for work in source.claim(now, 1):
                    work.run()
                    self.engine.namespace.store.flush()
        raise EngineUnavailable("the system does not settle: its handlers make new work for ever")

    def advance(self, step: timedelta) -> None:
        """Moves the clock on by `step`, stopping at each moment at which something is due, to deliver it."""
        target = self.clock.now() + step.total_seconds()
        for _ in range(_MOST_ROUNDS):
            self.settle()
            times = [due for source in self.engine.sources if (due := source.due_at()) is not None]
            following = min(times, default=target)
            if following >= target:
                break
            self.clock.set(max(following, self.clock.now()))
        self.clock.set(target)
        self._running.housekeeping()
        self.settle()

    # ---- looking and operating

    @contextmanager
    def bound(self) -> Iterator[Self]:
        """Inside, the system's resources can be used directly, without grants."""
        ports, key = self._running.ports, self._running.context.signing_key
        invocation = Invocation(self.system.name, "test", ports, self.clock, key, uuid.uuid4().hex)
        with invoked(invocation):
            yield self
        self.engine.namespace.store.flush()

    @property
    def outbox(self) -> list[Mail]:
        """All mails of all mailers, the oldest first."""
        sent = [
            mail
            for port in (*self._running.ports.values(), self._running.alarm_mailer)
            if hasattr(port, "show") and hasattr(port, "list")
            for mail in reversed(port.list(10_000))
        ]
        return [mail.mail for mail in sorted(sent, key=lambda mail: mail.sent_at)]

    @property
    def spans(self) -> list[Span]:
        """What has happened so far, each thing when it had ended: requests, deliveries, firings, and the calls of
        resources in them, which a trace id holds together."""
        for span in self.engine.telemetry.take():
            span.error = self.engine.redactor.mask(span.error)
            self._spans.append(span)
        return list(self._spans)

    @property
    def unused_grants(self) -> dict[str, list[Grant]]:
        """Grants that no handler has made use of in this run, by handler; empty when every one was needed."""
        unused = {}
        for handler in self.system.handlers:
            used = self._running.context.used.get(handler.name, set())
            left = [grant for grant in handler.grants if (grant.resource, grant.operation) not in used]
            if left:
                unused[handler.name] = left
        return unused

    @property
    def alarms(self) -> dict[str, str]:
        """The state of every alarm, the default ones too, by name: `OK`, `ALARM` or `INSUFFICIENT_DATA`."""
        return {status.rule.name: status.state for status in self._running.alarms.statuses()}

    def queue(self, name: str) -> QueueOperator:
        """The operator's side of a queue."""
        port: QueueOperator = self._port(name, "queue")
        return port

    def user_pool(self, name: str) -> UserPoolOperator:
        """The operator's side of a user pool."""
        port: UserPoolOperator = self._port(name, "user_pool")
        return port

    def secret(self, name: str) -> SecretOperator:
        """The operator's side of a secret."""
        port: SecretOperator = self._port(name, "secret")
        return port

    def mailer(self, name: str) -> MailerOperator:
        """The operator's side of a mailer; `alarms` is the one that tells of alarms."""
        port: MailerOperator = self._running.alarm_mailer if name == MAILER else self._port(name, "mailer")
        return port

    def _port(self, name: str, noun: str) -> Any:
        resource = self.system.resources.get(name)
        if resource is None or resource.noun != noun:
            raise WindlassError(f"{self.system.name} has no {noun} {name!r}")
        return self._ports()[name]

    def _ports(self) -> Mapping[str, Any]:
        return self._running.ports
