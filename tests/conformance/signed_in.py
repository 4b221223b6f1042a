"""Lets a person have signed in by the suite's identity provider: `python -m tests.conformance.signed_in DATA`.

That provider has no page where anybody could, and no keys that an ID token could be checked with: the suite hands the
token over instead, in what stdin holds (its `MCP_CONFORMANCE_CONTEXT`). Nothing may run on the data directory yet. What
it prints is the person's API key.
"""

import json
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import anyio

from portkey_mcp.identity.authenticate import Identity
from portkey_mcp.identity.keys import ApiKeys
from portkey_mcp.registry.registry import Registry
from portkey_mcp.sealing import KeyRing
from portkey_mcp.storage.database import Database
from portkey_mcp.trust import Provider, ProviderTokens, Trust
from portkey_mcp.vault.sign_in_tokens import SignInTokens
from tests.conformance.auth_gateway import PROVIDER

EMAIL = "demo-user@example.com"


async def plant(data: Path, context: dict[str, Any]) -> None:
    """Make the workspace and the person, and keep the ID token as a sign-in would."""
    provider = Provider(PROVIDER, context["idp_issuer"], context["idp_client_id"])
    tokens = ProviderTokens("demo-user", datetime.now(UTC) + timedelta(hours=1), context["idp_id_token"])

    async def never(_provider: Provider, _tokens: ProviderTokens) -> ProviderTokens:
        raise AssertionError("it is good for an hour")

    database = await Database.open(data)
    try:
        registry, identity = Registry(database, KeyRing.of(data)), Identity(database)
        await registry.add_workspace("conformance")
        await identity.people.add(EMAIL, "Demo", workspace="conformance")
        keys = ApiKeys(database, identity.people)
        key = await keys.create("conformance", "demo", person=EMAIL)
        caller = await keys.verify(key)
        assert caller is not None
        trust = Trust(providers=(provider,))
        kept = SignInTokens(database, KeyRing.of(data), lambda: trust, lambda _: True, never)
        await kept.keep(caller.id, provider, tokens)
        print(key)
    finally:
        await database.close()


if __name__ == "__main__":
    anyio.run(plant, Path(sys.argv[1]), json.load(sys.stdin))
