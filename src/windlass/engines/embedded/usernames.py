"""What users are called: an e-mail address, or a name."""

from __future__ import annotations

import re
import unicodedata
from typing import Literal

__all__ = ["canonical_email", "canonical_username"]

_LONGEST_EMAIL = 254  # RFC 5321, 4.5.3.1.3, without the angle brackets
_LONGEST_NAME = 128  # https://docs.aws.amazon.com/cognito-user-identity-pools/latest/APIReference/API_SignUp.html

_ATOM = r"[a-z0-9!#$%&'*+/=?^_`{|}~-]+"
_LABEL = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
# The dot-atom of RFC 5322, 3.2.3, at a host name with a dot in it; what SES can send to.
_EMAIL = re.compile(rf"(?=[^@]{{1,64}}@){_ATOM}(?:\.{_ATOM})*@(?:{_LABEL}\.)+{_LABEL}", re.ASCII)


def canonical_email(text: str) -> str | None:
    """The address in lower case, so that one person is one user; None for what is no plausible address."""
    if len(text) > _LONGEST_EMAIL or not text.isascii():
        return None
    lower = text.lower()
    return lower if _EMAIL.fullmatch(lower) else None


def canonical_username(text: str, sign_in_by: Literal["email", "username"]) -> str | None:
    """The form under which a user is kept and looked up; None for what can be no user's name.

    A name is 1 to 128 letters, marks, digits, symbols and punctuation, no spaces, as Cognito takes it. It is
    compared without regard to case and in normalisation form KC, so that `Admin` and `admin` in full-width
    letters are not two users.
    """
    if sign_in_by == "email":
        return canonical_email(text)
    if not 1 <= len(text) <= _LONGEST_NAME:
        return None
    name = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
    if not 1 <= len(name) <= _LONGEST_NAME:
        return None
    return name if all(unicodedata.category(character)[0] in "LMNPS" for character in name) else None
