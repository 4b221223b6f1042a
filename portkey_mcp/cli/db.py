"""`db`: the database itself."""

import anyio
import typer

from portkey_mcp.cli.options import Config, Data, load
from portkey_mcp.settings import Settings
from portkey_mcp.storage.database import Database

app = typer.Typer(help="The database.", no_args_is_help=True)


@app.callback()
def group() -> None:
    """Make `db` a group, though it has one command only."""


@app.command()
def upgrade(config: Config = None, data: Data = None) -> None:
    """Bring the database up to date, or make it; `serve` does so by itself."""
    settings = load(config, data)
    anyio.run(_upgrade, settings)
    typer.echo(f"The database in {settings.data} is up to date.")


async def _upgrade(settings: Settings) -> None:
    await (await Database.open(settings.data)).close()
