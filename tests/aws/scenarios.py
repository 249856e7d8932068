"""What users do with each system, so that all its handlers are recorded for `calls.json`: see `calls.py`.

Every handler has two deliveries in a row, and a consumer batches of one message and full ones. What an environment
remembers for a while is asked for again at the moment when it has become too old.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import timedelta

from file_sla.tests.test_file_sla import report
from presenter.tests.issuer import bearer, token

from tests.aws.servers import Kind
from windlass.testing import Answer, Driver

__all__ = ["SCENARIOS"]

_TEXT = "a text of about forty characters, or so."
_FRESH = timedelta(seconds=60)


def _presenter(app: Driver) -> None:
    """A page of twenty items is posted and read; then many callers post at once."""

    def read() -> Answer:
        return app.get("/data?limit=20", headers=bearer(token(app, sub="ada")))

    def post(caller: str = "ada") -> Answer:
        content = {"informationOne": _TEXT, "informationTwo": _TEXT}
        return app.post("/data", json=content, headers=bearer(token(app, sub=caller)))

    _sound(read(), read())
    app.advance(_FRESH)
    _sound(read())
    for _ in range(21):
        _sound(post())
        app.settle()
    _sound(read())
    for _ in range(2):
        app.advance(_FRESH)
        _sound(*(post(f"caller{number}") for number in range(100)))
        app.settle()


def _file_sla(app: Driver) -> None:
    """A collector signs in, refreshes, and posts a breach at a time; somebody looks at a day of them."""
    app.user_pool("users").create_user("bo", "a long enough password", groups=["collector", "viewer"])
    tokens = [app.post("/auth", json={"username": "bo", "password": "a long enough password"}) for _ in range(2)]
    _sound(*tokens)
    for answer in tokens:
        _sound(app.post("/auth/refresh", json={"refresh_token": answer.json()["refresh_token"]}))
    caller = {"authorization": f"Bearer {tokens[0].json()['access_token']}"}
    day = app.now.date().isoformat()
    for number in range(20):
        key = {"idempotency-key": f"breach-{number:08}"}
        _sound(app.post("/file_sla_error", json=report(f"/in/{number % 4}"), headers=caller | key))
    for _ in range(2):
        _sound(app.get(f"/file_sla_errors?date={day}", headers=caller))
        _sound(app.get(f"/summary?from={day}&to={day}", headers=caller))


def _sound(*answers: Answer) -> None:
    wrong = [answer for answer in answers if answer.status >= 300]
    assert not wrong, wrong[0]


SCENARIOS: Mapping[str, tuple[Kind, Callable[[Driver], None]]] = {
    "file_sla": ("ministack", _file_sla),
    "presenter": ("moto", _presenter),
}
"""By a system's name what stands in for AWS, and what is done. moto cannot refresh the tokens of a user pool."""
