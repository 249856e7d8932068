"""What users are called: an e-mail address, or a name."""

from __future__ import annotations

import re
import unicodedata
from typing import Literal

from windlass.errors import InvalidItem

__all__ = ["canonical_email", "canonical_username", "new_address", "new_username"]

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


def new_username(text: str, sign_in_by: Literal["email", "username"]) -> str:
    """The canonical form of a name for a new user. Raises InvalidItem."""
    name = canonical_username(text, sign_in_by)
    if name is None:
        kind = "an e-mail address" if sign_in_by == "email" else "1 to 128 characters without spaces"
        raise InvalidItem(f"a user name of this pool is {kind}", field="username")
    return name


def new_address(name: str, email: str | None, sign_in_by: Literal["email", "username"]) -> str | None:
    """The e-mail address of a new user whose canonical name is `name`: in a pool of addresses the name itself, in
    one of names what is given besides. Raises InvalidItem."""
    by_email = sign_in_by == "email"
    if email is None:
        return name if by_email else None
    address = canonical_email(email)
    if address is None:
        raise InvalidItem("this is no e-mail address", field="email")
    if by_email and address != name:
        raise InvalidItem("users of this pool are known by their e-mail address: give the same", field="email")
    return address
