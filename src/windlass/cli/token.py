"""`windlass token`."""

from __future__ import annotations

import re
import time
from datetime import timedelta
from pathlib import Path

import click
import jwt

from windlass.cli.declared import chosen, system_argument
from windlass.cli.home import home_options
from windlass.cli.state import open_state
from windlass.errors import InvalidItem
from windlass.model.secret import Secret
from windlass.model.system import System

__all__ = ["token"]

_SHORTEST_KEY = 32  # bytes, of HS256: RFC 7518, 3.2
_LONGEST = timedelta(days=366)
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
_TAKEN = ("sub", "iat", "nbf", "exp")


def _duration(ctx: click.Context, param: click.Parameter, said: str) -> timedelta:
    """A time such as 90s, 30m, 1h or 7d."""
    found = re.fullmatch(r"([0-9]{1,9})([smhd])", said)
    if found is None:
        raise click.BadParameter(f"{said!r} is not a time: write 90s, 30m, 1h or 7d.", ctx, param)
    duration = timedelta(**{_UNITS[found[2]]: int(found[1])})
    if not timedelta(seconds=1) <= duration <= _LONGEST:
        raise click.BadParameter(f"{said} is out of range: give 1s to 366d.", ctx, param)
    return duration


@click.command(
    epilog="""\b
Examples:
  windlass token presenter --sub ada --role data.read --role data.write
  windlass token shop --sub till-4 --secret till_key --expires 30m"""
)
@system_argument
@click.option("--sub", "subject", metavar="NAME", required=True, help="Whom the token is for: its claim sub.")
@click.option("--role", "roles", metavar="ROLE", multiple=True, help="A role that it carries; may be repeated.")
@click.option(
    "--secret",
    "secret_name",
    metavar="NAME",
    default="jwt_key",
    show_default=True,
    help="The secret whose value is the key.",
)
@click.option(
    "--role-claim", metavar="CLAIM", default="Role", show_default=True, help="The claim that lists the roles."
)
@click.option(
    "--expires",
    metavar="TIME",
    callback=_duration,
    default="1h",
    show_default=True,
    help="How long it is good for, such as 90s, 30m, 1h or 7d.",
)
@home_options
def token(
    system: System,
    subject: str,
    roles: tuple[str, ...],
    secret_name: str,
    role_claim: str,
    expires: timedelta,
    home: Path,
    namespace: str,
) -> None:
    """Make a bearer token to try a system with.

    It is a JSON Web Token, signed with HS256 and the value of one of the system's secrets, for a system whose
    authorizer takes such tokens. Whoever has it is who it says: for others make one that expires soon.
    """
    if not subject.strip():
        raise click.BadParameter("is empty", param_hint="--sub")
    if not role_claim or role_claim in _TAKEN:
        raise click.BadParameter(f"{role_claim!r} is not a claim for roles", param_hint="--role-claim")
    model = chosen(system, Secret, secret_name)
    with open_state(system, home, namespace, make=model.generate is not None) as state:
        port = state.secret(model)
        port.ensure_generated()
        key = port.read()
    if len(key.encode()) < _SHORTEST_KEY:
        raise InvalidItem(
            f"{model.where} has {len(key.encode())} bytes, and a key for HS256 has {_SHORTEST_KEY} or more\n"
            f"  fix: set a longer one with `windlass secret set {system.name} {model.name}`"
        )
    now = int(time.time())
    claims = {
        "sub": subject,
        role_claim: list(dict.fromkeys(roles)),
        "iat": now,
        "nbf": now,
        "exp": now + int(expires.total_seconds()),
    }
    try:
        made = jwt.encode(claims, key, algorithm="HS256")
    except jwt.InvalidKeyError as error:  # a public key, or a JSON Web Key
        raise InvalidItem(
            f"{model.where} is not a shared key: {error}\n"
            f"  fix: name a secret that holds one with --secret, or set a long random text"
        ) from None
    click.echo(made)
