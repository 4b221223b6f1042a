"""Reads the `mcpServers`/`servers` files of MCP clients and proposes servers. Nothing is executed and nothing stored.

Understood: Claude Desktop, Claude Code, Cursor, VS Code, Windsurf. What is not understood is said in a note.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from portkey_mcp.errors import Mistake
from portkey_mcp.model import McpServer, Transport
from portkey_mcp.registry import jsonc
from portkey_mcp.registry.checks import server_problems
from portkey_mcp.registry.literals import hide
from portkey_mcp.registry.variables import Variables, read_env_file
from portkey_mcp.wire import Json, MalformedJson

TRANSPORTS: Final[Mapping[str, Transport]] = {
    "stdio": "stdio",
    "http": "http",
    "streamable-http": "http",
    "streamableHttp": "http",
    "sse": "sse",
}
URLS: Final = ("url", "serverUrl", "httpUrl")
UNDERSTOOD: Final = frozenset(
    [*URLS, "type", "command", "args", "env", "envFile", "cwd", "headers", "disabled", "enabled"]
)


@dataclass(frozen=True)
class Proposal:
    """One server as it would be registered, with the `secrets` that were written out in the file.

    `needs` are secrets that the file asks a person for, by name, with what it says about them: they have to be given
    to `Registry.add_server` too. `notes` say what was changed and what was not taken over.
    """

    server: McpServer
    secrets: Mapping[str, str] = field(default_factory=dict, repr=False)
    needs: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Imported:
    """What a file holds: proposals, and notes about entries for which there is none."""

    proposals: tuple[Proposal, ...]
    notes: tuple[str, ...]


def read(path: Path, workspace: str) -> Imported:
    """Read a client's file. Blocks.

    Raises:
        Mistake: it cannot be read, is no JSON, or has no servers.
    """
    try:
        document = jsonc.parse(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise Mistake(f"cannot be read: {error.strerror}", file=str(path)) from None
    except (MalformedJson, UnicodeDecodeError) as error:
        raise Mistake(f"is no JSON: {error}", file=str(path)) from None
    entries = _entries(document)
    if entries is None:
        raise Mistake("has no `mcpServers` and no `servers`; expected a file of an MCP client", file=str(path))
    proposals: list[Proposal] = []
    notes = list(_notes(document))
    for original, entry in entries.items():
        name = _unused(normalised(original), {proposal.server.name for proposal in proposals})
        renamed = [] if name == original else [f"{original!r} is called {name!r} here"]
        try:
            proposals.append(_proposal(workspace, name, entry, Variables(path, name, _inputs(document)), renamed))
        except ValueError as error:
            notes.append(f"{original!r} is not taken over: {error}")
    return Imported(tuple(proposals), tuple(notes))


def normalised(name: str) -> str:
    """A name that a server may have, as near to the given one as can be."""
    plain = re.sub(r"[^a-z0-9_]+", "-", name.lower())
    plain = re.sub(r"__+", "_", plain).lstrip("-_")[:31].rstrip("-_")
    return {"": "server", "mcp": "mcp-server"}.get(plain, plain)


def _unused(name: str, taken: set[str]) -> str:
    number, wanted = 2, name
    while wanted in taken:
        wanted, number = f"{name[: 30 - len(str(number))]}-{number}", number + 1
    return wanted


def _entries(document: Any) -> Json | None:
    if not isinstance(document, dict):
        return None
    within = document.get("mcp")
    places = [
        document.get("mcpServers"),
        document.get("servers"),
        within.get("servers") if isinstance(within, dict) else None,
    ]
    return next((place for place in places if isinstance(place, dict)), None)


def _inputs(document: Json) -> Mapping[str, str]:
    inputs = document.get("inputs")
    listed = inputs if isinstance(inputs, list) else []
    known = [given for given in listed if isinstance(given, dict) and isinstance(given.get("id"), str)]
    return {given["id"]: str(given.get("description") or given["id"]) for given in known}


def _notes(document: Json) -> Iterator[str]:
    projects = document.get("projects")
    for folder, project in projects.items() if isinstance(projects, dict) else ():
        if isinstance(project, dict) and isinstance(project.get("mcpServers"), dict) and project["mcpServers"]:
            yield f"the servers of the project {folder} are not taken over: {', '.join(project['mcpServers'])}"


def _proposal(workspace: str, name: str, entry: Any, variables: Variables, notes: list[str]) -> Proposal:
    """The proposal of one entry.

    Raises:
        ValueError: it cannot be a server; says why.
    """
    if not isinstance(entry, dict):
        raise ValueError("it is no JSON object")
    url = next((entry[key] for key in URLS if entry.get(key)), "")
    transport = _transport(entry, url, notes)
    server = McpServer(
        workspace=workspace,
        name=name,
        transport=transport,
        url=variables.translate(_text(url, "url")),
        command=tuple(variables.translate(part) for part in _command(entry)) if transport == "stdio" else (),
        env=_env(entry, variables, notes) if transport == "stdio" else {},
        cwd=variables.translate(_text(entry.get("cwd") or "", "cwd")) if transport == "stdio" else "",
        headers={key: variables.translate(value) for key, value in _texts(entry, "headers")} if url else {},
        enabled=not entry.get("disabled") and entry.get("enabled") is not False,
    )
    if problems := [problem for _, problem in server_problems(server)]:
        raise ValueError("; ".join(problems))
    hidden = hide(server)
    ignored = [f"{key!r} is not taken over" for key in entry if key not in UNDERSTOOD]
    return Proposal(
        server=hidden.server,
        secrets=hidden.secrets,
        needs=variables.needs,
        notes=(*notes, *hidden.notes, *variables.notes, *ignored),
    )


def _transport(entry: Json, url: Any, notes: list[str]) -> Transport:
    kind = entry.get("type")
    if kind is not None and (not isinstance(kind, str) or kind not in TRANSPORTS):
        raise ValueError(f"the type {kind!r} is not supported; expected stdio, http or sse")
    if kind is not None:
        return TRANSPORTS[kind]
    if not url:
        return "stdio"
    if urlsplit(str(url)).path.rstrip("/").endswith("/sse"):
        notes.append("the url ends in /sse, so the transport is taken to be sse")
        return "sse"
    return "http"


def _command(entry: Json) -> list[str]:
    command, arguments = entry.get("command"), entry.get("args") or []
    if not isinstance(command, str) or not command:
        raise ValueError("it has neither url nor command")
    if not isinstance(arguments, list):
        raise ValueError("'args' is no list")
    return [command, *(_text(argument, "args") for argument in arguments)]


def _env(entry: Json, variables: Variables, notes: list[str]) -> dict[str, str]:
    env: dict[str, str] = {}
    if given := entry.get("envFile"):
        path = Path(variables.plain(_text(given, "envFile")))
        env = read_env_file(path)
        notes.append(f"taken from {path.name}: {', '.join(env) or 'nothing'}")
    return env | {key: variables.translate(value) for key, value in _texts(entry, "env")}


def _texts(entry: Json, key: str) -> Iterator[tuple[str, str]]:
    given = entry.get(key) or {}
    if not isinstance(given, dict):
        raise ValueError(f"{key!r} is no JSON object")
    return ((name, _text(value, key)) for name, value in given.items() if value is not None)


def _text(value: Any, what: str) -> str:
    """Numbers and truth values as they are written; clients pass them on so."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str | int | float):
        return str(value)
    raise ValueError(f"{what!r} holds something that is no text")
