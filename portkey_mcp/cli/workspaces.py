"""`workspaces`: the teams' spaces."""

from typing import Annotated

import anyio
import typer

from portkey_mcp.cli import show
from portkey_mcp.cli.options import AsJson, Config, Data, load
from portkey_mcp.cli.stores import opened
from portkey_mcp.settings import Settings

app = typer.Typer(help="Workspaces: the teams' spaces.", no_args_is_help=True)

Slug = Annotated[str, typer.Argument(help="Its name in URLs: 3 to 50 lower-case letters, digits and dashes.")]
Name = Annotated[str, typer.Option("--name", help="What people call it; the slug, if not given.")]


@app.command("list")
def list_(config: Config = None, data: Data = None, as_json: AsJson = False) -> None:
    """List workspaces."""
    rows = anyio.run(_list, load(config, data))
    show.records(rows, as_json=as_json, empty="No workspaces yet; `portkey-mcp workspaces add SLUG`.")


async def _list(settings: Settings) -> list[dict[str, object]]:
    async with opened(settings) as stores:
        workspaces = (await stores.registry.directory()).workspaces
    return [
        {"workspace": slug, "name": one.name, "servers": len(one.servers), "bundles": len(one.bundles)}
        for slug, one in workspaces.items()
    ]


@app.command()
def add(slug: Slug, name: Name = "", config: Config = None, data: Data = None) -> None:
    """Add a workspace."""
    anyio.run(_add, load(config, data), slug, name)
    typer.echo(f"Workspace {slug!r} is there.")


async def _add(settings: Settings, slug: str, name: str) -> None:
    async with opened(settings) as stores:
        await stores.registry.add_workspace(slug, name)
