"""A system with a table of each kind, for the tests of tables."""

from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from enum import Enum
from typing import Annotated
from uuid import UUID

import msgspec

from windlass import Meta, System


@dataclass(frozen=True, slots=True)
class Todo:
    owner: str
    id: str
    title: str = ""
    votes: int = 0
    weight: float = 0.0
    note: str | None = None
    tags: list[str] = field(default_factory=list)


class Color(Enum):
    RED = "red"
    BLUE = "blue"


class Place(msgspec.Struct, frozen=True):
    street: str
    number: int = 1


class Parcel(msgspec.Struct, frozen=True, rename="camel"):
    parcel_id: UUID
    sent_at: datetime
    due_on: date
    color: Color
    price: Decimal
    place: Place
    stops: dict[int, Place] = msgspec.field(default_factory=dict)
    raw: bytes = b""
    scores: tuple[float, ...] = ()
    gift: bool = False


@dataclass
class Session:
    id: str
    user: str = ""
    expires: int | None = None


@dataclass
class Draft:
    id: str
    text: str = ""
    version: int = 0


@dataclass
class Stock:
    id: str
    left: Annotated[int, Meta(ge=0)] = 0
    limits: dict[str, float] = field(default_factory=dict)


@dataclass
class Text:
    id: str
    body: str


@dataclass
class Reading:
    meter: int
    tick: int
    value: float = 0.0


home = System("home")
todos = home.table("todos", Todo, key="owner", sort="id")
parcels = home.table("parcels", Parcel, key="parcelId")
sessions = home.table("sessions", Session, key="id", ttl="expires")
drafts = home.table("drafts", Draft, key="id", version="version")
stocks = home.table("stocks", Stock, key="id")
texts = home.table("texts", Text, key="id")
readings = home.table("readings", Reading, key="meter", sort="tick")
