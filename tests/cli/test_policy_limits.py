"""What is used up already is told per count, by whoever used it, and what cannot be told is said."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from portkey_mcp.activity.audit import Audit
from portkey_mcp.cli.policy_limits import used_up
from portkey_mcp.cli.stores import Stores
from portkey_mcp.identity.authenticate import Identity
from portkey_mcp.model import Endpoint, Principal, Visit, Workspace
from portkey_mcp.policy.decide import Allow, Rules, Thing
from portkey_mcp.policy.document import parse
from portkey_mcp.policy.limits import charges_of
from portkey_mcp.registry.policies import Policies
from portkey_mcp.registry.registry import Registry
from portkey_mcp.sealing import KeyRing
from portkey_mcp.storage.counters import SqliteCounter
from portkey_mcp.storage.database import Database
from portkey_mcp.trust import Trust

pytestmark = pytest.mark.anyio

HUB = Endpoint("hub", Workspace("team", "Team", {}, {}))
CI, BOT = (Visit(Principal(f"key:{name}", name, "service", {"team": "member"}), HUB) for name in ("ci", "bot"))
WRITE = Thing("tool", "files", "write")


def stores_of(database: Database) -> Stores:
    """The rooms on a database, as commands open them."""
    keyring = KeyRing.generate()
    return Stores(
        Registry(database, keyring),
        Identity(database),
        Policies(database),
        database,
        Audit(database),
        keyring,
        Trust(),
    )


async def test_who_used_it_up_is_named_and_nobody_else(tmp_path: Path) -> None:
    database = await Database.open(tmp_path)
    stores = stores_of(database)
    policy = parse({"rules": [{"match": "*", "limits": [{"calls": 2, "per": "month", "each": "user"}]}]})
    decision = Rules(policy).decide(CI, WRITE)
    assert isinstance(decision, Allow)
    assert await used_up(stores, policy, [CI, BOT], [WRITE]) == []
    async with SqliteCounter(database.path) as counter:
        for _ in range(2):
            charges = charges_of(decision.terms, CI, WRITE, "UTC", datetime.now(UTC))
            await counter.take([charge.take for charge in charges])
    [line] = await used_up(stores, policy, [CI, BOT], [WRITE, Thing("tool", "files", "read")])
    assert line.startswith("rule 1: the limit of 2 calls per month for each user is used up already by ci (2 used); it")
    await database.close()


async def test_a_policy_without_limits_asks_nothing(tmp_path: Path) -> None:
    database = await Database.open(tmp_path)
    stores = stores_of(database)
    assert await used_up(stores, parse({"rules": [{"match": "*", "timeout": "5s"}]}), [CI], [WRITE]) == []
    await database.close()
