"""Between rows and the values of `model.py`. Pure."""

from collections.abc import Iterable
from dataclasses import asdict
from typing import Annotated, Any, Final, Literal, cast

from pydantic import Discriminator, TypeAdapter

from portkey_mcp.model import Access, Bundle, Directory, McpServer, Transport, Workspace
from portkey_mcp.policy import document as policy
from portkey_mcp.proof import Auth
from portkey_mcp.registry.tables import BundleRow, HostRow, ServerRow, WorkspaceRow

Origin = Literal["file", "cli", "import", "dashboard"]
"""Who manages a row. What a file declares changes in that file only."""

_AUTH: Final[TypeAdapter[Auth]] = TypeAdapter(Annotated[Auth, Discriminator("type")])


def server_columns(server: McpServer) -> dict[str, Any]:
    """What of a server is stored, without its place and origin."""
    return {
        "transport": server.transport,
        "url": server.url,
        "command": list(server.command),
        "env": dict(server.env),
        "cwd": server.cwd,
        "headers": dict(server.headers),
        "protocol": server.protocol,
        "process": server.process,
        "title": server.title,
        "enabled": server.enabled,
        "access": access_column(server.access),
        "auth": None if server.auth is None else _AUTH.dump_python(server.auth, mode="json"),
        "forward": dict(server.forward),
    }


def access_column(access: Access | None) -> dict[str, list[str]] | None:
    """Who may use a server, as it is stored."""
    return None if access is None else {key: list(names) for key, names in asdict(access).items()}


def bundle_columns(bundle: Bundle) -> dict[str, Any]:
    """What of a bundle is stored, without its place and origin."""
    return {"title": bundle.title, "include": list(bundle.include)}


def server(row: ServerRow) -> McpServer:
    """The server of a row."""
    return McpServer(
        workspace=row.workspace,
        name=row.name,
        transport=cast(Transport, row.transport),
        url=row.url,
        command=tuple(row.command),
        env=row.env,
        cwd=row.cwd,
        headers=row.headers,
        protocol=row.protocol,
        process=cast(Literal["principal", "shared"], row.process),
        title=row.title,
        enabled=row.enabled,
        access=_access(row.access),
        auth=None if row.auth is None else _AUTH.validate_python(row.auth),
        forward=row.forward,
    )


def _access(said: dict[str, list[str]] | None) -> Access | None:
    return None if said is None else Access(tuple(said["people"]), tuple(said["groups"]))


def directory(
    workspaces: Iterable[WorkspaceRow],
    servers: Iterable[ServerRow],
    bundles: Iterable[BundleRow],
    hosts: Iterable[HostRow],
) -> Directory:
    """One snapshot of everything; rows come in the order in which they are to be shown."""
    servers_of: dict[str, dict[str, McpServer]] = {}
    for row in servers:
        servers_of.setdefault(row.workspace, {})[row.name] = server(row)
    bundles_of: dict[str, dict[str, Bundle]] = {}
    for chosen in bundles:
        bundle = Bundle(chosen.workspace, chosen.name, chosen.title, tuple(chosen.include))
        bundles_of.setdefault(chosen.workspace, {})[chosen.name] = bundle
    aliases = list(hosts)
    return Directory(
        workspaces={
            row.slug: Workspace(
                slug=row.slug,
                name=row.name,
                servers=servers_of.get(row.slug, {}),
                bundles=bundles_of.get(row.slug, {}),
                policy=policy.EMPTY if row.policy is None else policy.parse(row.policy),
            )
            for row in workspaces
        },
        hosts={row.host: row.path for row in aliases},
        key_hosts=frozenset(row.host for row in aliases if row.keys),
    )
