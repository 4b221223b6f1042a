"""Lets Ada have signed in by the suite's identity provider, and prints a key of hers: `python -m … DATA`.

That provider has no page where anybody could, and no keys that an ID token could be checked with: the suite hands the
token over instead, in what stdin holds (its `MCP_CONFORMANCE_CONTEXT`). Nothing may run on the data directory yet.
"""

import json
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import anyio

from portkey_mcp.identity.authenticate import Identity
from portkey_mcp.registry.registry import Registry
from portkey_mcp.sealing import KeyRing
from portkey_mcp.storage.database import Database
from portkey_mcp.trust import Provider, ProviderTokens, Trust
from portkey_mcp.vault.sign_in_tokens import SignInTokens
from tests.conformance.auth_gateway import PROVIDER

WORKSPACE = "conformance"


async def plant(data: Path, context: dict[str, Any]) -> str:
    """Keep the ID token as a sign-in would; gives her key."""
    provider = Provider(PROVIDER, context["idp_issuer"], context["idp_client_id"])
    tokens = ProviderTokens("demo-user", datetime.now(UTC) + timedelta(hours=1), context["idp_id_token"])

    async def never(_provider: Provider, _tokens: ProviderTokens) -> ProviderTokens:
        raise AssertionError("it is good for an hour")

    database = await Database.open(data)
    try:
        trust, keyring = Trust(providers=(provider,)), KeyRing.of(data)
        await Registry(database, keyring).add_workspace(WORKSPACE)
        identity = Identity(database)
        ada = await identity.people.add("ada@example.com", "Ada", workspace=WORKSPACE)
        await SignInTokens(database, keyring, lambda: trust, lambda _: True, never).keep(ada, provider, tokens)
        return await identity.create_key(WORKSPACE, "driver", person="ada@example.com")
    finally:
        await database.close()


if __name__ == "__main__":
    print(anyio.run(plant, Path(sys.argv[1]), json.load(sys.stdin)))
