"""What exists in the system that the command line's tests and docs/cli.md operate: a help desk."""

from dataclasses import dataclass
from datetime import timedelta

from windlass import System

desk = System("desk", title="Help desk")


@dataclass(frozen=True, slots=True)
class Ticket:
    id: str
    subject: str


staff = desk.user_pool("staff", sign_in="username", groups=["agent", "lead"])
tickets = desk.table("tickets", Ticket, key="id")
replies = desk.queue("replies", Ticket, max_attempts=1)
archive = desk.queue("archive", Ticket, delay=timedelta(minutes=5))
notices = desk.mailer("notices", sender="desk@example.com")
bank_key = desk.secret("bank_key")
api = desk.api("api", auth=staff)
