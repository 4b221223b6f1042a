"""A credential that is good now: nobody waits while the old one is valid, and however many ask, it is renewed once."""

from collections.abc import AsyncIterator, Awaitable
from dataclasses import dataclass

import anyio
import pytest
from anyio.lowlevel import checkpoint
from sqlalchemy import text

from portkey_mcp.errors import ConnectNeeded, Mistake, ProviderDown, StoreDown
from portkey_mcp.vault.connection import Connection, Credential
from portkey_mcp.vault.connections import Connections
from portkey_mcp.vault.refreshing import PAUSE, Refreshing
from tests.vault.conftest import ADA, BOB, SHARED, Keeping
from tests.vault.token_server import TokenServer

pytestmark = pytest.mark.anyio


@dataclass
class Desk:
    """One process that refreshes, and the token endpoint that it asks."""

    keeping: Keeping
    server: TokenServer
    refreshing: Refreshing
    kept: Connection

    async def access(self, after: int = -1) -> str | None:
        """The token that a caller gets."""
        found = await self.refreshing.current(ADA, self.server.renew, after=after)
        return None if found is None or found.credential.tokens is None else found.credential.tokens.access

    def ready(self) -> str | None:
        found = self.refreshing.ready(ADA)
        return None if found is None or found.credential.tokens is None else found.credential.tokens.access

    async def flown(self) -> None:
        """Wait until no renewal is under way any more."""
        while self.refreshing._flights:
            await checkpoint()


@pytest.fixture
async def desk(keeping: Keeping) -> AsyncIterator[Desk]:
    server = TokenServer(now=keeping.clock)
    kept = await keeping.connections.keep(ADA, keeping.credential("a-1"), "ada")
    async with anyio.create_task_group() as tasks:
        yield Desk(keeping, server, Refreshing(keeping.connections, tasks, keeping.clock), kept)
        server.hold.set()


async def together(*callers: Awaitable[str | None]) -> list[str | None]:
    """What callers get that all ask at once."""
    got: list[str | None] = []

    async def ask(caller: Awaitable[str | None]) -> None:
        got.append(await caller)

    async with anyio.create_task_group() as tasks:
        for caller in callers:
            tasks.start_soon(ask, caller)
    return got


async def test_a_credential_is_read_once_and_then_ready_without_the_store(desk: Desk) -> None:
    assert desk.ready() is None
    assert await desk.access() == "a-1"
    async with desk.keeping.database.write() as session:
        await session.execute(text("drop table connections"))
    assert desk.ready() == "a-1"
    assert await desk.access() == "a-1"
    desk.refreshing.forget()
    assert desk.ready() is None
    with pytest.raises(StoreDown):
        await desk.access()


async def test_a28_fifty_callers_make_one_token_request(desk: Desk) -> None:
    desk.keeping.clock.wait(3600)
    assert await together(*(desk.access() for _ in range(50))) == ["a-2"] * 50
    assert desk.server.requests == 1
    assert desk.ready() == "a-2"


async def test_ahead_of_its_end_a_credential_is_renewed_beside_and_nobody_waits(desk: Desk) -> None:
    desk.keeping.clock.wait(3540)
    desk.server.delay()
    assert await together(*(desk.access() for _ in range(20))) == ["a-1"] * 20
    assert desk.ready() is None
    await desk.server.entered.wait()
    assert await desk.access() == "a-1"
    desk.server.hold.set()
    await desk.flown()
    assert desk.ready() == "a-2"
    assert desk.server.requests == 1


@pytest.mark.parametrize("bent", [{"status": 500}, {"error": "temporarily_unavailable"}, {"error": "invalid_client"}])
async def test_while_the_old_one_is_valid_a_server_that_is_down_hurts_nobody(desk: Desk, bent: dict[str, str]) -> None:
    vars(desk.server).update(bent)
    desk.keeping.clock.wait(3540)
    for _ in range(5):
        assert await desk.access() == "a-1"
        await desk.flown()
    assert desk.server.requests == 1
    desk.keeping.clock.wait(PAUSE)
    assert await desk.access() == "a-1"
    await desk.flown()
    assert desk.server.requests == 2


async def test_once_it_has_expired_a_server_that_is_down_is_told_and_its_return_is_noticed(desk: Desk) -> None:
    desk.server.status = 500
    desk.keeping.clock.wait(3600)
    for _ in range(10):
        with pytest.raises(ProviderDown, match="answered 500"):
            await desk.access()
    assert desk.server.requests == 1
    desk.server.status = 200
    with pytest.raises(ProviderDown):
        await desk.access()
    desk.keeping.clock.wait(PAUSE)
    assert await desk.access() == "a-3"


async def test_a_withdrawn_grant_ends_the_connection_with_words_for_a_person(desk: Desk) -> None:
    desk.server.error = "invalid_grant"
    desk.keeping.clock.wait(3600)
    assert await together(*(desk.access() for _ in range(5))) == [None] * 5
    assert desk.ready() is None
    assert await desk.access() is None
    assert desk.server.requests == 1
    found = await desk.keeping.connections.find(ADA)
    assert found is not None
    assert (found.state, found.why) == (
        "ended",
        "the account's access was withdrawn or has expired at https://as.example; connect it again",
    )


async def test_what_is_connected_again_is_good_at_once(desk: Desk) -> None:
    desk.server.error = "invalid_grant"
    desk.keeping.clock.wait(3600)
    assert await desk.access() is None
    await desk.keeping.connections.keep(ADA, desk.keeping.credential("new"), "ada")
    assert await desk.access() == "new"


async def test_what_is_dropped_here_is_not_ready_any_more(desk: Desk) -> None:
    assert await desk.access() == "a-1"
    await desk.keeping.connections.drop(ADA)
    assert desk.ready() is None
    assert await desk.access() is None


async def test_a_refused_token_is_replaced_once_for_all_who_used_it(desk: Desk) -> None:
    assert await desk.access() == "a-1"
    first = desk.kept.generation
    assert await together(*(desk.access(after=first) for _ in range(10))) == ["a-2"] * 10
    assert await desk.access(after=first) == "a-2"
    assert desk.server.requests == 1
    assert await desk.access(after=first + 1) == "a-3"


async def test_who_needs_a_later_one_joins_a_renewal_under_way(desk: Desk) -> None:
    desk.keeping.clock.wait(3540)
    desk.server.delay()
    assert await desk.access() == "a-1"
    await desk.server.entered.wait()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(desk.access, desk.kept.generation)
        await checkpoint()
        desk.server.hold.set()
    assert desk.server.requests == 1


async def test_what_another_process_renewed_is_taken_over_without_a_request(desk: Desk) -> None:
    assert await desk.access() == "a-1"
    async with anyio.create_task_group() as tasks:
        connections = Connections(desk.keeping.database, desk.keeping.keyring, desk.keeping.clock)
        other = Refreshing(connections, tasks, desk.keeping.clock)
        await other.current(ADA, desk.server.renew, after=desk.kept.generation)
    assert await desk.access() == "a-1"
    assert await desk.access(after=desk.kept.generation) == "a-2"
    assert desk.server.requests == 1


async def test_callers_that_leave_leave_the_others_theirs(desk: Desk) -> None:
    desk.keeping.clock.wait(3600)
    desk.server.delay()
    got: list[str | None] = []

    async def stay() -> None:
        got.append(await desk.access())

    async with anyio.create_task_group() as staying:
        async with anyio.create_task_group() as leaving:
            leaving.start_soon(desk.access)  # this one begins the renewal
            await desk.server.entered.wait()
            staying.start_soon(stay)
            await checkpoint()
            leaving.cancel_scope.cancel()
        desk.server.hold.set()
    assert got == ["a-2"]
    assert desk.server.requests == 1


async def test_the_answer_is_stored_though_every_caller_left_and_the_gateway_stops(keeping: Keeping) -> None:
    server = TokenServer(now=keeping.clock)
    await keeping.connections.keep(ADA, keeping.credential("a-1", life=0), "ada")
    server.delay()
    async with anyio.create_task_group() as tasks:
        refreshing = Refreshing(keeping.connections, tasks, keeping.clock)
        async with anyio.create_task_group() as callers:
            callers.start_soon(refreshing.current, ADA, server.renew)
            await server.entered.wait()
            callers.cancel_scope.cancel()
        tasks.cancel_scope.cancel()
        server.hold.set()
    found = await keeping.connections.find(ADA)
    assert found is not None
    assert found.credential.tokens is not None
    assert found.credential.tokens.refresh == server.refresh == "r-2"


async def test_without_an_end_a_token_is_used_until_it_is_refused(desk: Desk) -> None:
    desk.server.life = None
    await desk.keeping.connections.keep(ADA, desk.keeping.credential("a-1", life=None), "ada")
    assert await desk.access() == "a-1"
    desk.keeping.clock.wait(10**8)
    assert desk.ready() == "a-1"
    found = desk.refreshing.ready(ADA)
    assert found is not None
    assert await desk.access(after=found.generation) == "a-2"


@pytest.mark.parametrize(("life", "why"), [(None, "was refused by the server"), (60, "has expired")])
async def test_what_cannot_be_renewed_ends_when_it_is_refused_or_expires(
    desk: Desk, life: float | None, why: str
) -> None:
    kept = await desk.keeping.connections.keep(ADA, desk.keeping.credential("a", refresh="", life=life), "ada")
    assert await desk.access() == "a"
    desk.keeping.clock.wait(60)
    assert await desk.access(after=-1 if life else kept.generation) is None
    found = await desk.keeping.connections.find(ADA)
    assert found is not None
    assert found.state == "ended"
    assert why in found.why
    assert desk.server.requests == 0


async def test_what_was_entered_is_used_and_ends_when_it_is_refused(desk: Desk) -> None:
    entered = Credential("https://files.example/mcp", entered={"key": "k"})
    kept = await desk.keeping.connections.keep(BOB, entered, "bob")
    found = await desk.refreshing.current(BOB, None)
    assert found is not None
    assert found.credential == entered
    assert await desk.refreshing.current(BOB, None, after=kept.generation) is None


async def test_who_only_looks_ends_nothing(desk: Desk) -> None:
    desk.keeping.clock.wait(3600)
    assert await desk.refreshing.current(ADA, None) is None
    assert await desk.access() == "a-2"


async def test_nothing_is_made_where_nobody_connected(desk: Desk) -> None:
    assert await desk.refreshing.current(BOB, desk.server.renew) is None
    assert desk.server.requests == 0


async def test_the_gateways_own_account_is_made_once_and_made_anew_when_it_expires(desk: Desk) -> None:
    made = 0

    async def make(before: Connection | None) -> Credential:
        nonlocal made
        made += 1
        await checkpoint()
        return desk.keeping.credential(f"m-{made}", refresh="", life=600)

    async def ask() -> str | None:
        found = await desk.refreshing.current(SHARED, make, makes=True)
        return None if found is None or found.credential.tokens is None else found.credential.tokens.access

    assert await together(*(ask() for _ in range(20))) == ["m-1"] * 20
    desk.keeping.clock.wait(600)
    assert await together(*(ask() for _ in range(20))) == ["m-2"] * 20
    found = await desk.keeping.connections.find(SHARED)
    assert found is not None
    await desk.keeping.connections.end(SHARED, found.generation, "refused")
    assert await ask() == "m-3"


@pytest.mark.parametrize("error", [Mistake("no such secret"), ConnectNeeded("files", "sign in again")])
async def test_what_a_renewal_says_otherwise_reaches_whoever_waits(desk: Desk, error: Exception) -> None:
    async def fail(before: Connection | None) -> Credential:
        raise error

    desk.keeping.clock.wait(3600)
    with pytest.raises(type(error)):
        await desk.refreshing.current(ADA, fail)
    assert await desk.access() == "a-2"


async def test_a_fault_of_our_own_is_told_without_its_words_and_breaks_nothing(
    desk: Desk, caplog: pytest.LogCaptureFixture
) -> None:
    async def fail(before: Connection | None) -> Credential:
        raise RuntimeError("planted")

    desk.keeping.clock.wait(3600)
    with pytest.raises(ProviderDown) as told:
        await desk.refreshing.current(ADA, fail)
    assert "planted" not in str(told.value)
    assert "renewing the credential at demo/files failed" in caplog.text
    desk.keeping.clock.wait(PAUSE)
    assert await desk.access() == "a-2"
