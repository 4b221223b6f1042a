"""Takes over the servers of an MCP client's file, and says of each what it is and what became of it."""

import shlex
from collections.abc import Iterator, Mapping
from pathlib import Path

import anyio.to_thread
import typer

from portkey_mcp.cli.stores import Stores
from portkey_mcp.errors import Mistake
from portkey_mcp.registry.importing import Proposal, read


async def import_file(stores: Stores, file: Path, workspace: str, secrets: Mapping[str, str], *, approve: bool) -> bool:
    """Register what a file proposes; a command only with `approve`, since the gateway would run it.

    `secrets` are those that the file asks a person for. Returns whether everything was taken over.

    Raises:
        Mistake: the file cannot be read.
    """
    imported = await anyio.to_thread.run_sync(read, file, workspace)
    everything = not imported.notes
    for proposal in imported.proposals:
        for line in _description(proposal):
            typer.echo(_legible(line))
        refused = _refusal(proposal, secrets, approve=approve) or await _take(stores, proposal, secrets)
        typer.echo(f"  {f'not taken over: {refused}' if refused else 'taken over'}")
        everything = everything and not refused
    for note in imported.notes:
        typer.echo(f"note: {note}")
    return everything


def _legible(line: str) -> str:
    """A line in which every character is seen: no file may hide a part of a command from whoever is to approve it."""
    return "".join(one if one.isprintable() else one.encode("unicode_escape").decode() for one in line)


def _description(proposal: Proposal) -> Iterator[str]:
    """The whole of a proposal; literal secrets stand in it as references to the sealed store."""
    server = proposal.server
    yield f"{server.name} ({server.transport})"
    if server.command:
        yield f"  command: {shlex.join(server.command)}"
    if server.cwd:
        yield f"  in: {server.cwd}"
    if server.url:
        yield f"  url: {server.url}"
    yield from (f"  env: {name}={value}" for name, value in server.env.items())
    yield from (f"  header: {name}: {value}" for name, value in server.headers.items())
    yield from (f"  note: {note}" for note in proposal.notes)


def _refusal(proposal: Proposal, secrets: Mapping[str, str], *, approve: bool) -> str:
    """Why a proposal is not even tried; empty when it is."""
    if proposal.server.command and not approve:
        return "the gateway would run this command; say --approve if it should"
    missing = [f"--secret {name}=VALUE ({what})" for name, what in proposal.needs.items() if name not in secrets]
    return f"it needs {', '.join(missing)}" if missing else ""


async def _take(stores: Stores, proposal: Proposal, secrets: Mapping[str, str]) -> str:
    given = {name: secrets[name] for name in proposal.needs}
    try:
        await stores.registry.add_server(
            proposal.server, secrets={**proposal.secrets, **given}, origin="import", approved=True
        )
    except Mistake as mistake:
        return str(mistake)
    return ""
