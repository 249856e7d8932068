"""Passwords: which may be set, and which are the same.

A password is prepared as RFC 8265, 4.2 (OpaqueString) says: every kind of space becomes U+0020 and the text is put in
normalisation form C, so that the same password typed on another keyboard is the same. Compatibility forms (NFKC) are
left as they are: they would make passwords that look different equal. Rules for what a password is made of there are
none, as NIST SP 800-63B, 3.1.1.2 advises; length is what counts.
"""

from __future__ import annotations

import unicodedata

from windlass.errors import InvalidItem

__all__ = ["MAX_LENGTH", "check_password", "prepared_password"]

MAX_LENGTH = 256
"""The most characters of a password, as Cognito has it:
https://docs.aws.amazon.com/cognito-user-identity-pools/latest/APIReference/API_SignUp.html"""

# Control characters cannot be typed; surrogates cannot be encoded; what is unassigned today may be normalised
# differently by tomorrow's Unicode, and the user would be locked out.
_REFUSED = {"Cc", "Cs", "Cn"}


def check_password(password: str, *names: str | None, min_length: int) -> None:
    """Raises InvalidItem for a password that may not be set. `min_length` is in characters after preparation; `names`
    are what the user is known by: none of them may be the password."""

    def refuse(fault: str) -> None:
        raise InvalidItem(f"the password {fault}", field="password")

    if len(password) > MAX_LENGTH:
        refuse(f"has {len(password):,} characters; the most is {MAX_LENGTH}")
    if any(unicodedata.category(character) in _REFUSED for character in password):
        refuse("has a control character, or one that Unicode does not know")
    text = _normal(password)
    if not min_length <= len(text) <= MAX_LENGTH:
        refuse(f"has {len(text)} characters; the least is {min_length}, the most {MAX_LENGTH}")
    if text != text.strip():
        refuse("begins or ends with a space, which Cognito does not take")
    if any(name is not None and text.casefold() == name.casefold() for name in names):
        refuse("is the name of the user")


def prepared_password(password: str) -> str | None:
    """The text that is hashed, or handed on; None for one that no password can be."""
    if len(password) > MAX_LENGTH:
        return None
    text = _normal(password)
    try:
        text.encode()
    except UnicodeEncodeError:
        return None
    return text


def _normal(password: str) -> str:
    spaced = "".join(" " if unicodedata.category(character) == "Zs" else character for character in password)
    return unicodedata.normalize("NFC", spaced)
