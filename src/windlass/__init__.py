"""Windlass: declare a serverless system once, run it on one machine, hoist it to AWS.

Everything that a `system.py` needs is a name of this package.
"""

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
