"""People, servers that take accounts, and a real authorization server: what tests of connecting begin with."""

import base64
import hashlib
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from fastapi.responses import JSONResponse

from portkey_mcp.addresses import Addresses
from portkey_mcp.model import Access, Directory, McpServer, Principal, Role
from portkey_mcp.proof import AccountAuth, Auth, OwnHeadersAuth
from portkey_mcp.registry.registry import Registry
from portkey_mcp.sealing import KeyRing
from portkey_mcp.storage.database import Database
from portkey_mcp.vault.clients import Clients
from portkey_mcp.vault.connecting import Connecting, Finished
from portkey_mcp.vault.connection import Client, Connection, Credential, Endpoint, Place, Tokens
from portkey_mcp.vault.connections import Connections
from portkey_mcp.vault.discovery import Discovery
from portkey_mcp.vault.flows import Flows
from portkey_mcp.vault.token_requests import TokenRequests
from tests.vault.outside_server import Heard, OutsideServer, outside_server, reaching

BASE = "http://gateway.example"
SECRETS = ("a-code-4711", "an-access-token-0815", "a-refresh-token-0815")
CODE, ACCESS, REFRESH = SECRETS


def person(name: str, role: Role = "member", kind: Any = "person") -> Principal:
    """Somebody in `demo`."""
    return Principal(f"person:{name}", name.title(), kind, {"demo": role}, email=f"{name}@example.com")


ADA, BOB, EVE = person("ada", "admin"), person("bob"), Principal("person:eve", "Eve", "person", {"other": "owner"})
ROBOT = replace(person("robot", "admin", "service"), id="key:1")


@dataclass
class House:
    """Servers `linear` (an account each), `wiki` (one for all), `keys` (headers), `open` (none), `few` (for few)."""

    database: Database
    keyring: KeyRing
    outside: OutsideServer
    auths: dict[str, Auth | None] = field(default_factory=dict)
    directory: Directory = field(default_factory=Directory)
    said: dict[str, Any] = field(default_factory=dict)
    """What the token endpoint answers beside what it always does; `error` makes it refuse."""

    async def declare(self) -> None:
        """Register the servers as `auths` says now."""
        registry = Registry(self.database, self.keyring)
        for name, auth in self.auths.items():
            access = Access(people=("somebody@example.com",)) if name == "few" else None
            server = McpServer("demo", name, "http", self.outside.url, auth=auth, access=access, title=name.title())
            await registry.add_server(server)
        self.directory = await registry.directory()

    def server(self, name: str = "linear") -> McpServer:
        return self.directory.workspaces["demo"].servers[name]

    def change(self, name: str, **changed: Any) -> None:
        """Another definition of a server, as if the file had changed."""
        workspace = self.directory.workspaces["demo"]
        servers = {**workspace.servers, name: replace(workspace.servers[name], **changed)}
        self.directory = Directory({**self.directory.workspaces, "demo": replace(workspace, servers=servers)})

    def connecting(self, late: Any = None) -> Connecting:
        """That of one process: any number of them work on the same database. `late` moves the clock of its flows."""
        clients = Clients(self.database, self.keyring, reaching(), Addresses(BASE), lambda: "")

        async def resolve(server: McpServer) -> tuple[str, Auth | None]:
            return server.url, server.auth

        made = Connecting(
            lambda: self.directory,
            resolve,
            Connections(self.database, self.keyring),
            Flows(self.database, self.keyring),
            Discovery(reaching()),
            clients,
            TokenRequests(reaching()),
        )
        if late is not None:
            made.flows = Flows(self.database, self.keyring, late)
        return made

    async def begun(self, who: Principal = ADA, name: str = "linear", onto: str = "") -> dict[str, str]:
        """Begin; what the authorization request says."""
        connecting = self.connecting()
        url = await connecting.begin(await connecting.look(self.server(name), who), who, onto)
        return dict(parse_qsl(urlsplit(url).query))

    async def finished(self, who: Principal | None, asked: Mapping[str, str], **params: str | None) -> Finished:
        """Finish at another process, with what the authorization server answers; None leaves a parameter out."""
        answer = {"code": CODE, "state": asked["state"], **params}
        return await self.connecting().finish(who, {name: value for name, value in answer.items() if value is not None})

    async def connected(self, who: Principal = ADA, name: str = "linear") -> Connection:
        return (await self.finished(who, await self.begun(who, name))).connection

    async def keep(self, name: str, subject: str, **more: Any) -> Connection:
        """Put an account there, as if it had been connected."""
        endpoint = Endpoint(self.outside.origin, f"{self.outside.origin}/token", f"{self.outside.origin}/revoke")
        credential = Credential(self.outside.url, Tokens(ACCESS, refresh=REFRESH), endpoint, Client("client"), **more)
        return await self.connecting().connections.keep(Place("demo", name, subject), credential, subject or ADA.id)

    def asked_token(self) -> list[Heard]:
        """What the token endpoint was asked."""
        return [one for one in self.outside.heard if one.path == "/token"]

    def serve(self, **metadata: Any) -> None:
        """Let the authorization server work; `metadata` are further members."""
        self.outside.serve(
            self.outside.resource(scopes_supported=["read", "write"]),
            self.outside.metadata(**{"revocation_endpoint": f"{self.outside.origin}/revoke", **metadata}),
        )

        def register(heard: Heard) -> JSONResponse:
            number = sum(one.path == "/register" for one in self.outside.heard)
            return JSONResponse({**heard.body, "client_id": f"client-{number}", "client_secret": "hush"}, 201)

        def token(heard: Heard) -> JSONResponse:
            if "error" in self.said:
                return JSONResponse(self.said, 400)
            tokens = {"access_token": ACCESS, "refresh_token": REFRESH, "token_type": "Bearer", "expires_in": 3600}
            return JSONResponse({**tokens, **self.said})

        self.outside.answers |= {"/register": register, "/token": token, "/revoke": {}}


def challenge_of(verifier: str) -> str:
    """The public half of PKCE, as RFC 7636 has it."""
    return base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()


@asynccontextmanager
async def house_at(data: Path) -> AsyncIterator[House]:
    """A gateway's database with a few servers in workspace `demo`, and their authorization server."""
    database, keyring = await Database.open(data), KeyRing.generate()
    for slug in ("demo", "other"):
        await Registry(database, keyring).add_workspace(slug)
    async with outside_server() as outside:
        made = House(database, keyring, outside)
        made.serve()
        headers = OwnHeadersAuth({"X-Api-Key": "${person:KEY}", "X-Org": "org ${person:ORG}"}, {"KEY": "Your API key"})
        made.auths = {
            "linear": AccountAuth(),
            "wiki": AccountAuth(sharing="workspace"),
            "keys": headers,
            "open": None,
            "few": AccountAuth(),
        }
        await made.declare()
        yield made
    await database.close()
