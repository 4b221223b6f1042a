"""A flow is given back once, to one, for ten minutes; what is in its row says nothing."""

import sqlite3
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import anyio
import pytest
from sqlalchemy import select

from portkey_mcp.errors import StoreDown
from portkey_mcp.model import McpServer
from portkey_mcp.registry.registry import Registry
from portkey_mcp.sealing import KeyRing
from portkey_mcp.storage.database import FILE, Database
from portkey_mcp.vault.connection import Client, Endpoint, Place
from portkey_mcp.vault.flows import LIFE, Flow, Flows
from portkey_mcp.vault.resealing import SEALED
from portkey_mcp.vault.tables import ConnectFlowRow

pytestmark = pytest.mark.anyio

ENDPOINT = Endpoint("https://as.example", "https://as.example/token", methods=("none",), dpop=("ES256",))
FLOW = Flow(
    place=Place("demo", "linear", "person:ada"),
    person="person:ada",
    url="https://mcp.example/mcp",
    endpoint=ENDPOINT,
    is_named=True,
    says_issuer=True,
    client=Client("client", "client_secret_basic", "hush-hush"),
    resource="https://mcp.example/mcp",
    scopes=("read", "write"),
    redirect_uri="https://gw.example/oauth/callback",
    onto="/authorize?a=b",
    verifier="a-planted-verifier",
)
KEYRING = KeyRing.generate()


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    made = await Database.open(tmp_path)
    registry = Registry(made, KEYRING)
    await registry.add_workspace("demo")
    await registry.add_server(McpServer("demo", "linear", "http", "https://mcp.example/mcp"))
    yield made
    await made.close()


async def kept(database: Database) -> int:
    async with database.read() as session:
        return len((await session.scalars(select(ConnectFlowRow))).all())


async def test_another_process_gets_back_exactly_what_was_begun(database: Database) -> None:
    state = await Flows(database, KEYRING).begin(FLOW)
    assert await Flows(database, KEYRING).take(state) == FLOW


async def test_a24_a_state_is_good_once_however_many_come_with_it(database: Database) -> None:
    state, found = await Flows(database, KEYRING).begin(FLOW), list[Flow | None]()

    async def take() -> None:
        found.append(await Flows(database, KEYRING).take(state))

    async with anyio.create_task_group() as tasks:
        for _ in range(8):
            tasks.start_soon(take)

    assert [one for one in found if one is not None] == [FLOW]
    assert len(found) == 8


async def test_states_are_never_alike_and_others_are_unknown(database: Database) -> None:
    flows = Flows(database, KEYRING)
    one, other = await flows.begin(FLOW), await flows.begin(FLOW)

    assert one != other
    assert [await flows.take(state) for state in ("", "x", one[:-1], f"{one} ", "\ud800")] == [None] * 5
    assert await flows.take(other) == FLOW


async def test_b1_a_flow_is_over_after_ten_minutes(database: Database) -> None:
    state = await Flows(database, KEYRING).begin(FLOW)
    assert await Flows(database, KEYRING, lambda: datetime.now(UTC) + LIFE).take(state) is None
    assert timedelta(minutes=10) == LIFE


async def test_what_is_over_is_forgotten_and_nothing_else(database: Database) -> None:
    state = await Flows(database, KEYRING).begin(FLOW)
    await Flows(database, KEYRING, lambda: datetime.now(UTC) - LIFE).begin(FLOW)
    await Flows(database, KEYRING).tidy()

    assert await kept(database) == 1
    assert await Flows(database, KEYRING).take(state) == FLOW


async def test_nothing_in_the_database_is_a_state_a_verifier_or_a_secret(database: Database, tmp_path: Path) -> None:
    state = await Flows(database, KEYRING).begin(FLOW)
    files = b"".join(path.read_bytes() for path in tmp_path.glob(f"{FILE}*"))  # noqa: ASYNC240

    for secret in (state, FLOW.verifier, FLOW.client.secret, FLOW.onto):
        assert secret.encode() not in files
    assert "a-planted-verifier" not in repr(FLOW)


@pytest.mark.parametrize("column", ["person", "server", "state"])
async def test_b4_a_row_that_is_made_another_ones_does_not_open(
    database: Database, tmp_path: Path, column: str
) -> None:
    await Registry(database, KEYRING).add_server(McpServer("demo", "other", "http", "https://other.example/mcp"))
    flows = Flows(database, KEYRING)
    state = await flows.begin(FLOW)
    donor = await flows.begin(FLOW)
    with sqlite3.connect(tmp_path / FILE) as raw:
        if column == "state":  # the secret of one row under the state of another
            raw.execute("UPDATE connect_flows SET sealed = (SELECT max(sealed) FROM connect_flows)")
        else:
            raw.execute(f"UPDATE connect_flows SET {column} = ?", ("person:eve" if column == "person" else "other",))

    taken = [await flows.take(state), await flows.take(donor)]
    assert taken.count(None) == (1 if column == "state" else 2)


async def test_a_store_that_is_gone_is_told_as_that(database: Database, tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / FILE) as raw:
        raw.execute("DROP TABLE connect_flows")
    with pytest.raises(StoreDown, match="connect flows"):
        await Flows(database, KEYRING).take("a-state-that-is-not-told")


async def test_a_flow_is_sealed_anew_like_everything_else_when_keys_change(database: Database) -> None:
    await Flows(database, KEYRING).begin(FLOW)
    [kept] = [one for one in SEALED if one.table is ConnectFlowRow]
    async with database.read() as session:
        [row] = (await session.scalars(select(ConnectFlowRow))).all()

    assert FLOW.verifier.encode() in KEYRING.open(row.sealed, kept.binding(row))
