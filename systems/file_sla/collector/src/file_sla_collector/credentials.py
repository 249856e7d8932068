"""Who signs in.

A password comes from a file, from standard input or from the environment, never from an argument: arguments
can be seen by every user of the machine, in `ps` and in logs.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from file_sla_collector.config import ConfigError

USERNAME_VARIABLE = "FILE_SLA_USERNAME"
PASSWORD_VARIABLE = "FILE_SLA_PASSWORD"

_LONGEST_PASSWORD = 4096


@dataclass(frozen=True, slots=True)
class Credentials:
    """A username and its password; the password is left out of the `repr`."""

    username: str
    password: str = field(repr=False)


# Asked at every sign-in, so that a password file that was changed is read again. Raises ConfigError.
CredentialSource = Callable[[], Credentials]


def find_username(configured: str | None, environment: Mapping[str, str]) -> str:
    """The username: the environment's, else the configuration's. Raises ConfigError when there is none."""
    username = environment.get(USERNAME_VARIABLE, "").strip() or configured
    if not username:
        raise ConfigError(f'no username: set {USERNAME_VARIABLE}, or write username = "..." into the configuration')
    return _sendable(username, "the username")


def find_credentials(
    username: str,
    environment: Mapping[str, str],
    *,
    password_file: Path | None = None,
    password_stream: BinaryIO | None = None,
) -> CredentialSource:
    """Where the password comes from: `password_file`, else `password_stream`, else the environment.

    The stream is read once, now. Raises ConfigError when there is none, or when it is empty; the source
    returned raises it too, once a password file has gone.
    """
    if password_file is not None:
        file = password_file

        def from_file() -> Credentials:
            return Credentials(username, _read_file(file))

        from_file()
        return from_file
    if password_stream is not None:
        fixed = Credentials(username, _decode(password_stream.read(_LONGEST_PASSWORD + 1), "standard input"))
        return lambda: fixed
    password = environment.get(PASSWORD_VARIABLE, "")
    if not password:
        raise ConfigError(f"no password: set {PASSWORD_VARIABLE}, or use --password-file FILE or --password-stdin")
    found = Credentials(username, _sendable(password, f"the password in {PASSWORD_VARIABLE}"))
    return lambda: found


def readable_by_others(file: Path) -> bool:
    """Whether users other than the owner can read a password file. False on Windows, which has ACLs."""
    try:
        return sys.platform != "win32" and bool(file.stat().st_mode & 0o077)
    except OSError:
        return False


def _sendable(text: str, what: str) -> str:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        raise ConfigError(f"{what} is not UTF-8") from None
    return text


def _read_file(file: Path) -> str:
    try:
        with file.open("rb") as stream:
            return _decode(stream.read(_LONGEST_PASSWORD + 1), str(file))
    except OSError as error:
        raise ConfigError(f"the password file {file} cannot be read: {error.strerror or error}") from error


def _decode(content: bytes, source: str) -> str:
    if len(content) > _LONGEST_PASSWORD:
        raise ConfigError(f"the password in {source} is longer than {_LONGEST_PASSWORD} bytes")
    try:
        password = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        # The cause is not chained: it carries the bytes of the password.
        raise ConfigError(f"the password in {source} is not UTF-8 (byte {error.start})") from None
    # An editor, `echo` or PowerShell adds one line ending; any other space may belong to the password.
    password = password.removesuffix("\n").removesuffix("\r")
    if not password:
        raise ConfigError(f"the password in {source} is empty")
    return password
