"""`windlass explain`."""

from __future__ import annotations

import difflib
import re
from typing import Any

import click

from windlass.cli.declared import system_argument
from windlass.cli.document import json_option, print_json
from windlass.engines.aws.stage import Stage
from windlass.errors import NotFound
from windlass.graph.check import check as check_system
from windlass.model.handler import Handler
from windlass.model.resource import check_name
from windlass.model.system import System
from windlass.synth.policy import MAX_SIZE, Policy, Statement, policies

__all__ = ["explain"]

_PLACEHOLDER = "123456789012"
_ACCOUNT = re.compile(r"[0-9]{12}\Z")
_REGION = re.compile(r"[a-z]{2}(-[a-z]+)+-[0-9]\Z")


def _account(_: click.Context, __: click.Parameter, said: str | None) -> str | None:
    if said is not None and not _ACCOUNT.match(said):
        raise click.BadParameter(f"{said!r} is not the number of an account, which has twelve digits")
    return said


def _region(_: click.Context, __: click.Parameter, said: str) -> str:
    if not _REGION.match(said):
        raise click.BadParameter(f"{said!r} is not the name of a region, such as eu-west-1")
    return said


@click.command(
    epilog="""\b
Examples:
  windlass explain todos
  windlass explain todos create --stage prod --region eu-central-1 --account 210987654321
  windlass explain todos create --json"""
)
@system_argument
@click.argument("handler", required=False, metavar="[HANDLER]")
@click.option("--stage", default="dev", show_default=True, metavar="NAME", help="Which deployment of it.")
@click.option(
    "--region", default="eu-west-1", show_default=True, metavar="NAME", callback=_region, help="Where it is deployed."
)
@click.option(
    "--account",
    metavar="DIGITS",
    callback=_account,
    help=f"The account's number; without it, {_PLACEHOLDER} stands in its place.",
)
@json_option
def explain(system: System, handler: str | None, stage: str, region: str, account: str | None, as_json: bool) -> None:
    """Say what each handler may do on AWS, and which of its uses asked for it.

    Each handler becomes a function with a role of its own, whose policy is derived from its `uses` and its trigger.
    Nothing is deployed, and AWS is not asked.
    """
    check_system(system)
    where = Stage(system.name, check_name(stage, "stage"), region, account or _PLACEHOLDER)
    chosen = system.handlers if handler is None else [_chosen(system, handler)]
    derived = policies(system, where)
    if as_json:
        print_json(
            {
                "system": system.name,
                "stage": stage,
                "region": region,
                "account": where.account,
                "account_is_placeholder": account is None,
                "handlers": [_described(one, derived[one.name]) for one in chosen],
            }
        )
        return
    placeholder = "" if account else ", a placeholder: say --account"
    click.echo(f"{system.name} on AWS: stage {stage} in {region}, account {where.account}{placeholder}")
    for one in chosen:
        click.echo()
        _print(one, derived[one.name])


def _chosen(system: System, name: str) -> Handler:
    for handler in system.handlers:
        if handler.name == name:
            return handler
    names = [handler.name for handler in system.handlers]
    near = difflib.get_close_matches(name, names, 1)
    fix = f"did you mean {near[0]!r}?" if near else f"name one of its handlers: {', '.join(names) or 'it has none'}"
    raise NotFound(f"{system.name} has no handler {name!r}\n  fix: {fix}")


def _print(handler: Handler, policy: Policy) -> None:
    click.secho(handler.name, bold=True, nl=False)
    click.echo(f", started by {handler.trigger}: function {policy.function}")
    for grant, reason in policy.free.items():
        click.echo(f"  uses {grant}")
        click.echo(f"    no permission: {reason}")
    for statement in policy.statements:
        click.echo(f"  {'; '.join(statement.asked_by)}")
        for action in statement.actions:
            click.echo(f"    {action}")
        for resource in statement.resources:
            click.echo(f"      on {resource}")
        for condition in _conditions(statement):
            click.echo(f"      if {condition}")
    click.echo(f"  {policy.size:,} of the {MAX_SIZE:,} characters that IAM takes")


def _conditions(statement: Statement) -> list[str]:
    return [
        f"{key} {operator} {value}"
        for operator, keys in (statement.condition or {}).items()
        for key, value in keys.items()
    ]


def _described(handler: Handler, policy: Policy) -> dict[str, Any]:
    return {
        "handler": handler.name,
        "trigger": handler.trigger,
        "function": policy.function,
        "asked_by": {statement.sid: list(statement.asked_by) for statement in policy.statements},
        "no_permission": {f"uses {grant}": reason for grant, reason in policy.free.items()},
        "size": policy.size,
        "policy": policy.document(),
    }
