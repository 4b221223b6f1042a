"""`policy save`, `rollback`, `enable`, `disable` and `set`: a command changes a policy, and nothing else in it."""

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, get_args

import anyio
import typer

from portkey_mcp.cli.options import Config, Data, Workspace, load
from portkey_mcp.cli.policy_edit import Why, cautions
from portkey_mcp.cli.stores import Stores, opened
from portkey_mcp.cli.who import who
from portkey_mcp.errors import Mistake
from portkey_mcp.model import Role
from portkey_mcp.policy.document import Rule
from portkey_mcp.policy.match import compile_pattern
from portkey_mcp.registry.document import parse_policy, text_of
from portkey_mcp.registry.policies import PolicyVersion
from portkey_mcp.registry.policy_text import set_member
from portkey_mcp.registry.source import Source
from portkey_mcp.registry.wording import unknown
from portkey_mcp.settings import Settings

File = Annotated[Path, typer.Argument(help="A policy document in YAML; - reads it from standard input.")]
BasedOn = Annotated[
    int | None,
    typer.Option("--based-on", metavar="N", help="The version it was made from; refused if that is not the newest."),
]
Number = Annotated[int, typer.Argument(metavar="N", help="The version to bring back; see `history`.")]
Thing = Annotated[str, typer.Argument(metavar="THING", help="A pattern: server/tool, prompt:server/name, 'server/*'.")]
Roles = Annotated[list[str] | None, typer.Option("--role", help="For this role only; repeatable.")]
Members = Annotated[list[str], typer.Argument(metavar="MEMBER=VALUE", help="timeout=30s; nothing after = removes it.")]

SETTABLE = [field.alias or name for name, field in Rule.model_fields.items() if name not in ("match", "for_")]


def save(
    file: File, workspace: Workspace, why: Why = "", based_on: BasedOn = None, config: Config = None, data: Data = None
) -> None:
    """Check a document and put it in force as a new version."""
    try:
        text = sys.stdin.read() if str(file) == "-" else text_of(file)
    except UnicodeDecodeError as error:
        raise Mistake(f"standard input is not UTF-8 text (byte {error.start})") from None
    parse_policy(text, str(file))
    anyio.run(_put_in_force, load(config, data), workspace, text, why, based_on)


async def _put_in_force(settings: Settings, workspace: str, text: str, why: str, based_on: int | None) -> None:
    async with opened(settings) as stores:
        before = await stores.policies.current(workspace)
        saved = await stores.policies.save(workspace, text, who=who(), why=why, origin="cli", based_on=based_on)
        await _tell(stores, before, saved, "Saved")


async def _tell(stores: Stores, before: PolicyVersion | None, saved: PolicyVersion, said: str) -> None:
    if before is not None and before.number == saved.number:
        typer.echo(f"Nothing to change: version {saved.number} says that already.")
        return
    typer.echo(f"{said}: version {saved.number} of the policy of workspace {saved.workspace!r} is in force.")
    policy, _ = parse_policy(saved.text, "policy")
    for line in await cautions(stores, await stores.workspace(saved.workspace), policy):
        typer.echo(f"Warning: {line}", err=True)


def rollback(number: Number, workspace: Workspace, why: Why = "", config: Config = None, data: Data = None) -> None:
    """Put an earlier version in force again, as a new one."""
    anyio.run(_roll_back, load(config, data), workspace, number, why)


async def _roll_back(settings: Settings, workspace: str, number: int, why: str) -> None:
    async with opened(settings) as stores:
        before = await stores.policies.current(workspace)
        said = f"Back to version {number}"
        saved = await stores.policies.roll_back(workspace, number, who=who(), why=why or said, origin="cli")
        await _tell(stores, before, saved, said)


def enable(
    thing: Thing, workspace: Workspace, role: Roles = None, why: Why = "", config: Config = None, data: Data = None
) -> None:
    """Let things exist: a tool, or all that a pattern fits."""
    said = f"Enabled {thing}{_for(role)}"
    anyio.run(_set, load(config, data), workspace, thing, {"enabled": True}, role, why, said)


def disable(
    thing: Thing, workspace: Workspace, role: Roles = None, why: Why = "", config: Config = None, data: Data = None
) -> None:
    """Hide things, and refuse their use: a tool, or all that a pattern fits."""
    said = f"Disabled {thing}{_for(role)}"
    anyio.run(_set, load(config, data), workspace, thing, {"enabled": False}, role, why, said)


def set_(
    thing: Thing,
    members: Members,
    workspace: Workspace,
    role: Roles = None,
    why: Why = "",
    config: Config = None,
    data: Data = None,
) -> None:
    """Set members of the rule about a thing; values are YAML, like 'limits=[{calls: 20, per: hour}]'."""
    wanted = dict(_member(text) for text in members)
    said = f"Set {', '.join(members)} of {thing}{_for(role)}"
    anyio.run(_set, load(config, data), workspace, thing, wanted, role, why, said)


def _member(text: str) -> tuple[str, Any]:
    name, equals, value = text.partition("=")
    if not equals:
        raise Mistake(f"{text!r} is not understood; expected MEMBER=VALUE, like timeout=30s")
    if name not in SETTABLE:
        raise Mistake(unknown("member", name, SETTABLE))
    return name, Source(value, name).data


def _for(roles: Sequence[str] | None) -> str:
    return f" for {', '.join(roles)}" if roles else ""


async def _set(
    settings: Settings,
    workspace: str,
    thing: str,
    members: Mapping[str, Any],
    roles: Sequence[str] | None,
    why: str,
    said: str,
) -> None:
    for role in roles or ():
        if role not in get_args(Role):
            raise Mistake(unknown("role", role, get_args(Role)))
    try:
        compile_pattern(thing)
    except ValueError as error:
        raise Mistake(str(error)) from None
    async with opened(settings) as stores:
        await stores.policies.refuse_managed(workspace)
        before = await stores.policies.current(workspace)
        old = text = before.text if before else ""
        for member, value in members.items():
            text = set_member(text, thing, member, value, {"roles": list(roles)} if roles else None)
        if text == old:
            typer.echo("Nothing to change: the policy says that already.")
            return
        number = before.number if before else 0
        saved = await stores.policies.save(workspace, text, who=who(), why=why or said, origin="cli", based_on=number)
        await _tell(stores, before, saved, said)
