"""What runs in the sample system. Its functions are never called."""

from dataclasses import dataclass
from datetime import date, timedelta
from typing import Annotated, Literal

from msgspec import Meta

from windlass.model.api import Reply
from windlass.model.queue import Batch, Message
from windlass.model.signature import Header
from windlass.model.table import Page
from windlass.ports.api import Caller
from windlass.ports.schedule import Tick
from windlass.ports.user_pool import Tokens

from .system import (
    Line,
    Notice,
    Order,
    Payment,
    api,
    bank_key,
    counters,
    customers,
    mail,
    nightly,
    notices,
    payments,
    placed,
    users,
)


@dataclass(frozen=True, slots=True)
class Credentials:
    username: str
    password: str


@dataclass(frozen=True, slots=True)
class NewOrder:
    lines: Annotated[list[Line], Meta(min_length=1, max_length=100)]
    note: Annotated[str, Meta(max_length=200)] = ""


@api.post("/tokens", public=True, uses=[users.sign_in], throttle=5)
def sign_in(body: Credentials) -> Tokens:
    """Trades a user name and a password for tokens."""
    return users.sign_in(body.username, body.password)


@api.post("/orders", status=201, uses=[placed.put, payments.send], idempotent=timedelta(hours=1))
def place(body: NewOrder, caller: Caller) -> Reply[Order]:
    """Places an order.

    The payment follows: its state says how far it is.
    """
    raise NotImplementedError


@api.get("/orders", uses=[placed.query])
def mine(
    caller: Caller,
    limit: Annotated[int, Meta(ge=1, le=100, description="How many at most.")] = 20,
    after: str | None = None,
    state: list[Literal["new", "paid", "sent"]] | None = None,
) -> Page[Order]:
    """The caller's orders, newest last."""
    raise NotImplementedError


@api.get("/orders/{id}", uses=[placed.get])
def one(id: str, caller: Caller, if_none_match: Annotated[str | None, Header("If-None-Match")] = None) -> Order:
    """One order of the caller."""
    raise NotImplementedError


@api.delete("/orders/{id}", status=204, uses=[placed.update, notices.send])
def cancel(id: str, caller: Caller) -> None:
    """Cancels an order that was not sent yet."""


@api.get("/days/{day}", roles=["clerk", "admin"], uses=[placed.index("by_day").query, counters.get])
def by_day(day: date) -> Page[Order]:
    """All orders of one day."""
    raise NotImplementedError


@payments.consumer(uses=[placed.update, bank_key.read, notices.send, counters.update], concurrency=2)
def pay(payment: Message[Payment]) -> None:
    """Has an order paid."""


@notices.consumer(uses=[mail.send, customers.get])
def notify(batch: Batch[Notice]) -> None:
    """Tells the customer."""


@nightly.task(uses=[counters.scan, mail.send])
def summary(tick: Tick) -> None:
    """Mails the numbers of the day."""
