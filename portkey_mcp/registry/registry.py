"""The registry: workspaces, servers, bundles, host aliases and sealed secrets, in the database.

Every change is one transaction that checks all rules first. What it holds reaches the corridor as a `Directory`, one
immutable snapshot; a reference in a server's settings is replaced only when a link is opened.
"""

import difflib
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterable, Mapping
from dataclasses import replace
from typing import Final, cast

from sqlalchemy import delete, select
from sqlalchemy.ext.asyncio import AsyncSession

from portkey_mcp.errors import Conflict, Mistake, Mistakes
from portkey_mcp.model import Access, DeclaredKey, Directory, McpServer
from portkey_mcp.policy.access import access_problem
from portkey_mcp.proof import Auth
from portkey_mcp.registry import provision, references, rows
from portkey_mcp.registry.checks import server_problems, texts
from portkey_mcp.registry.declared import Declared
from portkey_mcp.registry.names import SECRET_NAME, slug_problem
from portkey_mcp.registry.proving import auth_texts, with_texts
from portkey_mcp.registry.rows import Origin
from portkey_mcp.registry.tables import BundleRow, HostRow, Member, SecretRow, ServerRow, WorkspaceRow
from portkey_mcp.sealing import KeyRing, Unsealable
from portkey_mcp.storage.database import Database
from portkey_mcp.storage.resealing import Sealed
from portkey_mcp.trust import Trust

ProvisionKeys = Callable[[AsyncSession, Iterable[DeclaredKey]], Awaitable[Collection[str]]]
"""Takes over declared API keys in the given transaction; returns the workspaces that hold keys made by hand."""


class Registry:
    """Reads and changes what is registered. `environ` is where `${env:NAME}` looks."""

    def __init__(self, database: Database, keyring: KeyRing, environ: Mapping[str, str] = os.environ) -> None:
        self._database = database
        self._keyring = keyring
        self._environ = environ
        self._current: tuple[int, Directory] = (-1, Directory())

    async def revision(self) -> int:
        """How often anything was written; equal numbers mean an equal directory."""
        return await self._database.revision()

    def revisions(self, every: float = 1.0) -> AsyncIterator[int]:
        """The revision now and each time it changes, whoever wrote; see `Database.revisions`."""
        return self._database.revisions(every)

    async def directory(self) -> Directory:
        """Everything registered, as it is now; the same object as long as nothing changes."""
        revision = await self._database.revision()  # before the rows: at worst they are newer and are read once more
        if revision == self._current[0]:
            return self._current[1]
        async with self._database.read() as session:
            found = rows.directory(
                (await session.scalars(select(WorkspaceRow).order_by(WorkspaceRow.slug))).all(),
                (await session.scalars(select(ServerRow).order_by(ServerRow.name))).all(),
                (await session.scalars(select(BundleRow).order_by(BundleRow.name))).all(),
                (await session.scalars(select(HostRow).order_by(HostRow.host))).all(),
            )
        self._current = (revision, found)
        return found

    async def origins(self) -> Mapping[str, Origin]:
        """Who manages each server, by `workspace/name`."""
        async with self._database.read() as session:
            found = await session.execute(select(ServerRow.workspace, ServerRow.name, ServerRow.origin))
            return {f"{workspace}/{name}": cast(Origin, origin) for workspace, name, origin in found}

    async def add_workspace(self, slug: str, name: str = "", *, origin: Origin = "cli") -> None:
        """Make a workspace.

        Raises:
            Mistake: the slug is taken or none.
        """
        if problem := slug_problem(slug):
            raise Mistake(problem)
        async with self._database.write() as session:
            if await session.get(WorkspaceRow, slug):
                raise Mistake(f"there is a workspace {slug!r} already")
            session.add(WorkspaceRow(slug=slug, name=name or slug, origin=origin))

    async def add_server(
        self,
        server: McpServer,
        *,
        secrets: Mapping[str, str] | None = None,
        origin: Origin = "cli",
        approved: bool = True,
    ) -> None:
        """Register a server, together with the secrets that its settings refer to by `${secret:name}`.

        `approved` says that a person has seen the command and wants it run; without, a command is not stored.

        Raises:
            Mistake: the name is taken, there is no such workspace, or something about the server is wrong.
        """
        secrets = secrets or {}
        _check(server, secrets, origin, approved)
        async with self._database.write() as session:
            await _refuse_unknown_workspace(session, server.workspace)
            place = (server.workspace, server.name)
            tables: tuple[tuple[type[Member], str], ...] = ((ServerRow, "server"), (BundleRow, "bundle"))
            for table, kind in tables:
                if taken := await session.get(table, place):
                    managed = ", managed by the configuration file" if taken.origin == "file" else ""
                    raise Mistake(f"workspace {server.workspace!r} has a {kind} {server.name!r} already{managed}")
            for name, value in secrets.items():
                if await session.get(SecretRow, (server.workspace, name)):
                    raise Mistake(f"workspace {server.workspace!r} has a secret {name!r} already")
                session.add(self._sealed(server.workspace, name, value, server.name))
            known = set(secrets) | set(
                await session.scalars(select(SecretRow.name).filter_by(workspace=server.workspace))
            )
            for name in _secret_names(server):
                if name not in known:
                    raise Mistake(f"server {server.key!r} refers to the secret {name!r}, which is not stored")
            session.add(ServerRow(workspace=place[0], name=place[1], origin=origin, **rows.server_columns(server)))

    async def set_access(self, workspace: str, name: str, access: Access | None) -> None:
        """Say who of the workspace may use a server; None: everybody.

        Raises:
            Mistake: there is no such server, somebody cannot be called so, or a file manages it (`Conflict`).
        """
        if problem := access_problem(access):
            raise Mistake(problem)
        async with self._database.write() as session:
            row = await _own_server(session, workspace, name, "change")
            row.access = rows.access_column(access)

    async def remove_server(self, workspace: str, name: str) -> None:
        """Remove a server and the secrets that came with it.

        Raises:
            Mistake: there is no such server, or a file manages it (`Conflict`).
        """
        async with self._database.write() as session:
            await session.delete(await _own_server(session, workspace, name, "remove"))
            await session.execute(delete(SecretRow).filter_by(workspace=workspace, server=name))

    async def provision(self, declared: Declared, provision_keys: ProvisionKeys | None = None) -> None:
        """Make what files manage equal to this declaration, in one transaction; what left the file leaves the database.

        What was made by hand stays, and a workspace stays as long as it holds such a thing.

        Raises:
            Mistake: a declared name was given away by hand, a key's reference leads nowhere, or a key is refused.
        """
        keys = [await self._resolved_key(key) for key in declared.api_keys]
        async with self._database.write() as session:
            await provision.take_over(session, declared)
            occupied = await provision_keys(session, keys) if provision_keys else ()
            await provision.leave(session, declared, occupied)

    async def secret(self, workspace: str, name: str) -> str:
        """A stored secret.

        Raises:
            Mistake: it is not stored, or was sealed with a key that is no longer on the ring.
        """
        async with self._database.read() as session:
            row = await session.get(SecretRow, (workspace, name))
        if row is None:
            raise Mistake(f"workspace {workspace!r} has no secret {name!r}")
        try:
            return self._keyring.open(row.sealed, _bind(row)).decode()
        except Unsealable as error:
            raise Mistake(f"workspace {workspace!r}: the secret {name!r} cannot be opened: {error}") from None

    async def resolve(self, server: McpServer) -> McpServer:
        """The server with every reference replaced; for whoever opens a link, and never stored or shown.

        Raises:
            Mistake: naming server, field and reference of one that leads nowhere.
        """
        found = {field: await self._resolved(server, field, text) for field, text in texts(server)}
        return replace(
            server,
            url=found[("url",)],
            command=tuple(found[("command", index)] for index in range(len(server.command))),
            env={name: found[("env", name)] for name in server.env},
            cwd=found[("cwd",)],
            headers={name: found[("headers", name)] for name in server.headers},
        )

    async def resolved_auth(self, server: McpServer) -> Auth | None:
        """How the gateway proves itself to a server, every reference replaced; never stored or shown.

        Raises:
            Mistake: naming server, field and reference of one that leads nowhere.
        """
        if server.auth is None:
            return None
        found = {field: await self._resolved(server, field, text) for field, text in auth_texts(server.auth)}
        return with_texts(server.auth, found)

    async def resolved_trust(self, trust: Trust) -> Trust:
        """The same with every reference in a secret replaced; never stored or shown.

        Raises:
            Mistake: naming whose secret it is, and the reference that leads nowhere.
        """
        providers = [
            replace(one, client_secret=await self._resolved_secret(one.client_secret, f"provider {one.id!r}"))
            for one in trust.providers
        ]
        issuers = [
            replace(one, client_secret=await self._resolved_secret(one.client_secret, f"issuer {one.issuer}"))
            for one in trust.issuers
        ]
        clients = [
            replace(one, secret=await self._resolved_secret(one.secret, f"client {one.id!r}")) for one in trust.clients
        ]
        return replace(trust, providers=tuple(providers), issuers=tuple(issuers), clients=tuple(clients))

    async def _resolved_secret(self, text: str, where: str) -> str:
        return await references.resolve(text, where, self._environ, _no_secret)

    async def _resolved(self, server: McpServer, field: tuple[str | int, ...], text: str) -> str:
        where = f"server {server.key!r}, {'.'.join(map(str, field))}"
        return await references.resolve(text, where, self._environ, lambda name: self._stored(server.workspace, name))

    async def _resolved_key(self, key: DeclaredKey) -> DeclaredKey:
        where = f"workspace {key.workspace!r}, API key {key.name!r}"
        text = await references.resolve(key.key, where, self._environ, lambda name: self._stored(key.workspace, name))
        return replace(key, key=text)

    async def _stored(self, workspace: str, name: str) -> str:
        async with self._database.read() as session:
            known = await session.get(SecretRow, (workspace, name)) is not None
        if not known:
            raise KeyError(name)
        return await self.secret(workspace, name)

    def _sealed(self, workspace: str, name: str, value: str, server: str) -> SecretRow:
        row = SecretRow(workspace=workspace, name=name, server=server)
        row.sealed = self._keyring.seal(value.encode(), _bind(row))
        return row


async def _no_secret(name: str) -> str:
    """Stored secrets belong to workspaces; what holds for the gateway as a whole has none."""
    raise KeyError(name)


def _bind(row: SecretRow) -> str:
    """What a sealed secret is bound to: copied to another row, it does not open."""
    return f"secrets|{row.workspace}|{row.server}|{row.name}"


SEALED: Final = (Sealed(SecretRow, _bind),)
"""What this room keeps sealed."""


def _secret_names(server: McpServer) -> Iterable[str]:
    for _, text in (*texts(server), *auth_texts(server.auth)):
        for found in references.find(text):
            if found.startswith("${secret:"):
                yield found.removeprefix("${secret:").removesuffix("}")


def _check(server: McpServer, secrets: Mapping[str, str], origin: Origin, approved: bool) -> None:
    what = f"server {server.key!r}"
    wrong = [
        Mistake(": ".join([what, *([".".join(map(str, field))] if field else []), problem]))
        for field, problem in server_problems(server)
    ]
    wrong += [Mistake(f"{what}: {name!r} cannot name a secret") for name in secrets if not SECRET_NAME.fullmatch(name)]
    if wrong:
        raise Mistakes(wrong)
    if server.transport == "stdio" and not approved:
        raise Mistake(f"{what} runs a command on this machine: {' '.join(server.command)}; it needs approval")
    if origin == "dashboard" and any(
        not found.startswith(("${secret:", "${person:"))
        for _, t in (*texts(server), *auth_texts(server.auth))
        for found in references.find(t)
    ):
        raise Mistake(f"{what}: only the configuration file and the command line may refer to variables and files")


async def _own_server(session: AsyncSession, workspace: str, name: str, to: str) -> ServerRow:
    """A server that no file manages; `to` is what is to be done with it."""
    row = await session.get(ServerRow, (workspace, name))
    if row is None:
        known = list(await session.scalars(select(ServerRow.name).filter_by(workspace=workspace)))
        near = difflib.get_close_matches(name, known, 1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise Mistake(f"workspace {workspace!r} has no server {name!r}{hint}")
    if row.origin == "file":
        raise Conflict(f"server {row.workspace}/{row.name} is managed by the configuration file; {to} it there")
    return row


async def _refuse_unknown_workspace(session: AsyncSession, slug: str) -> None:
    if await session.get(WorkspaceRow, slug):
        return
    near = difflib.get_close_matches(slug, list(await session.scalars(select(WorkspaceRow.slug))), 1)
    raise Mistake(f"there is no workspace {slug!r}" + (f"; did you mean {near[0]!r}?" if near else ""))
