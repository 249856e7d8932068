"""Every exception that Windlass raises on purpose.

Two families. `DeclarationError` and its children say that a `system.py` is wrong: they are raised while
declaring or by `windlass check`, and each carries a `fix`, an example of what to write instead. `Problem` and its
children are answers: raised by a resource or a handler while a delivery is served, they become an RFC 9457
response when the delivery is an HTTP request.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

__all__ = [
    "BadRequest",
    "BundleError",
    "Conflict",
    "DeclarationError",
    "Denied",
    "EngineUnavailable",
    "FieldError",
    "Forbidden",
    "GatewayTimeout",
    "GraphError",
    "HandlerStopped",
    "HandlerTimeout",
    "HomeError",
    "InvalidItem",
    "InvalidState",
    "LengthRequired",
    "LoadError",
    "LockedOut",
    "MethodNotAllowed",
    "Misuse",
    "NotBound",
    "NotFound",
    "PayloadTooLarge",
    "Problem",
    "RequestTimeout",
    "SecretNotSet",
    "ServiceUnavailable",
    "TemplateFault",
    "TooManyRequests",
    "TransactionConflict",
    "Unauthorized",
    "Unprocessable",
    "UnsupportedMediaType",
    "WindlassError",
    "WrongCredentials",
]


class WindlassError(Exception):
    """The root of all of them."""


class DeclarationError(WindlassError):
    """A declaration that cannot be right.

    `summary` says what is wrong, `where` names the declaration (`todos.items`, `todos.create`), `fix` is what to
    write instead; all three are in the message.
    """

    def __init__(self, summary: str, *, where: str = "", fix: str = "") -> None:
        self.summary, self.where, self.fix = summary, where, fix
        text = f"{where}: {summary}" if where else summary
        super().__init__(f"{text}\n  fix: {fix}" if fix else text)


class GraphError(DeclarationError):
    """A declaration that is right by itself but does not fit the others.

    Several faults are reported at once: `faults` holds them all, this one being the first.
    """

    def __init__(self, faults: Sequence[DeclarationError]) -> None:
        first = faults[0]
        super().__init__(first.summary, where=first.where, fix=first.fix)
        self.faults = tuple(faults)
        self.args = ("\n".join(str(fault) for fault in faults),)


class BundleError(WindlassError):
    """A bundle for AWS cannot be made of a system: a package or a Python that it needs is not to be had."""


class LoadError(WindlassError):
    """A `system.py` that cannot be found or imported."""


class HomeError(WindlassError):
    """A state folder that cannot be used: unreadable, of a newer version, damaged, or held by another process."""


class NotBound(WindlassError):
    """A resource was used outside a handler, where no engine is bound."""


class EngineUnavailable(WindlassError):
    """The engine cannot serve now (disk full, database busy, an upstream is down). Becomes 503."""


class HandlerTimeout(WindlassError):
    """The handler ran past its deadline; its later calls are refused with this."""


class HandlerStopped(BaseException):
    """Stops a handler at its deadline, wherever it is, where an engine can do that. Not an Exception, so that neither
    the handler nor a library that it calls takes it for a fault that is to be tried again. It becomes HandlerTimeout
    where the handler was called."""


class InvalidState(WindlassError):
    """Stored data that no longer fits its declared type, or that was damaged."""


class SecretNotSet(WindlassError):
    """A handler read a secret that no operator has set. A fault of the operation, so a caller sees a bare 500."""


class TemplateFault(WindlassError):
    """A mail template could not be rendered with the data that it was given. A fault of the program: 500."""


class Denied(WindlassError):
    """A handler used an operation that its `uses=[...]` does not grant."""

    def __init__(self, handler: str, resource: str, operation: str) -> None:
        self.handler, self.resource, self.operation = handler, resource, operation
        super().__init__(
            f"{handler} is not granted {resource}.{operation}\n"
            f"  fix: add {resource}.{operation} to uses=[...] where {handler} is declared"
        )


@dataclass(frozen=True, slots=True)
class FieldError:
    """One field at fault: `field` is a path such as `body.sla_error[0].sla` or `query.limit`."""

    field: str
    message: str


class Problem(WindlassError):
    """An answer other than success, as RFC 9457 describes it.

    `detail` is shown to the caller: it must name the fault and hold nothing internal. `retry_after` is in seconds
    and becomes the `Retry-After` header.
    """

    status: int = 500
    title: str = "Internal Server Error"

    def __init__(
        self,
        detail: str = "",
        *,
        field: str | None = None,
        errors: Sequence[FieldError] = (),
        retry_after: float | None = None,
    ) -> None:
        super().__init__(detail or self.title)
        self.detail = detail
        self.errors = (FieldError(field, detail), *errors) if field else tuple(errors)
        self.retry_after = retry_after


class BadRequest(Problem):
    """The request does not fit: `field` names what is at fault. Becomes 400."""

    status, title = 400, "Bad Request"


class InvalidItem(BadRequest):
    """An item, message or mail that the resource cannot hold: too large, an empty key, a number out of range."""


class Misuse(InvalidItem):
    """An operation was called in a way that cannot be right whatever the caller sent: an item of another type than
    declared, a FIFO message without a group, an update of the key. A fault of the program: the caller sees a bare
    500, and the log has what was wrong."""

    status, title = 500, "Internal Server Error"


class Unauthorized(Problem):
    """Nobody is signed in, or the token is not valid. Becomes 401."""

    status, title = 401, "Unauthorized"


class WrongCredentials(Unauthorized):
    """User name or password is wrong; which of the two is never said."""


class Forbidden(Problem):
    """The caller is known and may not do this. Becomes 403."""

    status, title = 403, "Forbidden"


class NotFound(Problem):
    """There is no such thing. Becomes 404."""

    status, title = 404, "Not Found"


class MethodNotAllowed(Problem):
    """The path exists, the method does not; `allow` lists those that do. Becomes 405."""

    status, title = 405, "Method Not Allowed"

    def __init__(self, detail: str, allow: Sequence[str]) -> None:
        super().__init__(detail)
        self.allow = tuple(allow)


class RequestTimeout(Problem):
    """The request did not arrive in time. Becomes 408."""

    status, title = 408, "Request Timeout"


class Conflict(Problem):
    """A condition did not hold: the item exists already, its version moved on, or `when=` was false."""

    status, title = 409, "Conflict"


class TransactionConflict(Conflict):
    """A transaction was not applied. `reasons` has one entry for each write: None, or why it was refused."""

    def __init__(self, detail: str, reasons: Sequence[str | None]) -> None:
        super().__init__(detail)
        self.reasons = tuple(reasons)


class LengthRequired(Problem):
    """The body must say how long it is. Becomes 411."""

    status, title = 411, "Length Required"


class PayloadTooLarge(Problem):
    """The body is larger than the route takes. Becomes 413."""

    status, title = 413, "Content Too Large"


class UnsupportedMediaType(Problem):
    """The body is of a kind that the route does not take. Becomes 415."""

    status, title = 415, "Unsupported Media Type"


class Unprocessable(Problem):
    """The request is well formed and cannot be followed. Becomes 422."""

    status, title = 422, "Unprocessable Content"


class TooManyRequests(Problem):
    """The caller is to slow down; `retry_after` says for how long. Becomes 429."""

    status, title = 429, "Too Many Requests"


class LockedOut(TooManyRequests):
    """Too many failed sign-ins for this user; `retry_after` seconds remain."""


class ServiceUnavailable(Problem):
    """Not now; `retry_after` says when to come again. Becomes 503."""

    status, title = 503, "Service Unavailable"


class GatewayTimeout(Problem):
    """The handler took too long. Becomes 504."""

    status, title = 504, "Gateway Timeout"
