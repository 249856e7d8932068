"""presenter: information is posted, queued, persisted, and shown to whom it belongs."""

from __future__ import annotations

from datetime import timedelta

import msgspec

from windlass import Caller, Request, System

from .tokens import Verifier

presenter = System(
    "presenter",
    title="Presenter",
    description="Takes information, stores it by way of a queue, and shows everybody their own.",
)


class Information(msgspec.Struct, frozen=True):
    """What was posted, as it is queued and stored.

    `User` is the token's `sub`; `Date` is when it was posted, ISO 8601 in UTC. `Key` is `Date` and an id, so that a
    user's items sort by age; it is made when the post is taken, so a message that is delivered twice is one item.
    """

    User: str
    Key: str
    Date: str
    InformationOne: str
    InformationTwo: str


jwt_key = presenter.secret("jwt_key", generate=48)
jwks_url = presenter.secret("jwks_url")

data = presenter.queue("data", Information, visibility=timedelta(seconds=30), max_attempts=5)

information = presenter.table("information", Information, key="User", sort="Key")

verifier = Verifier()


@presenter.authorizer(uses=[jwt_key.read, jwks_url.read])
def by_token(request: Request) -> Caller:
    """Who calls, by the bearer token."""
    return verifier.caller(request.headers.get("authorization", ""), jwt_key.read, jwks_url.read)


api = presenter.api(
    "api",
    auth=by_token,
    throttle=500,
    throttle_per_caller=100,
    max_body=64 * 1024,
    title="Presenter",
    description="Post information, and read your own.",
)

page = presenter.site("page", folder="site")

presenter.alarm(
    "data_age",
    of=data,
    metric="age",
    above=timedelta(minutes=2),
    description="What was posted is not being stored: the persister stands still, or cannot keep up.",
)
presenter.alarm(
    "slow_to_store",
    metric="seconds_until_stored",
    statistic="p99",
    above=timedelta(seconds=30),
    periods=5,
    datapoints=3,
    description="Those who post wait long to read it.",
)
presenter.alarm(
    "refused",
    of=api,
    metric="client_errors",
    statistic="average",
    above=0.5,
    periods=5,
    datapoints=3,
    description="Most requests are refused: an issuer has changed its keys, a client is broken, or somebody guesses.",
)
