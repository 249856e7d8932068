"""Windlass: declare a serverless system once, run it on one machine, hoist it to AWS.

Everything that a `system.py` needs is a name of this package. A name's module is imported when the name is first asked
for: a function on AWS starts anew whenever its load grows, and needs few of them.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from msgspec import Meta

    from windlass.errors import (
        BadRequest,
        Conflict,
        DeclarationError,
        Denied,
        FieldError,
        Forbidden,
        InvalidItem,
        LockedOut,
        Misuse,
        NotFound,
        PayloadTooLarge,
        Problem,
        SecretNotSet,
        ServiceUnavailable,
        TemplateFault,
        TooManyRequests,
        TransactionConflict,
        Unauthorized,
        Unprocessable,
        UnsupportedMediaType,
        WindlassError,
        WrongCredentials,
    )
    from windlass.model.alarm import Alarm
    from windlass.model.api import Api, Reply, Throttle
    from windlass.model.condition import (
        begins_with,
        between,
        equal,
        field,
        greater,
        greater_equal,
        less,
        less_equal,
    )
    from windlass.model.context import metric, new_id, now, traceparent
    from windlass.model.cursor import make_cursor, read_cursor
    from windlass.model.index import Index, TableIndex
    from windlass.model.mailer import Mailer, MailTemplate
    from windlass.model.queue import Batch, Message, Queue
    from windlass.model.schedule import Schedule
    from windlass.model.secret import Secret
    from windlass.model.signature import Header, QueryName
    from windlass.model.site import Site
    from windlass.model.system import System
    from windlass.model.table import Page, Table
    from windlass.model.transaction import transact
    from windlass.model.user_pool import Credentials, UserPool
    from windlass.ports.api import Caller, Request
    from windlass.ports.schedule import Tick
    from windlass.ports.user_pool import Tokens

__all__ = [
    "Alarm",
    "Api",
    "BadRequest",
    "Batch",
    "Caller",
    "Conflict",
    "Credentials",
    "DeclarationError",
    "Denied",
    "FieldError",
    "Forbidden",
    "Header",
    "Index",
    "InvalidItem",
    "LockedOut",
    "MailTemplate",
    "Mailer",
    "Message",
    "Meta",
    "Misuse",
    "NotFound",
    "Page",
    "PayloadTooLarge",
    "Problem",
    "QueryName",
    "Queue",
    "Reply",
    "Request",
    "Schedule",
    "Secret",
    "SecretNotSet",
    "ServiceUnavailable",
    "Site",
    "System",
    "Table",
    "TableIndex",
    "TemplateFault",
    "Throttle",
    "Tick",
    "Tokens",
    "TooManyRequests",
    "TransactionConflict",
    "Unauthorized",
    "Unprocessable",
    "UnsupportedMediaType",
    "UserPool",
    "WindlassError",
    "WrongCredentials",
    "begins_with",
    "between",
    "equal",
    "field",
    "greater",
    "greater_equal",
    "less",
    "less_equal",
    "make_cursor",
    "metric",
    "new_id",
    "now",
    "read_cursor",
    "traceparent",
    "transact",
]

PLACES = {
    "Alarm": "windlass.model.alarm",
    "Api": "windlass.model.api",
    "BadRequest": "windlass.errors",
    "Batch": "windlass.model.queue",
    "Caller": "windlass.ports.api",
    "Conflict": "windlass.errors",
    "Credentials": "windlass.model.user_pool",
    "DeclarationError": "windlass.errors",
    "Denied": "windlass.errors",
    "FieldError": "windlass.errors",
    "Forbidden": "windlass.errors",
    "Header": "windlass.model.signature",
    "Index": "windlass.model.index",
    "InvalidItem": "windlass.errors",
    "LockedOut": "windlass.errors",
    "MailTemplate": "windlass.model.mailer",
    "Mailer": "windlass.model.mailer",
    "Message": "windlass.model.queue",
    "Meta": "msgspec",
    "Misuse": "windlass.errors",
    "NotFound": "windlass.errors",
    "Page": "windlass.model.table",
    "PayloadTooLarge": "windlass.errors",
    "Problem": "windlass.errors",
    "QueryName": "windlass.model.signature",
    "Queue": "windlass.model.queue",
    "Reply": "windlass.model.api",
    "Request": "windlass.ports.api",
    "Schedule": "windlass.model.schedule",
    "Secret": "windlass.model.secret",
    "SecretNotSet": "windlass.errors",
    "ServiceUnavailable": "windlass.errors",
    "Site": "windlass.model.site",
    "System": "windlass.model.system",
    "Table": "windlass.model.table",
    "TableIndex": "windlass.model.index",
    "TemplateFault": "windlass.errors",
    "Throttle": "windlass.model.api",
    "Tick": "windlass.ports.schedule",
    "Tokens": "windlass.ports.user_pool",
    "TooManyRequests": "windlass.errors",
    "TransactionConflict": "windlass.errors",
    "Unauthorized": "windlass.errors",
    "Unprocessable": "windlass.errors",
    "UnsupportedMediaType": "windlass.errors",
    "UserPool": "windlass.model.user_pool",
    "WindlassError": "windlass.errors",
    "WrongCredentials": "windlass.errors",
    "begins_with": "windlass.model.condition",
    "between": "windlass.model.condition",
    "equal": "windlass.model.condition",
    "field": "windlass.model.condition",
    "greater": "windlass.model.condition",
    "greater_equal": "windlass.model.condition",
    "less": "windlass.model.condition",
    "less_equal": "windlass.model.condition",
    "make_cursor": "windlass.model.cursor",
    "metric": "windlass.model.context",
    "new_id": "windlass.model.context",
    "now": "windlass.model.context",
    "read_cursor": "windlass.model.cursor",
    "traceparent": "windlass.model.context",
    "transact": "windlass.model.transaction",
}
"""Where each name is defined."""


if not TYPE_CHECKING:  # for a type checker there are no other names than the imported ones

    def __getattr__(name: str) -> object:
        place = PLACES.get(name)
        if place is None:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}", name=name)
        value: object = getattr(import_module(place), name)
        globals()[name] = value  # so that it is asked for once
        return value

    def __dir__() -> list[str]:
        return sorted({*globals(), *__all__})
