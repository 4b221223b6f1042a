"""`people`: accounts, what they are in workspaces, and their passwords, which come from a terminal or stdin only."""

import sys
from collections.abc import Iterator
from typing import Annotated, Any

import anyio
import typer

from portkey_mcp.activity.acts import Act
from portkey_mcp.cli import show
from portkey_mcp.cli.options import AsJson, Config, Data, Workspace, load
from portkey_mcp.cli.stores import Stores, opened
from portkey_mcp.errors import Mistake
from portkey_mcp.identity.people import Person
from portkey_mcp.identity.sessions import BrowserSessions
from portkey_mcp.model import Role, folded_email
from portkey_mcp.settings import Settings

app = typer.Typer(help="People, and what they are in workspaces.", no_args_is_help=True)

Email = Annotated[str, typer.Argument(help="The person's e-mail address, in any case.", show_default=False)]
Name = Annotated[str, typer.Option("--name", help="What the person is called; the e-mail address, if not given.")]
In = Annotated[str | None, typer.Option("--workspace", "-w", metavar="SLUG", help="Make the person a member of it.")]
OutOf = Annotated[
    str | None, typer.Option("--workspace", "-w", metavar="SLUG", help="Take the person out of this one only.")
]
Filter = Annotated[str | None, typer.Option("--workspace", "-w", metavar="SLUG", help="Only members of this one.")]
RoleOption = Annotated[
    Role | None, typer.Option("--role", help="What the person is in the workspace; a member, if not given.")
]
NewRole = Annotated[Role, typer.Argument(help="What the person is to be there.", show_default=False)]
Groups = Annotated[
    list[str] | None, typer.Option("--group", metavar="NAME", help="A group in the workspace to be in; repeatable.")
]
Add = Annotated[list[str] | None, typer.Option("--add", metavar="GROUP", help="A group to be in; repeatable.")]
Remove = Annotated[list[str] | None, typer.Option("--remove", metavar="GROUP", help="A group to leave; repeatable.")]
FromStdin = Annotated[bool, typer.Option("--password-stdin", help="Read the password from stdin, one line.")]


@app.command()
def add(
    email: Email,
    name: Name = "",
    workspace: In = None,
    role: RoleOption = None,
    group: Groups = None,
    password_stdin: FromStdin = False,
    config: Config = None,
    data: Data = None,
) -> None:
    """Make a person, or make one that there is a member of another workspace."""
    if workspace is None and (role or group):
        raise Mistake("--role and --group are about a workspace; give --workspace, too")
    password = _line() if password_stdin else ""
    arguments = email, name, workspace, role or "member", group or [], password
    anyio.run(_add, load(config, data), *arguments)
    where = "" if workspace is None else f" and {role or 'member'} of workspace {workspace!r}"
    typer.echo(f"{email} is known{where}.")


async def _add(
    settings: Settings, email: str, name: str, workspace: str | None, role: Role, groups: list[str], password: str
) -> None:
    async with opened(settings) as stores:
        made = await stores.identity.passwords.hashed(password) if password else ""
        is_new = all(folded_email(one.email) != folded_email(email) for one in await stores.identity.people.all())
        await stores.identity.people.add(email, name, workspace=workspace, role=role, groups=groups, password=made)
        if is_new:
            _note(stores, "person", email, how="made")
        if workspace is not None:
            _note(stores, "member", email, workspace, how="joined", role=role, groups=", ".join(groups))


@app.command("list")
def list_(workspace: Filter = None, config: Config = None, data: Data = None, as_json: AsJson = False) -> None:
    """List people, a line for each workspace that they are a member of."""
    people = anyio.run(_list, load(config, data), workspace)
    rows = [row for person in people for row in _rows(person)]
    show.records(rows, as_json=as_json, empty="No people yet; `portkey-mcp people add EMAIL --workspace SLUG`.")


async def _list(settings: Settings, workspace: str | None) -> list[Person]:
    async with opened(settings) as stores:
        return await stores.identity.people.all(workspace)


def _rows(person: Person) -> Iterator[dict[str, Any]]:
    whole: dict[str, Any] = {"email": person.email, "name": person.name}
    rest = {"password": person.has_password, "disabled": person.disabled, "created": person.created, "id": person.id}
    for one in person.memberships:
        there = {"workspace": one.workspace, "role": one.role, "groups": list(one.groups), "origin": one.origin}
        yield show.plain({**whole, **there, **rest})
    if not person.memberships:
        yield show.plain({**whole, "workspace": "", "role": "", "groups": [], "origin": person.origin, **rest})


@app.command()
def remove(email: Email, workspace: OutOf = None, config: Config = None, data: Data = None) -> None:
    """Remove a person and all that is theirs, or take them out of one workspace. A running gateway does so, too."""
    anyio.run(_remove, load(config, data), email, workspace)
    typer.echo(f"{email} is removed." if workspace is None else f"{email} is no member of workspace {workspace!r} now.")


async def _remove(settings: Settings, email: str, workspace: str | None) -> None:
    async with opened(settings) as stores:
        if workspace is None:
            await stores.identity.people.remove(email)
            _note(stores, "person", email, how="removed")
        else:
            await stores.identity.people.leave(email, workspace)
            _note(stores, "member", email, workspace, how="left")


@app.command()
def disable(email: Email, config: Config = None, data: Data = None) -> None:
    """Keep a person out, whoever manages them, until they are enabled again; nothing of theirs is lost."""
    anyio.run(_switch, load(config, data), email, False)
    typer.echo(f"{email} is kept out.")


@app.command()
def enable(email: Email, config: Config = None, data: Data = None) -> None:
    """Let a person in again."""
    anyio.run(_switch, load(config, data), email, True)
    typer.echo(f"{email} may come in.")


async def _switch(settings: Settings, email: str, on: bool) -> None:
    async with opened(settings) as stores:
        await (stores.identity.people.enable(email) if on else stores.identity.people.disable(email))
        _note(stores, "person", email, how="enabled" if on else "disabled")


@app.command("role")
def role_(email: Email, role: NewRole, workspace: Workspace, config: Config = None, data: Data = None) -> None:
    """Give a member of a workspace another role there."""
    anyio.run(_role, load(config, data), email, workspace, role)
    typer.echo(f"{email} is {role} of workspace {workspace!r}.")


async def _role(settings: Settings, email: str, workspace: str, role: Role) -> None:
    async with opened(settings) as stores:
        await stores.identity.people.set_role(email, workspace, role)
        _note(stores, "member", email, workspace, role=role)


@app.command("group")
def group_(
    email: Email,
    workspace: Workspace,
    add: Add = None,
    remove: Remove = None,
    config: Config = None,
    data: Data = None,
) -> None:
    """Put a member of a workspace into groups there, or take them out."""
    if not add and not remove:
        raise Mistake("give --add GROUP or --remove GROUP")
    groups = anyio.run(_group, load(config, data), email, workspace, add or [], remove or [])
    typer.echo(f"{email} is in {', '.join(groups) or 'no group'} of workspace {workspace!r}.")


async def _group(settings: Settings, email: str, workspace: str, add: list[str], remove: list[str]) -> tuple[str, ...]:
    async with opened(settings) as stores:
        groups = await stores.identity.people.set_groups(email, workspace, add=add, remove=remove)
        _note(stores, "member", email, workspace, groups=", ".join(groups))
        return groups


@app.command()
def password(email: Email, password_stdin: FromStdin = False, config: Config = None, data: Data = None) -> None:
    """Give a person a new password, typed twice and not shown, or from stdin. It ends their browser sessions."""
    anyio.run(_password, load(config, data), email, _line() if password_stdin else _typed())
    typer.echo(f"{email} has a new password.")


async def _password(settings: Settings, email: str, password: str) -> None:
    async with opened(settings) as stores:
        person = await stores.identity.passwords.set(email, password)
        await BrowserSessions(stores.database).end_all(person)
        _note(stores, "password", email)


def _note(stores: Stores, act: str, email: str, workspace: str = "", **detail: str) -> None:
    """Take note of what was done to a person, who is called as they are everywhere."""
    stores.note(Act(act, workspace=workspace, subject=folded_email(email), detail=detail))


def _line() -> str:
    """The first line of stdin. An empty one is a mistake: an unset variable must not make an account without one."""
    line = sys.stdin.readline().rstrip("\r\n")
    if not line:
        raise Mistake("stdin has no password")
    return line


def _typed() -> str:
    if not sys.stdin.isatty():
        raise Mistake("there is no terminal to ask for the password on; give --password-stdin")
    return str(typer.prompt("Password", hide_input=True, confirmation_prompt=True))
