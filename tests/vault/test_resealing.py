"""What the vault keeps can be sealed anew: each seal is bound to what the rooms that write it bind it to."""

from datetime import UTC, datetime

import pytest
from sqlalchemy import text

from portkey_mcp.sealing import KeyRing, key_file
from portkey_mcp.storage.resealing import held, reseal
from portkey_mcp.vault.resealing import SEALED
from portkey_mcp.vault.sealed import bind
from portkey_mcp.vault.tables import ConnectFlowRow, SigningKeyRow, SignInTokenRow, UpstreamClientRow
from tests.vault.conftest import ADA, SHARED, Keeping

pytestmark = pytest.mark.anyio

NOW = datetime(2026, 1, 1, tzinfo=UTC)
ROWS = {
    "upstream_clients": (
        UpstreamClientRow(workspace="demo", server="files", issuer="https://as", redirect_uri="u", created=NOW),
        ("upstream_clients", "demo", "files", "https://as", "sealed"),
    ),
    "connect_flows": (
        ConnectFlowRow(state="s", workspace="demo", server="files", person="ada", expires=NOW),
        ("connect_flows", "s", "demo", "files", "ada", "sealed"),
    ),
    "sign_in_tokens": (
        SignInTokenRow(person="ada", provider="corp", issuer="https://idp"),
        ("sign_in_tokens", "ada", "corp", "sealed"),
    ),
    "signing_keys": (SigningKeyRow(kid="1", public={}, created=NOW), ("signing_keys", "1", "sealed")),
}


@pytest.mark.parametrize("name", ROWS)
async def test_a_seal_is_bound_to_its_row(name: str) -> None:
    row, place = ROWS[name]
    [binding] = [one.binding for one in SEALED if one.name == name]
    assert binding(row) == bind(*place)


async def test_connections_are_sealed_anew_and_leases_without_a_credential_let_be(keeping: Keeping) -> None:
    kept = await keeping.connections.keep(ADA, keeping.credential("a-1"), "ada")
    assert await keeping.connections.lease(SHARED, None, "me", 30)
    data = keeping.database.path.parent
    key_file(data).add()
    keyring = KeyRing.of(data)
    [connections] = [one for one in SEALED if one.name == "connections"]
    assert [one.resealed async for one in reseal(keeping.database, keyring, connections)] == [1]
    assert await held(keeping.database, SEALED) == {"k2": {"connections": 1}}
    assert await keeping.connections.find(ADA) == kept
    async with keeping.database.read() as session:
        assert (await session.execute(text("select count(*) from connections"))).scalar_one() == 2
