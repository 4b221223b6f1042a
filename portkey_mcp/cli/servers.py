"""`servers`: the MCP servers of a workspace, registered, listed, tried and taken away."""

from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

import anyio
import typer

from portkey_mcp.cli import show
from portkey_mcp.cli.imports import import_file
from portkey_mcp.cli.options import AsJson, Config, Data, Workspace, load
from portkey_mcp.cli.stores import opened
from portkey_mcp.cli.trying import describe, list_tools
from portkey_mcp.errors import Mistake
from portkey_mcp.model import Access, McpServer
from portkey_mcp.policy.access import access_of
from portkey_mcp.registry.literals import hide
from portkey_mcp.settings import Settings

app = typer.Typer(help="The MCP servers of a workspace.", no_args_is_help=True)

Name = Annotated[str, typer.Argument(help="The server's name, unique in its workspace.", show_default=False)]
Filter = Annotated[str | None, typer.Option("--workspace", "-w", metavar="SLUG", help="Only those of this workspace.")]
Url = Annotated[str, typer.Option("--url", help="Where it is, for a server over HTTP or SSE.", show_default=False)]
Command = Annotated[list[str] | None, typer.Argument(help="After `--`: the command of a server over stdio.")]
TransportOption = Annotated[Literal["http", "sse"], typer.Option("--transport", help="How a URL is spoken to.")]
Header = Annotated[
    list[str] | None, typer.Option("--header", help="`Name: value`, sent with each request; repeatable.")
]
Env = Annotated[list[str] | None, typer.Option("--env", help="`NAME=value` for the command; repeatable.")]
Protocol = Annotated[str, typer.Option("--protocol", help="A protocol version to speak; auto asks the server.")]
Title = Annotated[str, typer.Option("--title", help="What people call it.")]
Shared = Annotated[bool, typer.Option("--shared", help="One process for everybody, not one for each caller.")]
AllowPerson = Annotated[
    list[str] | None,
    typer.Option("--allow-person", metavar="WHO", help="Who may use it, by e-mail address or id; repeatable."),
]
AllowGroup = Annotated[
    list[str] | None, typer.Option("--allow-group", metavar="NAME", help="Whose members may use it; repeatable.")
]
Everybody = Annotated[bool, typer.Option("--everybody", help="Everybody of the workspace may use it.")]
File = Annotated[Path, typer.Argument(help="A file of Claude Desktop, Claude Code, Cursor or VS Code.")]
Secret = Annotated[list[str] | None, typer.Option("--secret", help="`NAME=value` the file asks for; repeatable.")]
Approve = Annotated[bool, typer.Option("--approve", help="Take over commands too: the gateway will run them.")]


@app.command("list")
def list_(workspace: Filter = None, config: Config = None, data: Data = None, as_json: AsJson = False) -> None:
    """List servers and their URLs."""
    rows = anyio.run(_list, load(config, data), workspace)
    show.records(rows, as_json=as_json, empty="No servers yet; `portkey-mcp servers add NAME --workspace SLUG …`.")


async def _list(settings: Settings, only: str | None) -> list[dict[str, object]]:
    async with opened(settings) as stores:
        directory, origins = await stores.registry.directory(), await stores.registry.origins()
    return [
        {
            "workspace": slug,
            "name": server.name,
            "url": f"{settings.base_url}/{server.key}/mcp",
            "transport": server.transport,
            "target": urlsplit(server.url)._replace(query="").geturl() if server.url else " ".join(server.command),
            "enabled": server.enabled,
            "access": [*server.access.people, *server.access.groups] if server.access else [],
            "managed_by": origins[server.key],
        }
        for slug, workspace in directory.workspaces.items()
        for server in workspace.servers.values()
        if only in (None, slug)
    ]


@app.command()
def add(
    name: Name,
    workspace: Workspace,
    command: Command = None,
    url: Url = "",
    transport: TransportOption = "http",
    header: Header = None,
    env: Env = None,
    protocol: Protocol = "auto",
    title: Title = "",
    shared: Shared = False,
    allow_person: AllowPerson = None,
    allow_group: AllowGroup = None,
    config: Config = None,
    data: Data = None,
) -> None:
    """Register a server: a --url, or a command after `--`. Values may be references like `${env:NAME}`."""
    if bool(url) == bool(command):
        raise Mistake("give a --url, or a command after `--`, and not both")
    server = McpServer(
        workspace=workspace,
        name=name,
        transport=transport if url else "stdio",
        url=url,
        command=tuple(command or ()),
        env=_pairs(env, "=", "--env NAME=value"),
        headers=_pairs(header, ":", "--header 'Name: value'"),
        protocol=protocol,
        process="shared" if shared else "principal",
        title=title,
        access=access_of(tuple(allow_person or ()), tuple(allow_group or ())),
    )
    settings = load(config, data)
    for note in anyio.run(_add, settings, server):
        typer.echo(note)
    typer.echo(f"Server {name!r} is at {settings.base_url}/{server.key}/mcp; `portkey-mcp servers test` tries it.")


def _pairs(given: list[str] | None, separator: str, form: str) -> dict[str, str]:
    pairs = [text.partition(separator) for text in given or ()]
    if not all(between and name.strip() for name, between, _ in pairs):
        raise Mistake(f"expected {form}")  # without what was given: it may be a secret
    return {name.strip(): value.strip() if separator == ":" else value for name, _, value in pairs}


async def _add(settings: Settings, server: McpServer) -> list[str]:
    """Register the server; secrets written out in it are sealed, and what was moved is said, a sentence each."""
    hidden = hide(server)
    async with opened(settings) as stores:
        await stores.registry.add_server(hidden.server, secrets=hidden.secrets)
    return hidden.notes


@app.command()
def access(
    name: Name,
    workspace: Workspace,
    allow_person: AllowPerson = None,
    allow_group: AllowGroup = None,
    everybody: Everybody = False,
    config: Config = None,
    data: Data = None,
) -> None:
    """Say who of the workspace may use a server, in the place of whoever could; for others it does not exist."""
    wanted = access_of(tuple(allow_person or ()), tuple(allow_group or ()))
    if everybody is (wanted is not None):
        raise Mistake("give --allow-person and --allow-group, or --everybody")
    anyio.run(_access, load(config, data), workspace, name, wanted)
    whom = "everybody" if wanted is None else ", ".join((*wanted.people, *wanted.groups))
    typer.echo(f"Server {name!r} of workspace {workspace!r} is there for {whom}.")


async def _access(settings: Settings, workspace: str, name: str, wanted: Access | None) -> None:
    async with opened(settings) as stores:
        await stores.registry.set_access(workspace, name, wanted)


@app.command()
def remove(name: Name, workspace: Workspace, config: Config = None, data: Data = None) -> None:
    """Take a server away, with the secrets that came with it."""
    anyio.run(_remove, load(config, data), workspace, name)
    typer.echo(f"Server {name!r} of workspace {workspace!r} is removed.")


async def _remove(settings: Settings, workspace: str, name: str) -> None:
    async with opened(settings) as stores:
        await stores.registry.remove_server(workspace, name)


@app.command("test")
def try_(name: Name, workspace: Workspace, config: Config = None, data: Data = None, as_json: AsJson = False) -> None:
    """Connect to a server and say what it is."""
    show.records(anyio.run(_ask, load(config, data), workspace, name, "describe"), as_json=as_json)


@app.command()
def tools(name: Name, workspace: Workspace, config: Config = None, data: Data = None, as_json: AsJson = False) -> None:
    """Connect to a server and list its tools."""
    rows = anyio.run(_ask, load(config, data), workspace, name, "tools")
    show.records(rows, as_json=as_json, empty="It has no tools.")


async def _ask(
    settings: Settings, workspace: str, name: str, what: Literal["describe", "tools"]
) -> list[dict[str, object]]:
    async with opened(settings) as stores:
        server = await stores.server(workspace, name)
        return await (describe if what == "describe" else list_tools)(stores.registry.resolve, server)


@app.command("import")
def import_(
    file: File,
    workspace: Workspace,
    approve: Approve = False,
    secret: Secret = None,
    config: Config = None,
    data: Data = None,
) -> None:
    """Take over the servers of a client's file. Each is shown in full; commands are taken over only with --approve."""
    secrets = _pairs(secret, "=", "--secret NAME=value")
    if not anyio.run(_import, load(config, data), file, workspace, secrets, approve):
        raise typer.Exit(1)


async def _import(settings: Settings, file: Path, workspace: str, secrets: dict[str, str], approve: bool) -> bool:
    async with opened(settings) as stores:
        await stores.workspace(workspace)
        return await import_file(stores, file, workspace, secrets, approve=approve)
