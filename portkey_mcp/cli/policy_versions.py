"""`policy show`, `history` and `diff`: what a workspace's policy says, and what it said before."""

import difflib
import os
from collections.abc import Sequence
from dataclasses import asdict
from typing import Annotated

import anyio
import typer

from portkey_mcp.cli import show
from portkey_mcp.cli.options import AsJson, Config, Data, Workspace, load
from portkey_mcp.cli.stores import opened
from portkey_mcp.registry.policies import PolicyVersion
from portkey_mcp.settings import Settings

Version = Annotated[int | None, typer.Option("--version", metavar="N", help="An earlier version; see `history`.")]
From = Annotated[int | None, typer.Argument(metavar="FROM", help="A version; the one before TO, if not given.")]
To = Annotated[int | None, typer.Argument(metavar="TO", help="A version; the newest, if not given.")]


def show_(
    workspace: Workspace, version: Version = None, config: Config = None, data: Data = None, as_json: AsJson = False
) -> None:
    """Print a workspace's policy as it was written."""
    found = anyio.run(_version, load(config, data), workspace, version)
    if found is None:
        typer.echo(f"Workspace {workspace!r} has no policy: everything is allowed to every member.", err=True)
    elif as_json:
        show.records([show.plain(asdict(found))], as_json=True)
    else:
        typer.echo(found.text, nl=not found.text.endswith("\n"))


async def _version(settings: Settings, workspace: str, number: int | None) -> PolicyVersion | None:
    async with opened(settings) as stores:
        if number is None:
            return await stores.policies.current(workspace)
        return await stores.policies.version(workspace, number)


def history(workspace: Workspace, config: Config = None, data: Data = None, as_json: AsJson = False) -> None:
    """List the versions of a policy, the newest first: who, when and why."""
    rows = [
        {"number": one.number, "at": one.at, "who": one.who, "origin": one.origin, "why": one.why}
        for one in anyio.run(_history, load(config, data), workspace)
    ]
    show.records([show.plain(row) for row in rows], as_json=as_json, empty="No policy yet; `portkey-mcp policy edit`.")


def diff(workspace: Workspace, old: From = None, new: To = None, config: Config = None, data: Data = None) -> None:
    """Show what changed from one version to another; without numbers, what the newest changed."""
    before, after = anyio.run(_two, load(config, data), workspace, old, new)
    print_diff(
        before.text if before else "",
        after.text if after else "",
        f"version {before.number}" if before else "no policy",
        f"version {after.number}" if after else "no policy",
    )


async def _history(settings: Settings, workspace: str) -> list[PolicyVersion]:
    async with opened(settings) as stores:
        return await stores.policies.history(workspace)


async def _two(
    settings: Settings, workspace: str, old: int | None, new: int | None
) -> tuple[PolicyVersion | None, PolicyVersion | None]:
    async with opened(settings) as stores:
        policies = stores.policies
        newest = next(iter(await policies.history(workspace)), None)
        after = newest if new is None else await policies.version(workspace, new)
        if old is None:
            old = after.number - 1 if after else 0
        # Before the first version there was no policy; 0 says so, too.
        return await policies.version(workspace, old) if old else None, after


def print_diff(before: str, after: str, old: str, new: str) -> None:
    """Print a unified diff, in colour on a terminal only; `NO_COLOR` turns it off there, too."""
    for line in diff_lines(before, after, old, new):
        typer.secho(line, fg=_colour(line), color=False if os.environ.get("NO_COLOR") else None)


def diff_lines(before: str, after: str, old: str, new: str) -> Sequence[str]:
    """A unified diff of two texts, one line each; `old` and `new` are their names."""
    return list(difflib.unified_diff(before.splitlines(), after.splitlines(), old, new, lineterm=""))


def _colour(line: str) -> str | None:
    if line.startswith(("+++", "---")):
        return None
    return {"+": "green", "-": "red", "@": "cyan"}.get(line[:1])
