"""The price table: `prices.json`, with AWS's prices and quotas, when they were known, and the page of each."""

from __future__ import annotations

from importlib import resources

import msgspec

__all__ = ["Assumptions", "CallTimes", "Judgement", "Price", "PriceTable", "Quota", "Tier", "price_table"]


class Tier(msgspec.Struct, frozen=True):
    """US dollars for what is used up to `up_to` units of a month; None: for all beyond the tier before."""

    usd: float
    up_to: float | None = None


class Price(msgspec.Struct, frozen=True):
    """What `per` units cost, by tiers. `source` is the page that says so."""

    unit: str
    per: float
    tiers: list[Tier]
    source: str

    def of(self, quantity: float) -> float:
        """The dollars for so many units in a month."""
        dollars, counted = 0.0, 0.0
        for tier in self.tiers:
            until = quantity if tier.up_to is None else min(quantity, tier.up_to)
            dollars += (until - counted) / self.per * tier.usd
            counted = until
            if counted >= quantity:
                break
        return dollars


class Quota(msgspec.Struct, frozen=True):
    """The most that a service takes, unless one asks for more."""

    most: float
    unit: str
    source: str


class Judgement(msgspec.Struct, frozen=True):
    """A number that is neither a price nor recorded, and why it was chosen."""

    value: float
    why: str
    source: str


class CallTimes(msgspec.Struct, frozen=True):
    """How long a call takes, in milliseconds, by boto3's name of the service."""

    values: dict[str, float]
    other: float
    why: str
    source: str

    def of(self, service: str) -> float:
        """Seconds."""
        return self.values.get(service, self.other) / 1000


class Assumptions(msgspec.Struct, frozen=True):
    """What the calculation takes for granted; `prices.json` says of each why."""

    call_ms: CallTimes
    memory_of_a_cpu: Judgement
    log_bytes: Judgement
    pollers: Judgement
    poll_seconds: Judgement
    receive_seconds: Judgement
    traced: Judgement


class PriceTable(msgspec.Struct, frozen=True):
    """All of `prices.json`. `known` is the month in which it was looked up."""

    version: int
    known: str
    note: str
    region: str
    hours_a_month: float
    prices: dict[str, Price]
    limits: dict[str, Quota]
    assumptions: Assumptions


def price_table() -> PriceTable:
    """The table that comes with this Windlass."""
    data = resources.files("windlass.synth").joinpath("prices.json").read_bytes()
    return msgspec.json.decode(data, type=PriceTable)
