"""`windlass users`."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from windlass.cli.confirmation import confirm, yes_option
from windlass.cli.declared import chosen, system_argument
from windlass.cli.document import json_option, print_json
from windlass.cli.hidden import hidden_text
from windlass.cli.home import home_options
from windlass.cli.listing import harmless, print_listing
from windlass.cli.state import open_state
from windlass.errors import Conflict, NotFound
from windlass.model.system import System
from windlass.model.user_pool import UserPool
from windlass.ports.user_pool import User

__all__ = ["users"]

F = TypeVar("F", bound=Callable[..., Any])

_pool_option = click.option("--pool", metavar="POOL", help="Which user pool, when there are several.")
_password_option = click.option(
    "--password-stdin", is_flag=True, help="Read the password from standard input instead of making one."
)
_SHOWN_ONCE = "It is kept nowhere and shown only now; `windlass users password` sets another."


@click.group(
    epilog="""\b
Examples:
  windlass users add todos ada@example.com
  windlass users list todos"""
)
def users() -> None:
    """Add, list and change the users of a system.

    A server that runs obeys at once.
    """


@users.command(
    epilog="""\b
Examples:
  windlass users add todos ada@example.com
  windlass users add file_sla eve --group viewer --group collector
  windlass users add todos ada@example.com --password-stdin < password.txt"""
)
@system_argument
@click.argument("name")
@_pool_option
@click.option("--group", "groups", multiple=True, metavar="GROUP", help="A group to be in; may be repeated.")
@click.option("--email", metavar="ADDRESS", help="The e-mail address, in a pool of user names.")
@_password_option
@json_option
@home_options
def add(
    system: System,
    name: str,
    pool: str | None,
    groups: tuple[str, ...],
    email: str | None,
    password_stdin: bool,
    as_json: bool,
    home: Path,
    namespace: str,
) -> None:
    """Add a user, with a password that is made and shown once."""
    model = chosen(system, UserPool, pool)
    password = hidden_text("password") if password_stdin else _made_password(model)
    with open_state(system, home, namespace, make=True) as state:
        try:
            user = state.user_pool(model).create_user(name, password, email=email, groups=groups)
        except Conflict as error:
            raise Conflict(
                f"{error}\n  fix: give another name, or set this user's password: "
                f"windlass users password {system.name} {name}"
            ) from error
    _print_with_password(
        model, user, None if password_stdin else password, as_json, f"{user.username} was added to {model.where}."
    )


@users.command(
    "list",
    epilog="""\b
Examples:
  windlass users list todos
  windlass users list todos --json""",
)
@system_argument
@click.option("--pool", metavar="POOL", help="Of this user pool only.")
@json_option
@home_options
def list_(system: System, pool: str | None, as_json: bool, home: Path, namespace: str) -> None:
    """List the users of a system."""
    models = system.of(UserPool) if pool is None else [chosen(system, UserPool, pool)]
    with open_state(system, home, namespace) as state:
        found = [(model, user) for model in models for user in state.user_pool(model).list_users()]
    if as_json:
        print_json([_document(model, user) for model, user in found])
        return
    rows = [
        [
            model.name,
            user.username,
            _state(user),
            ", ".join(user.groups),
            user.email or "",
            user.created_at[:10],
        ]
        for model, user in found
    ]
    print_listing(["POOL", "NAME", "STATE", "GROUPS", "E-MAIL", "SINCE"], rows, empty="no users")


@users.command(
    epilog="""\b
Examples:
  windlass users disable todos ada@example.com"""
)
@system_argument
@click.argument("name")
@_pool_option
@home_options
def disable(system: System, name: str, pool: str | None, home: Path, namespace: str) -> None:
    """Keep a user from signing in; what is signed in ends at once."""
    model = chosen(system, UserPool, pool)
    with open_state(system, home, namespace) as state, _known(system):
        state.user_pool(model).set_enabled(name, False)
    click.echo(f"{harmless(name)} is disabled and signed out.")


@users.command(
    epilog="""\b
Examples:
  windlass users enable todos ada@example.com"""
)
@system_argument
@click.argument("name")
@_pool_option
@home_options
def enable(system: System, name: str, pool: str | None, home: Path, namespace: str) -> None:
    """Let a user sign in again; this also ends a lockout."""
    model = chosen(system, UserPool, pool)
    with open_state(system, home, namespace) as state, _known(system):
        state.user_pool(model).set_enabled(name, True)
    click.echo(f"{harmless(name)} may sign in.")


@users.command(
    epilog="""\b
Examples:
  windlass users password todos ada@example.com
  windlass users password todos ada@example.com --password-stdin < password.txt"""
)
@system_argument
@click.argument("name")
@_pool_option
@_password_option
@json_option
@home_options
def password(
    system: System, name: str, pool: str | None, password_stdin: bool, as_json: bool, home: Path, namespace: str
) -> None:
    """Set a new password, made and shown once; what is signed in ends at once."""
    model = chosen(system, UserPool, pool)
    new = hidden_text("password") if password_stdin else _made_password(model)
    with open_state(system, home, namespace) as state, _known(system):
        state.user_pool(model).set_password(name, new)
        user = state.user_pool(model).get_user(name)
    _print_with_password(
        model, user, None if password_stdin else new, as_json, f"{user.username} has a new password and is signed out."
    )


@users.command(
    epilog="""\b
Examples:
  windlass users groups file_sla eve                    show them
  windlass users groups file_sla eve viewer collector   in these two and in no other
  windlass users groups file_sla eve --none             in none"""
)
@system_argument
@click.argument("name")
@click.argument("groups", nargs=-1, metavar="[GROUP]...")
@click.option("--none", is_flag=True, help="Take the user out of all groups.")
@_pool_option
@json_option
@home_options
def groups(
    system: System,
    name: str,
    groups: tuple[str, ...],
    none: bool,
    pool: str | None,
    as_json: bool,
    home: Path,
    namespace: str,
) -> None:
    """Put a user into these groups and no others; without any, show them.

    Tokens that were issued before keep theirs until they expire.
    """
    if groups and none:
        raise click.UsageError("groups and --none exclude each other")
    model = chosen(system, UserPool, pool)
    with open_state(system, home, namespace) as state, _known(system):
        if groups or none:
            state.user_pool(model).set_groups(name, groups)
        user = state.user_pool(model).get_user(name)
    if as_json:
        print_json(_document(model, user))
    else:
        click.echo(f"{user.username} is in {', '.join(user.groups) or 'no group'}.")


@users.command(
    epilog="""\b
Examples:
  windlass users delete todos ada@example.com
  windlass users delete todos ada@example.com --yes"""
)
@system_argument
@click.argument("name")
@_pool_option
@yes_option
@home_options
def delete(system: System, name: str, pool: str | None, yes: bool, home: Path, namespace: str) -> None:
    """Remove a user; what is signed in ends at once. What the user has stored stays."""
    model = chosen(system, UserPool, pool)
    with open_state(system, home, namespace) as state, _known(system):
        user = state.user_pool(model).get_user(name)
        confirm(f"Remove the user {user.username} of {model.where}?", yes=yes)
        state.user_pool(model).delete_user(name)
    click.echo(f"{user.username} was removed.")


class _known:  # noqa: N801 (reads as a word of the with statement)
    """Adds to NotFound how to see which users there are."""

    def __init__(self, system: System) -> None:
        self._system = system

    def __enter__(self) -> None: ...

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, NotFound):
            raise NotFound(f"{error}\n  fix: see who there is: windlass users list {self._system.name}") from error


def _made_password(model: UserPool) -> str:
    return secrets.token_urlsafe(max(18, model.min_password_length))


def _print_with_password(model: UserPool, user: User, made: str | None, as_json: bool, said: str) -> None:
    if as_json:
        print_json(_document(model, user) | ({} if made is None else {"password": made}))
        return
    click.echo(said)
    if made is not None:
        click.echo(f"password: {made}")
        click.echo(_SHOWN_ONCE)


def _state(user: User) -> str:
    if not user.enabled:
        return "disabled"
    return "enabled" if user.locked_until is None else f"locked until {user.locked_until[11:19]}Z"


def _document(model: UserPool, user: User) -> dict[str, Any]:
    return {
        "pool": model.name,
        "username": user.username,
        "id": user.id,
        "email": user.email,
        "groups": user.groups,
        "enabled": user.enabled,
        "created_at": user.created_at,
        "locked_until": user.locked_until,
    }
