"""Keeps secrets out of logs."""

from __future__ import annotations

import json
import re
import threading
from functools import cache
from urllib.parse import quote

__all__ = ["Redactor"]

_MASK = "***"
_SHORTEST = 4
_MOST_VALUES = 1000
_LONG_LINE = 16

_NAMES = r"(?i:passw(?:or)?d|passphrase|secret|api[_-]?key|(?:\b|access[_-]?|refresh[_-]?|id[_-]?|auth[_-]?)token)"
# What looks like a secret, whatever its value; the group `kept` is what may stay. The parts are strict, so that
# prose keeps its words: `the bearer of the message` and `password: at least 12 characters` are left alone.
_LOOKS_LIKE_ONE = (
    # A JSON Web Token (RFC 7519): its first part is base64url of `{"`.
    r"\beyJ[\w-]{8,}\.[\w-]{4,}(?:\.[\w-]*)*"
    # An Authorization header's credentials (RFC 6750, RFC 7617).
    r"""|(?P<scheme>\b(?i:bearer|basic)\s+)(?=[^\s"']*[0-9+/=_~-])[\w.~+/-]{12,}=*"""
    # The password of a URL (RFC 3986, 3.2.1).
    r"""|(?P<user>://[^\s/:@"']*:)[^\s/@"']+(?=@)"""
    # "password": "..." and password='...', up to the quote that closes it, also where JSON lies within JSON.
    rf"""|(?P<quoted>{_NAMES}\\*["']?\s*[:=]\s*(?P<quote>\\*["']))(?:(?!(?P=quote))(?:\\.|[^\\]))*"""
    # "password": 1234 and password=1234, as in a query or a DSN.
    rf"""|(?P<bare>{_NAMES}(?:\\*["']\s*:\s*|=))(?!(?:null|None|true|True|false|False)\b)[^\s"'&;,}}\]\\]+"""
)
# One of these is in every text that the pattern above matches: looking for them is much quicker than the pattern.
_HINTS = ("eyj", "bearer", "basic", "://", "passw", "passphrase", "secret", "key", "token")


class Redactor:
    """Masks with `***` the values that it was told of, and what looks like a token or a password.

    A value is masked as it is, as JSON, a `repr` and a URL write it, and line by line where its lines are long. One
    of fewer than 4 characters is not masked by value: it would be found in half of all words. The newest 1,000
    values are remembered.
    """

    def __init__(self) -> None:
        self._values: dict[str, set[str]] = {}
        self._forms: tuple[str, ...] = ()
        self._lock = threading.Lock()

    def add(self, value: str) -> None:
        """Masks `value` from now on."""
        if value in self._values or len(value) < _SHORTEST:
            return
        with self._lock:
            self._values[value] = _forms(value)
            if len(self._values) > _MOST_VALUES:
                del self._values[next(iter(self._values))]
            # Longest first, so that a value that holds another is masked from end to end.
            self._forms = tuple(sorted(set[str]().union(*self._values.values()), key=len, reverse=True))

    def mask(self, text: str) -> str:
        """`text` without the secrets."""
        for form in self._forms:
            if form in text:
                text = text.replace(form, _MASK)
        lowered = text.lower()
        if any(hint in lowered for hint in _HINTS):
            text = _pattern().sub(_masked, text)
        return text


@cache
def _pattern() -> re.Pattern[str]:
    """Compiled when it is needed for the first time: it is half a millisecond of a function's start."""
    return re.compile(_LOOKS_LIKE_ONE)


def _forms(value: str) -> set[str]:
    """How `value` may be written: also line by line, where it is a key in PEM form."""
    lines = [line for line in value.splitlines() if len(line) >= _LONG_LINE]
    return {
        value,
        *lines,
        json.dumps(value)[1:-1],
        json.dumps(value, ensure_ascii=False)[1:-1],
        repr(value)[1:-1],
        quote(value, safe="", errors="replace"),
        quote(value, errors="replace"),
    }


def _masked(match: re.Match[str]) -> str:
    kept = match["scheme"] or match["user"] or match["quoted"] or match["bare"] or ""
    return kept + _MASK
