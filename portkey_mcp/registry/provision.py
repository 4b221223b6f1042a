"""How a declaration becomes rows: the steps of one transaction, which `registry.Registry.provision` drives."""

from collections.abc import Collection
from typing import Any

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from portkey_mcp.errors import Mistake
from portkey_mcp.registry import policies
from portkey_mcp.registry.declared import Declared
from portkey_mcp.registry.rows import bundle_columns, server_columns
from portkey_mcp.registry.tables import BundleRow, HostRow, Managed, Member, ServerRow, WorkspaceRow

Columns = dict[str, Any]
Place = tuple[str, str]


async def take_over(session: AsyncSession, declared: Declared) -> None:
    """Remove what left the file, then write what is declared; workspaces that left are not removed yet.

    Raises:
        Mistake: a declared name was given away by hand.
    """
    servers = {
        (s.workspace, s.name): server_columns(s) for w in declared.workspaces.values() for s in w.servers.values()
    }
    bundles = {
        (b.workspace, b.name): bundle_columns(b) for w in declared.workspaces.values() for b in w.bundles.values()
    }
    await _remove_left(session, ServerRow, servers)
    await _remove_left(session, BundleRow, bundles)
    for alias in await session.scalars(select(HostRow).filter_by(origin="file")):
        if alias.host not in {*declared.hosts, *declared.key_hosts}:
            await session.delete(alias)
    await session.flush()
    for slug, workspace in declared.workspaces.items():
        row = await session.get(WorkspaceRow, slug)
        if row is None:
            row = WorkspaceRow(slug=slug, origin="file")
            session.add(row)
        row.name = workspace.name
        await session.flush()
        await policies.declare(session, row, declared.policies.get(slug))
    await session.flush()
    await _refuse_crossed(session, ServerRow, bundles, "server")
    await _refuse_crossed(session, BundleRow, servers, "bundle")
    members: tuple[tuple[type[Member], str, dict[Place, Columns]], ...] = (
        (ServerRow, "server", servers),
        (BundleRow, "bundle", bundles),
    )
    for table, kind, wanted in members:
        for (slug, name), columns in wanted.items():
            await _write(session, table, {"workspace": slug, "name": name}, columns, f"{kind} {slug}/{name}")
    for hosts, keys in ((declared.hosts, False), (declared.key_hosts, True)):
        for host, path in hosts.items():
            await _write(session, HostRow, {"host": host}, {"path": path, "keys": keys}, f"host {host}")
    await session.flush()


async def leave(session: AsyncSession, declared: Declared, occupied: Collection[str]) -> None:
    """Remove the workspaces that left the file, unless something in them was made by hand or they are `occupied`.

    One that stays belongs to no file from then on, and keeps no policy that was the file's.
    """
    kept = set(occupied) | await policies.made_by_hand(session)
    tables: tuple[type[Member], ...] = (ServerRow, BundleRow)
    for table in tables:
        kept |= set(await session.scalars(select(table.workspace).where(table.origin != "file")))
    for row in await session.scalars(select(WorkspaceRow).filter_by(origin="file")):
        if row.slug in declared.workspaces:
            continue
        if row.slug in kept:
            row.origin = "cli"
            await policies.declare(session, row, None)
        else:
            await session.delete(row)


async def _remove_left(session: AsyncSession, table: type[Member], wanted: Collection[Place]) -> None:
    for row in await session.scalars(select(table).filter_by(origin="file")):
        if (row.workspace, row.name) not in wanted:
            await session.delete(row)


async def _refuse_crossed(session: AsyncSession, table: type[Member], wanted: Collection[Place], kind: str) -> None:
    """A server and a bundle share one namespace, so a bundle may not get the name of a server made by hand."""
    for row in await session.scalars(select(table).where(table.origin != "file")):
        if (row.workspace, row.name) in wanted:
            raise _taken(f"{row.workspace}/{row.name}", f"a {kind}")


async def _write(session: AsyncSession, table: type[Managed], key: Columns, columns: Columns, what: str) -> None:
    row = await session.get(table, key)
    if row is None:
        session.add(table(**key, **columns, origin="file"))
        return
    if row.origin != "file":
        raise _taken(what, "one")
    for name, value in columns.items():
        setattr(row, name, value)


def _taken(what: str, kind: str) -> Mistake:
    return Mistake(f"{what}: {kind} of that name was made by hand; remove it, or choose another name in the file")
