"""`keys`: API keys of a workspace. A key is seen once, when it is made; only its digest is kept."""

from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import Annotated, Final

import anyio
import typer

from portkey_mcp.activity.acts import Act
from portkey_mcp.cli import show
from portkey_mcp.cli.options import AsJson, Config, Data, Workspace, load
from portkey_mcp.cli.stores import opened
from portkey_mcp.identity.keys import ApiKey
from portkey_mcp.model import DeclaredKey, Role
from portkey_mcp.settings import Settings

app = typer.Typer(help="API keys of a workspace.", no_args_is_help=True)

SHOWN: Final = ("workspace", "name", "role", "person", "scopes", "server")
"""What is said of a key that was just made, beside the key itself."""

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
Scope = Annotated[
    list[str] | None,
    typer.Option(
        "--scope", metavar="SCOPE", help="mcp:read or mcp:call, repeatable: what it allows at most, all else."
    ),
]
Server = Annotated[
    str, typer.Option("--server", metavar="NAME", help="The only server that it is good for; all, if not given.")
]
Filter = Annotated[str | None, typer.Option("--workspace", "-w", metavar="SLUG", help="Only those of this workspace.")]


@app.command()
def create(
    name: Name,
    workspace: Workspace,
    role: RoleOption = None,
    person: Person = "",
    days: Days = None,
    scope: Scope = None,
    server: Server = "",
    config: Config = None,
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """Make a key and print it: the only time that it can be seen."""
    expires = datetime.now(UTC) + timedelta(days=days) if days else None
    wanted = DeclaredKey(workspace, name, "", role or "member", tuple(scope) if scope else None, server, expires)
    key, made = anyio.run(_create, load(config, data), wanted, role, person)
    if as_json:
        shown = {name: value for name, value in show.plain(asdict(made)).items() if name in SHOWN}
        show.records([{**shown, "key": key}], as_json=True)
        return
    typer.echo(key)
    typer.echo(f"Keep it now: it is not shown again. Send it as `Authorization: Bearer {key[:6]}…`.", err=True)


async def _create(settings: Settings, wanted: DeclaredKey, role: Role | None, person: str) -> tuple[str, ApiKey]:
    async with opened(settings) as stores:
        place, name = wanted.workspace, wanted.name
        if wanted.server:
            await stores.server(place, wanted.server)
        key = await stores.identity.create_key(
            place, name, role, expires=wanted.expires, person=person, scopes=wanted.scopes, server=wanted.server
        )
        made = next(made for made in await stores.identity.list_keys(place) if made.name == name)
        stores.note(Act("key_made", workspace=place, subject=name, detail={"role": made.role}))
        return key, made


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
        stores.note(Act("key_ended", workspace=workspace, subject=name))
