"""One token request however many processes ask, and none lost when one dies. Real processes, a real endpoint."""

import contextlib
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from subprocess import PIPE
from typing import Any

import anyio
import pytest
from anyio.abc import Process
from anyio.streams.buffered import BufferedByteReceiveStream
from sqlalchemy import text

from portkey_mcp.errors import ProviderDown, StoreDown, TokenRefused
from portkey_mcp.sealing import KeyRing
from portkey_mcp.storage.database import Database
from portkey_mcp.vault.connection import Connection, Credential, Endpoint, Tokens
from portkey_mcp.vault.connections import Connections
from portkey_mcp.vault.renewing import Renewing
from tests.vault.conftest import ADA, SHARED, Keeping, register
from tests.vault.token_server import TokenServer, served

pytestmark = pytest.mark.anyio

ROOT = Path(__file__).parent.parent.parent


@asynccontextmanager
async def asker(data: Path, url: str, callers: int, lease: float = 30) -> AsyncIterator[tuple[Process, Any]]:
    """A process that asks once it is given a line; and its output."""
    command = [sys.executable, "-m", "tests.vault.renewer", str(data), url, str(callers), str(lease)]
    async with await anyio.open_process(command, stdin=PIPE, stdout=PIPE, stderr=None, cwd=ROOT) as opened:
        assert opened.stdout is not None
        output = BufferedByteReceiveStream(opened.stdout)
        try:
            assert await line(output) == "ready"
            yield opened, output
        finally:
            with contextlib.suppress(ProcessLookupError):
                opened.kill()


async def line(output: Any) -> str:
    return (await output.receive_until(b"\n", 100)).decode()


async def go(opened: Process) -> None:
    assert opened.stdin is not None
    await opened.stdin.send(b"\n")


async def expired(data: Path) -> tuple[Database, Connections, Connection]:
    """A store with a connection of Ada's that has to be renewed."""
    database, keyring = await Database.open(data), KeyRing.of(data)
    await register(database, keyring)
    connections = Connections(database, keyring)
    tokens = Tokens("a-1", expires=datetime.now(UTC) - timedelta(seconds=1), refresh="r-1")
    endpoint = Endpoint("https://as.example", "https://as.example/token")
    kept = await connections.keep(ADA, Credential("https://files.example/mcp", tokens, endpoint), "ada")
    return database, connections, kept


async def test_a28_three_processes_with_17_callers_each_make_one_token_request(tmp_path: Path) -> None:
    database, connections, kept = await expired(tmp_path)
    async with served() as (server, url), contextlib.AsyncExitStack() as stack:
        server.delay()
        askers = [await stack.enter_async_context(asker(tmp_path, url, 17)) for _ in range(3)]
        for opened, _ in askers:
            await go(opened)
        for _, output in askers:
            assert await line(output) == "asking"
        await server.entered.wait()
        server.hold.set()
        assert [await line(output) for _, output in askers for _ in range(17)] == ["a-2"] * 51
        assert server.requests == 1
    found = await connections.find(ADA)
    await database.close()
    assert found is not None
    assert found.credential.tokens is not None
    assert (found.credential.tokens.refresh, found.generation) == ("r-2", kept.generation + 1)


async def test_a_process_that_dies_while_it_renews_is_followed_by_another_one(tmp_path: Path) -> None:
    database, connections, kept = await expired(tmp_path)
    async with served() as (server, url):
        server.rotates = False  # the answer that the dead one never read must not have taken the refresh token away
        server.delay()
        async with asker(tmp_path, url, 1, lease=2) as (doomed, _), asker(tmp_path, url, 5, lease=2) as (heir, output):
            await go(doomed)
            await server.entered.wait()
            await go(heir)
            assert await line(output) == "asking"
            doomed.kill()
            await doomed.wait()
            server.hold.set()
            assert [await line(output) for _ in range(5)] == ["a-3"] * 5
        assert server.requests == 2
    found = await connections.find(ADA)
    await database.close()
    assert found is not None
    assert found.generation == kept.generation + 1


def renewing(keeping: Keeping, lease: float = 30) -> Renewing:
    return Renewing(keeping.connections, keeping.clock, lease)


async def test_a_refused_grant_is_final_only_if_nobody_renewed_in_between(keeping: Keeping) -> None:
    kept = await keeping.connections.keep(ADA, keeping.credential("a-1", life=0), "ada")

    async def overtaken(before: Connection | None) -> Credential:
        await keeping.connections.keep(ADA, keeping.credential("a-2"), "ada")
        raise TokenRefused("invalid_grant")

    found = await renewing(keeping).renewed(ADA, overtaken, -1, makes=False)
    assert found is not None
    assert found.credential == keeping.credential("a-2")
    assert found.generation > kept.generation


async def test_a_credential_that_was_connected_while_the_old_one_was_renewed_wins(keeping: Keeping) -> None:
    await keeping.connections.keep(ADA, keeping.credential("a-1", life=0), "ada")

    async def slow(before: Connection | None) -> Credential:
        await keeping.connections.keep(ADA, keeping.credential("connected"), "ada")
        return keeping.credential("renewed")

    found = await renewing(keeping).renewed(ADA, slow, -1, makes=False)
    assert found is not None
    assert found.credential == keeping.credential("connected")


async def test_an_answer_without_a_refresh_token_keeps_the_old_one(keeping: Keeping) -> None:
    await keeping.connections.keep(ADA, keeping.credential("a-1", refresh="r-1", life=0), "ada")
    server = TokenServer(rotates=False, now=keeping.clock)
    found = await renewing(keeping).renewed(ADA, server.renew, -1, makes=False)
    assert found is not None
    assert found.credential.tokens is not None
    assert (found.credential.tokens.access, found.credential.tokens.refresh) == ("a-2", "r-1")


async def test_a_request_that_takes_longer_than_its_lease_is_given_up_and_the_lease_given_back(
    keeping: Keeping,
) -> None:
    kept = await keeping.connections.keep(ADA, keeping.credential("a-1", life=0), "ada")

    async def never(before: Connection | None) -> Credential:
        await anyio.sleep_forever()
        raise AssertionError

    with pytest.raises(ProviderDown, match="did not answer in time"):
        await renewing(keeping, lease=0.1).renewed(ADA, never, -1, makes=False)
    assert await keeping.connections.lease(ADA, kept.generation, "another", 30)


async def test_the_first_credential_of_a_machine_is_made_once_and_never_ends(keeping: Keeping) -> None:
    async def refused(before: Connection | None) -> Credential:
        raise TokenRefused("invalid_grant")

    async def made(before: Connection | None) -> Credential:
        assert before is None
        return keeping.credential("m-1", refresh="")

    with pytest.raises(ProviderDown, match="withdrawn"):
        await renewing(keeping).renewed(SHARED, refused, -1, makes=True)
    found = await renewing(keeping).renewed(SHARED, made, -1, makes=True)
    assert found is not None
    assert found.credential == keeping.credential("m-1", refresh="")
    again = await renewing(keeping).renewed(SHARED, refused, -1, makes=True)
    assert again == found


async def test_an_answer_that_cannot_be_stored_is_stored_later_and_not_asked_for_again(keeping: Keeping) -> None:
    await keeping.connections.keep(ADA, keeping.credential("a-1", life=0), "ada")
    server, one = TokenServer(now=keeping.clock), renewing(keeping)

    async def full(before: Connection | None) -> Credential:
        credential = await server.renew(before)
        await execute(
            keeping, "create trigger full before update on connections begin select raise(abort, 'full'); end"
        )
        return credential

    with pytest.raises(StoreDown):
        await one.renewed(ADA, full, -1, makes=False)
    await execute(keeping, "drop trigger full")
    found = await one.renewed(ADA, server.renew, -1, makes=False)
    assert found is not None
    assert found.credential.tokens is not None
    assert found.credential.tokens.refresh == server.refresh
    assert server.requests == 1


async def execute(keeping: Keeping, statement: str) -> None:
    async with keeping.database.write() as session:
        await session.execute(text(statement))
