"""`keys`: API keys of a workspace. A key is seen once, when it is made; only its digest is kept."""

from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import Annotated

import anyio
import typer

from portkey_mcp.cli import show
from portkey_mcp.cli.options import AsJson, Config, Data, Workspace, load
from portkey_mcp.cli.stores import opened
from portkey_mcp.identity.keys import ApiKey
from portkey_mcp.model import Role
from portkey_mcp.settings import Settings

app = typer.Typer(help="API keys of a workspace.", no_args_is_help=True)

Name = Annotated[str, typer.Argument(help="What the key is called, unique in its workspace.", show_default=False)]
RoleOption = Annotated[
    Role | None,
    typer.Option(
        "--role", help="What the key may do in the workspace: a member if not given, a person's key all that they may."
    ),
]
Person = Annotated[
    str,
    typer.Option("--person", metavar="EMAIL", help="Whose key it is, a member; a service account's, if not given."),
]
Days = Annotated[int | None, typer.Option("--days", min=1, help="Days until it expires; never, if not given.")]
Filter = Annotated[str | None, typer.Option("--workspace", "-w", metavar="SLUG", help="Only those of this workspace.")]


@app.command()
def create(
    name: Name,
    workspace: Workspace,
    role: RoleOption = None,
    person: Person = "",
    days: Days = None,
    config: Config = None,
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """Make a key and print it: the only time that it can be seen."""
    key, made = anyio.run(_create, load(config, data), workspace, name, role, person, days)
    if as_json:
        shown = {"workspace": workspace, "name": name, "role": made.role, "person": made.person, "key": key}
        show.records([shown], as_json=True)
        return
    typer.echo(key)
    typer.echo(f"Keep it now: it is not shown again. Send it as `Authorization: Bearer {key[:6]}…`.", err=True)


async def _create(
    settings: Settings, workspace: str, name: str, role: Role | None, person: str, days: int | None
) -> tuple[str, ApiKey]:
    expires = datetime.now(UTC) + timedelta(days=days) if days else None
    async with opened(settings) as stores:
        key = await stores.identity.create_key(workspace, name, role, expires=expires, person=person)
        return key, next(made for made in await stores.identity.list_keys(workspace) if made.name == name)


@app.command("list")
def list_(workspace: Filter = None, config: Config = None, data: Data = None, as_json: AsJson = False) -> None:
    """List keys, without the keys themselves."""
    rows = anyio.run(_list, load(config, data), workspace)
    show.records(rows, as_json=as_json, empty="No API keys yet; `portkey-mcp keys create NAME --workspace SLUG`.")


async def _list(settings: Settings, workspace: str | None) -> list[dict[str, object]]:
    async with opened(settings) as stores:
        keys = await stores.identity.list_keys(workspace)
    return [show.plain(asdict(key)) for key in keys]


@app.command()
def revoke(name: Name, workspace: Workspace, config: Config = None, data: Data = None) -> None:
    """End a key. A running gateway refuses it within a second or two."""
    anyio.run(_revoke, load(config, data), workspace, name)
    typer.echo(f"API key {name!r} of workspace {workspace!r} is revoked.")


async def _revoke(settings: Settings, workspace: str, name: str) -> None:
    async with opened(settings) as stores:
        await stores.identity.revoke_key(workspace, name)
