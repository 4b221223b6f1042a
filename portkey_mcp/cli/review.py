"""`review`: definitions of tools that wait for a person, because policy pins a server or reviews its new tools."""

import os
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict
from typing import Annotated, Any, NamedTuple

import anyio
import typer

from portkey_mcp.cli import show
from portkey_mcp.cli.options import AsJson, Config, Data, Workspace, load
from portkey_mcp.cli.stores import Stores, opened
from portkey_mcp.cli.who import who
from portkey_mcp.errors import Mistake
from portkey_mcp.policy import difference
from portkey_mcp.registry.definitions import Definitions, DefinitionVersion, Waiting
from portkey_mcp.registry.reviewing import baseline
from portkey_mcp.settings import Settings

app = typer.Typer(
    help="New and changed definitions of tools, which policy holds back until a person has seen them.",
    no_args_is_help=True,
)

ToolArgument = Annotated[str, typer.Argument(metavar="SERVER/TOOL", help="The tool.", show_default=False)]
ToolOrAll = Annotated[str, typer.Argument(metavar="[SERVER/TOOL]", help="The tool; or --all.", show_default=False)]
Server = Annotated[str | None, typer.Option("--server", metavar="NAME", help="Only tools of this server.")]
Digest = Annotated[
    str | None, typer.Option("--digest", metavar="HEX", help="Which version of it; at least eight characters.")
]
All = Annotated[bool, typer.Option("--all", help="Everything that waits.")]
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask.")]

SHOWN = 12
"""Characters of a digest that people are shown."""


class _Review(NamedTuple):
    """One version of a tool, what it is compared with, and how many wait beside it."""

    version: DefinitionVersion
    before: DefinitionVersion | None
    others: int


@app.command("list")
def list_(
    workspace: Workspace, server: Server = None, config: Config = None, data: Data = None, as_json: AsJson = False
) -> None:
    """List the definitions that wait."""
    found = anyio.run(_pending, load(config, data), workspace, server)
    _table(found, as_json=as_json)


def _table(found: Sequence[Waiting], *, as_json: bool = False) -> None:
    rows = [show.plain(asdict(one)) for one in found]
    if not as_json:
        rows = [{**row, "name": difference.visible(row["name"]), "digest": row["digest"][:SHOWN]} for row in rows]
    show.records(
        [{("tool" if key == "name" else key): value for key, value in row.items()} for row in rows],
        as_json=as_json,
        empty="Nothing waits for review.",
    )


async def _pending(settings: Settings, workspace: str, server: str | None) -> list[Waiting]:
    async with _opened(settings, workspace) as (stores, definitions):
        if server is not None:
            await stores.server(workspace, server)
        return await definitions.pending(workspace, server)


@app.command("show")
def show_(
    tool: ToolArgument,
    workspace: Workspace,
    digest: Digest = None,
    config: Config = None,
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """Show what a definition changes, word by word; all of it where nothing was let through before."""
    found = anyio.run(_review, load(config, data), workspace, tool, digest)
    changes = difference.words(found.before.definition if found.before else {}, found.version.definition)
    if as_json:
        told = [{"path": change.path, "runs": [run._asdict() for run in change.runs]} for change in changes]
        before = found.before.digest if found.before else None
        show.records([{**_record(found.version), "compared_with": before, "changes": told}], as_json=True)
        return
    _head(found)
    colour = sys.stdout.isatty() and "NO_COLOR" not in os.environ
    typer.echo(difference.text(changes, colour))


def _head(found: _Review) -> None:
    one, before, since = found.version, found.before, _record(found.version)["first_seen"]
    typer.echo(f"{one.server}/{difference.visible(one.name)} {one.digest[:SHOWN]}: {one.state}, first seen {since}")
    if before is None:
        typer.echo("No other definition of it was let through; this is the whole of it.")
    else:
        typer.echo(f"Compared with {before.digest[:SHOWN]}, which was let through ([-taken away-], {{+put in+}}).")
    if found.others:
        typer.echo(f"{found.others} more of its definitions wait; `portkey-mcp review versions` lists them.")
    typer.echo()


async def _review(settings: Settings, workspace: str, tool: str, digest: str | None) -> _Review:
    async with _opened(settings, workspace) as (_, definitions):
        server, name = await _named(definitions, workspace, tool)
        versions = await definitions.versions(workspace, server, name)
    waiting = [one for one in versions if one.state == "pending"]
    found = waiting if digest is None else [one for one in versions if one.digest.startswith(digest.lower())]
    if not found:
        which = "waits for review" if digest is None else f"has a digest that begins with {digest!r}"
        raise Mistake(f"no definition of {tool!r} {which}; `portkey-mcp review versions` lists those there are")
    return _Review(found[0], baseline(versions, found[0]), len([one for one in waiting if one != found[0]]))


@app.command()
def versions(
    tool: ToolArgument, workspace: Workspace, config: Config = None, data: Data = None, as_json: AsJson = False
) -> None:
    """List every definition of a tool that was ever seen, the newest first, and who decided about it."""
    found = anyio.run(_versions, load(config, data), workspace, tool)
    rows = [_record(one) for one in found]
    if not as_json:
        columns = ("digest", "state", "first_seen", "decided_by", "decided_at")
        rows = [{**{name: row[name] for name in columns}, "digest": row["digest"][:SHOWN]} for row in rows]
    show.records(rows, as_json=as_json, empty="Its server was never seen to offer such a tool.")


async def _versions(settings: Settings, workspace: str, tool: str) -> list[DefinitionVersion]:
    async with _opened(settings, workspace) as (_, definitions):
        return await definitions.versions(workspace, *await _named(definitions, workspace, tool))


@app.command()
def approve(
    workspace: Workspace,
    tool: ToolOrAll = "",
    digest: Digest = None,
    all_: All = False,
    server: Server = None,
    yes: Yes = False,
    config: Config = None,
    data: Data = None,
) -> None:
    """Let a definition through: the one that waits, a version by its --digest, or with --all everything that waits."""
    settings = load(config, data)
    if bool(tool) == all_ or (all_ and digest is not None) or (server is not None and not all_):
        raise Mistake("give SERVER/TOOL, perhaps with --digest, or --all, perhaps with --server")
    if not all_:
        _say(anyio.run(_decide, settings, workspace, tool, digest, True), "approved: callers see it from now on")
        return
    waiting = anyio.run(_pending, settings, workspace, server)
    _table(waiting)
    if not waiting:
        return
    if not yes:
        if not sys.stdin.isatty():
            raise Mistake("nobody can be asked here; --yes approves all of these")
        typer.confirm(f"Approve all {len(waiting)}?", abort=True)
    # Exactly what was listed: what came meanwhile was not seen by anybody.
    decided = anyio.run(_approve_all, settings, workspace, waiting)
    typer.echo(f"{len(decided)} approved.")


@app.command()
def refuse(
    tool: ToolArgument, workspace: Workspace, digest: Digest = None, config: Config = None, data: Data = None
) -> None:
    """Keep a definition out, whatever the policy says: all of a tool that wait, or a version by its --digest."""
    _say(anyio.run(_decide, load(config, data), workspace, tool, digest, False), "refused: nobody sees it any more")


def _say(decided: Sequence[DefinitionVersion], what: str) -> None:
    for one in decided:
        typer.echo(f"{one.server}/{difference.visible(one.name)} {one.digest[:SHOWN]} is {what}.")


async def _decide(
    settings: Settings, workspace: str, tool: str, digest: str | None, approve: bool
) -> list[DefinitionVersion]:
    async with _opened(settings, workspace) as (_, definitions):
        server, name = await _named(definitions, workspace, tool)
        return await definitions.decide(workspace, server, name, digest, approve, who())


async def _approve_all(settings: Settings, workspace: str, waiting: Sequence[Waiting]) -> list[Waiting]:
    async with _opened(settings, workspace) as (_, definitions):
        return await definitions.decide_all(workspace, waiting, True, who())


@asynccontextmanager
async def _opened(settings: Settings, workspace: str) -> AsyncIterator[tuple[Stores, Definitions]]:
    async with opened(settings) as stores:
        await stores.workspace(workspace)
        yield stores, Definitions(stores.database)


async def _named(definitions: Definitions, workspace: str, tool: str) -> tuple[str, str]:
    """Server and tool of `server/tool`; a name with hidden characters may be given as it is shown."""
    server, slash, name = tool.partition("/")
    if not slash or not server or not name:
        raise Mistake(f"{tool!r} is not understood; expected server/tool")
    known = {thing.name for thing in await definitions.things(workspace) if thing.server == server}
    alike = [other for other in known if difference.visible(other) == name]
    return server, name if name in known or len(alike) != 1 else alike[0]


def _record(one: DefinitionVersion) -> dict[str, Any]:
    """What is said of a version, without the definition."""
    return show.plain(
        {
            "server": one.server,
            "tool": one.name,
            "digest": one.digest,
            "state": one.state,
            "first_seen": one.first_seen,
            "decided_by": one.decided_by,
            "decided_at": one.decided_at,
        }
    )
