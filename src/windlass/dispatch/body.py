"""Request bodies: media types, encodings and JSON, as clients really send them."""

from __future__ import annotations

import codecs
from typing import Any

import msgspec

from windlass.errors import BadRequest, UnsupportedMediaType

__all__ = ["converted", "field_error", "json_text"]

# Windows PowerShell 5.1 sends ISO-8859-1 when it is told no charset, and files it reads keep their byte-order mark.
_CHARSETS = {"utf-8", "utf-16", "utf-16-le", "utf-16-be", "iso8859-1", "cp1252", "ascii"}
_MARKS = ((codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))


def json_text(body: bytes, content_type: str | None, content_encoding: str | None) -> bytes:
    """`body` as UTF-8 JSON text, whatever charset or byte-order mark it came with.

    Raises UnsupportedMediaType when it says that it is something else, BadRequest when it cannot be read.
    """
    if content_encoding and content_encoding.lower() != "identity":
        raise UnsupportedMediaType("the body is compressed; send it without Content-Encoding")
    charset = "utf-8"
    if content_type is not None and content_type != "application/json":
        charset = _charset(content_type)
    for mark, codec in _MARKS:
        if body.startswith(mark):
            charset = codec
            break
    else:
        if charset == "utf-8":
            return body
    try:
        return body.decode(charset).encode()
    except (UnicodeDecodeError, UnicodeEncodeError):
        raise BadRequest(f"the body is not valid {charset} text", field="body") from None


def _charset(content_type: str) -> str:
    from email.message import Message as Headers  # takes longer to import than all of a function's dispatch

    headers = Headers()
    headers["content-type"] = content_type
    kind = headers.get_content_type()
    if kind != "application/json" and not kind.endswith("+json"):
        raise UnsupportedMediaType("the body must be JSON: send Content-Type: application/json")
    wanted = headers.get_content_charset("utf-8")
    try:
        charset = codecs.lookup(wanted).name
    except (LookupError, ValueError):  # there is none, or there is a null in its name
        charset = wanted
    if charset not in _CHARSETS:
        raise UnsupportedMediaType("the charset is not supported; send UTF-8")
    return charset


def field_error(error: Exception, source: str) -> BadRequest:
    """A decoding error as an answer that names the field: `body.sla_error[0].sla` is not an `int`."""
    if isinstance(error, RecursionError):
        return BadRequest("the body is nested too deeply", field=source)
    text = str(error)
    if not isinstance(error, msgspec.ValidationError):
        return BadRequest(f"the {source} is not JSON: {text[:200]}", field=source)
    message, _, path = text.partition(" - at `$")
    field = source + path.rstrip("`").replace("[...]", "[]")
    return BadRequest(message[:300], field=field)


def converted(value: Any, kind: Any, field: str) -> Any:
    """A text from a path, query or header as `kind`. Raises BadRequest naming `field`."""
    try:
        return msgspec.convert(value, kind, strict=False)
    except msgspec.ValidationError as error:
        raise BadRequest(str(error).partition(" - at `$")[0][:300], field=field) from None
