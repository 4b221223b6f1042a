"""`people invite` and what belongs to it: links by which people join workspaces. Each is seen once, when it is made."""

from dataclasses import asdict
from typing import Annotated

import anyio
import typer

from portkey_mcp.activity.acts import Act
from portkey_mcp.addresses import Addresses
from portkey_mcp.cli import show
from portkey_mcp.cli.options import AsJson, Config, Data, Workspace, load
from portkey_mcp.cli.stores import opened
from portkey_mcp.identity.invitations import DAYS, MOST_DAYS, Invitation
from portkey_mcp.model import Role
from portkey_mcp.settings import Settings

Email = Annotated[
    str, typer.Argument(help="The only e-mail address that it is for; anybody's, if not given.", show_default=False)
]
RoleOption = Annotated[Role, typer.Option("--role", help="What whoever joins is in the workspace.")]
Groups = Annotated[
    list[str] | None, typer.Option("--group", metavar="NAME", help="A group in the workspace to be in; repeatable.")
]
Days = Annotated[int, typer.Option("--days", min=1, max=MOST_DAYS, help="Days until it expires.")]
Filter = Annotated[str | None, typer.Option("--workspace", "-w", metavar="SLUG", help="Only those into this one.")]
Ident = Annotated[str, typer.Argument(help="The invitation's id.", show_default=False)]


def invite(
    workspace: Workspace,
    email: Email = "",
    role: RoleOption = "member",
    group: Groups = None,
    days: Days = DAYS,
    config: Config = None,
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """Make a link by which one person joins a workspace, and print it: the only time that it can be seen."""
    settings = load(config, data)
    token, made = anyio.run(_invite, settings, workspace, email, role, group or [], days)
    link = Addresses(settings.base_url).invitation(token)
    if as_json:
        show.records([{**_row(made), "link": link}], as_json=True)
        return
    typer.echo(link)
    whom = f"for {email}" if email else "for whoever opens it first"
    typer.echo(f"Good once, {whom}, until {made.expires:%d %B %Y}. It is not shown again.", err=True)


async def _invite(
    settings: Settings, workspace: str, email: str, role: Role, groups: list[str], days: int
) -> tuple[str, Invitation]:
    async with opened(settings) as stores:
        await stores.workspace(workspace)
        token, made = await stores.identity.invitations.invite(workspace, role, email=email, groups=groups, days=days)
        detail = {"how": "made", "role": role, "email": email}
        stores.note(Act("invitation", workspace=workspace, subject=made.id, detail=detail))
    return token, made


def invitations(workspace: Filter = None, config: Config = None, data: Data = None, as_json: AsJson = False) -> None:
    """List invitations that can still be used, without their links."""
    found = anyio.run(_list, load(config, data), workspace)
    rows = [_row(one) for one in found]
    show.records(rows, as_json=as_json, empty="No invitations; `portkey-mcp people invite --workspace SLUG`.")


async def _list(settings: Settings, workspace: str | None) -> list[Invitation]:
    async with opened(settings) as stores:
        return await stores.identity.invitations.all(workspace)


def _row(one: Invitation) -> dict[str, object]:
    return show.plain({**asdict(one), "groups": list(one.groups)})


def uninvite(ident: Ident, config: Config = None, data: Data = None) -> None:
    """Take an invitation back: its link is worth nothing at once."""
    anyio.run(_uninvite, load(config, data), ident)
    typer.echo(f"Invitation {ident} is taken back.")


async def _uninvite(settings: Settings, ident: str) -> None:
    async with opened(settings) as stores:
        gone = await stores.identity.invitations.take_back(ident)
        taken = {"how": "taken back"}
        stores.note(Act("invitation", workspace=gone.workspace, subject=ident, detail=taken))
