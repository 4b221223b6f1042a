"""A vault as a gateway has it, where nothing is registered and nobody trusted but what a test says."""

from collections.abc import Callable
from typing import Any, NoReturn

from portkey_mcp.addresses import Addresses
from portkey_mcp.egress import Egress
from portkey_mcp.model import Directory, McpServer
from portkey_mcp.proof import Auth
from portkey_mcp.sealing import KeyRing
from portkey_mcp.storage.database import Database
from portkey_mcp.trust import Trust
from portkey_mcp.vault.vault import Around, Vault


def a_vault(
    database: Database, keyring: KeyRing, directory: Callable[[], Directory] = Directory, trust: Trust | None = None
) -> Vault:
    """One whose servers say what they have without references; no identity provider is ever asked."""

    async def resolved(server: McpServer) -> tuple[str, Auth | None]:
        return server.url, server.auth

    async def never(*_: Any) -> NoReturn:
        raise AssertionError("no identity provider is asked here")

    around = Around(directory, resolved, lambda: trust or Trust(), never, never)
    return Vault(database, keyring, Egress(), Addresses("https://gateway.example"), around)
