"""`connections`: accounts at servers, and disconnecting one. What is in them is never shown."""

from collections.abc import Mapping
from typing import Annotated, Any

import anyio
import typer

from portkey_mcp.activity.acts import Act
from portkey_mcp.admin.connections import account_of
from portkey_mcp.cli import show
from portkey_mcp.cli.options import AsJson, Config, Data, Workspace, load
from portkey_mcp.cli.stores import Stores, opened
from portkey_mcp.egress import Egress
from portkey_mcp.errors import Mistake
from portkey_mcp.settings import Settings
from portkey_mcp.vault.connecting import revoked
from portkey_mcp.vault.connections import Connections
from portkey_mcp.vault.reaching import Reaching
from portkey_mcp.vault.token_requests import TokenRequests

app = typer.Typer(help="Accounts that people connected at servers.", no_args_is_help=True)

Filter = Annotated[str | None, typer.Option("--workspace", "-w", metavar="SLUG", help="Only those of this workspace.")]
Server = Annotated[str, typer.Argument(help="Name of the server.", show_default=False)]
Person = Annotated[
    str,
    typer.Option(
        "--person", metavar="EMAIL", help="Whose account, also by id; the workspace's shared one, if not given."
    ),
]


@app.command("list")
def list_(workspace: Filter = None, config: Config = None, data: Data = None, as_json: AsJson = False) -> None:
    """List connected accounts and how they are."""
    rows = anyio.run(_list, load(config, data), workspace)
    show.records(rows, as_json=as_json, empty="No accounts yet; people connect them on the page /connect/SLUG/NAME.")


async def _list(settings: Settings, workspace: str | None) -> list[dict[str, Any]]:
    async with opened(settings) as stores:
        slugs = [workspace] if workspace else list((await stores.registry.directory()).workspaces)
        connections, rows = Connections(stores.database, stores.keyring), []
        for slug in slugs:
            await stores.workspace(slug)
            names = await _names(stores, slug)
            found = [account_of(one, names) for one in await connections.of_workspace(slug)]
            rows += [{"workspace": slug, **show.plain(one.model_dump())} for one in found]
    return rows


@app.command()
def remove(server: Server, workspace: Workspace, person: Person = "", config: Config = None, data: Data = None) -> None:
    """Disconnect an account. A running gateway uses it no more within a second or two."""
    typer.echo(anyio.run(_remove, load(config, data), workspace, server, person))


async def _remove(settings: Settings, workspace: str, server: str, person: str) -> str:
    async with opened(settings) as stores:
        await stores.server(workspace, server)
        connections, names = Connections(stores.database, stores.keyring), await _names(stores, workspace)
        here = [one for one in await connections.of_workspace(workspace) if one.place.server == server]
        ids = {person, *(ident for ident, email in names.items() if email == person.lower())}
        found = next((one for one in here if one.place.subject in ids), None)
        if found is None:
            whose = f"account of {person!r}" if person else "shared account"
            raise Mistake(f"no {whose} is connected at server {server!r} of workspace {workspace!r}")
        was = await connections.drop(found.place)
        tokens = TokenRequests(Reaching(Egress(), lambda: stores.trust.networks))
        ended = None if was is None else await revoked(tokens, was)
        stores.note(Act("disconnect", workspace=workspace, subject=server))
    at_issuer = {
        None: "nothing had to be revoked elsewhere",
        True: f"it was revoked at {found.credential.issuer}, too",
        False: f"it could not be revoked at {found.credential.issuer}",
    }
    return f"The account at server {server!r} of workspace {workspace!r} is disconnected; {at_issuer[ended]}."


async def _names(stores: Stores, workspace: str) -> Mapping[str, str]:
    await stores.identity.refresh()
    return {one.id: one.email for one in stores.identity.people.members(workspace)}
