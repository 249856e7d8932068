"""What exists in the sample system that the graph's tests load: every noun, most options."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from windlass.model.index import Index
from windlass.model.system import System

orders = System("orders", title="Orders & payments", description="Takes orders, has them paid, tells the customer.")


@dataclass(frozen=True, slots=True)
class Line:
    article: str
    count: int


@dataclass(frozen=True, slots=True)
class Order:
    """An order of one customer."""

    customer: str
    id: str
    day: str
    placed_at: datetime
    lines: list[Line]
    state: str = "new"
    version: int = 0
    expires: int | None = None


@dataclass(frozen=True, slots=True)
class Customer:
    id: str
    email: str


@dataclass(frozen=True, slots=True)
class Count:
    name: str
    value: int = 0


@dataclass(frozen=True, slots=True)
class Payment:
    customer: str
    order: str


@dataclass(frozen=True, slots=True)
class Notice:
    to: str
    text: str


users = orders.user_pool("users", groups=["admin", "clerk"])
placed = orders.table(
    "placed",
    Order,
    key="customer",
    sort="id",
    indexes={"by_day": Index("day", "id")},
    ttl="expires",
    version="version",
)
customers = orders.table("customers", Customer, key="id")
counters = orders.table("counters", Count, key="name")
payments = orders.queue("payments", Payment, visibility=timedelta(minutes=2))
notices = orders.queue("notices", Notice, max_attempts=3)
nightly = orders.schedule("nightly", cron="0 3 * * ? *", timezone="Europe/Madrid")
mail = orders.mailer("mail", sender="shop@example.com")
bank_key = orders.secret("bank_key")
api = orders.api("api", auth=users, cors=["https://shop.example.com"], throttle=100, title="Orders")
