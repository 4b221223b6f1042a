"""The links of one definition: time bounds, and who counts as a failure of the server."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace

import anyio
import pytest
from aiohttp import web

from portkey_mcp.errors import ConnectNeeded, UpstreamDown, UpstreamError, UpstreamTimeout
from portkey_mcp.model import McpServer
from portkey_mcp.upstream import holdings as holdings_module
from portkey_mcp.upstream.connections import Connections
from portkey_mcp.upstream.holdings import Holdings
from portkey_mcp.upstream.tasks import Tasks
from tests.upstream.accounts import ADA as HER
from tests.upstream.accounts import BOB as HIM
from tests.upstream.accounts import ERAS, PAGE, Tokens, accounts, guarded, token_of, who, whose
from tests.upstream.children import stdio
from tests.upstream.heard import ADA, BOB, Heard, as_it_is, http
from tests.upstream.scripted import HELLO, Answer, Seen, legacy, modern, reply, serving

pytestmark = pytest.mark.anyio


async def any_room(_: Holdings) -> None:
    return


@asynccontextmanager
async def holdings(server: McpServer, open_timeout: float = 30.0, max_links: int = 1000) -> AsyncIterator[Holdings]:
    async with Tasks() as tasks, Connections() as connections:
        held = Holdings(
            server, as_it_is, connections, tasks.spawn, any_room, open_timeout=open_timeout, max_links=max_links
        )
        yield held
        await held.close()


async def echo(request: web.Request, seen: Seen) -> web.StreamResponse:
    return reply(seen, {})


async def test_an_opening_that_hangs_is_bounded_and_then_tried_anew() -> None:
    hanging = True
    shaking = legacy(echo)

    async def hang(request: web.Request, seen: Seen) -> web.StreamResponse:
        if hanging and seen.method == "initialize":
            await anyio.sleep_forever()
        return await shaking(request, seen)

    async with serving(hang) as upstream, holdings(http(upstream.url), open_timeout=0.2) as held:
        with pytest.raises(UpstreamTimeout, match="could not be opened within"):
            await held.link(ADA)
        hanging = False
        link = await held.link(ADA)
        assert link.hello == HELLO


async def test_one_visitors_refused_handshake_does_not_count_against_the_server() -> None:
    async def refuse(request: web.Request, seen: Seen) -> web.StreamResponse:
        error = {"code": -32602, "message": "capabilities are wrong"}
        return web.json_response({"jsonrpc": "2.0", "id": (seen.message or {}).get("id"), "error": error})

    async with serving(refuse) as upstream, holdings(http(upstream.url)) as held:
        for _ in range(5):
            with pytest.raises(UpstreamError, match="capabilities are wrong"):
                await held.link(ADA)

    assert upstream.methods().count("initialize") == 5


async def test_a_process_that_dies_again_and_again_is_not_started_for_ever() -> None:
    refusals = []
    async with holdings(stdio()) as held:
        for _ in range(20):
            try:
                await Heard().ask(await held.link(ADA), "test/die")
            except UpstreamDown as error:
                refusals.append(error)

    assert any(error.retry_after is not None for error in refusals)


async def test_closing_while_a_link_is_being_opened_leaves_none_behind() -> None:
    release = anyio.Event()
    shaking = legacy(echo)

    async def slow(request: web.Request, seen: Seen) -> web.StreamResponse:
        if seen.method == "initialize":
            await release.wait()
        return await shaking(request, seen)

    async with serving(slow) as upstream, holdings(http(upstream.url)) as held, anyio.create_task_group() as group:

        async def come() -> None:
            with pytest.raises(UpstreamDown, match="removed or changed"):
                await held.link(ADA)

        group.start_soon(come)
        await upstream.until("initialize")
        await held.close()
        release.set()
        await upstream.until("DELETE")


async def test_a_client_that_greets_again_and_again_holds_only_so_many_sessions_upstream() -> None:
    async with serving(legacy(echo)) as upstream, holdings(http(upstream.url), max_links=3) as held:
        links = [await held.link(replace(ADA, party=f"session-{number}")) for number in range(5)]
        await upstream.until("DELETE", 2)
        assert [link.alive for link in links] == [False, False, True, True, True]
        assert len(held.slots) == 3

        await held.link(BOB)
        assert links[2].alive


async def test_a_principal_whose_clients_declare_ever_new_capabilities_holds_only_so_many_processes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(holdings_module, "MAX_OWN_PROCESSES", 2)
    async with holdings(stdio()) as held:
        bobs = await held.link(BOB)
        links = [await held.link(replace(ADA, capabilities={"x": {"n": number}})) for number in range(3)]
        with anyio.fail_after(10):
            await links[0].ended()
        assert [link.alive for link in (bobs, *links)] == [True, False, True, True]


async def test_a_session_in_use_is_not_ended_for_one_more() -> None:
    async with serving(legacy(echo)) as upstream, holdings(http(upstream.url), max_links=1) as held:
        link = await held.link(ADA)
        heard = Heard()
        async with link.attend(heard.on_notification, heard.on_request):
            with pytest.raises(UpstreamDown, match="you hold 1 sessions with it already"):
                await held.link(replace(ADA, party="another"))
        assert link.alive


@pytest.mark.parametrize("era", [legacy, modern])
async def test_a_list_in_the_same_bytes_is_the_same_object_whoever_asks(era: Callable[[Answer], Answer]) -> None:
    async def listing(request: web.Request, seen: Seen) -> web.StreamResponse:
        return reply(seen, {"tools": [{"name": "a"}]})

    async with serving(era(listing)) as upstream, holdings(http(upstream.url)) as held:
        adas = await Heard().ask(await held.link(ADA), "tools/list")
        bobs = await Heard().ask(await held.link(BOB), "tools/list")
        call = await Heard().ask(await held.link(BOB), "tools/call", {"name": "a"})

    assert adas is bobs
    assert call == adas
    assert call is not adas


async def test_a_link_that_is_open_needs_no_waiting() -> None:
    async with serving(legacy(echo)) as upstream, holdings(http(upstream.url)) as held:
        assert held.open_link(ADA) is None
        link = await held.link(ADA)
        assert held.open_link(ADA) is link
        assert held.open_link(BOB) is None
        await link.close()
        assert held.open_link(ADA) is None


@ERAS
async def test_without_an_account_nobody_gets_a_link_and_then_they_do(era: type) -> None:
    tokens = Tokens()
    async with accounts(guarded(era(who), {"a"}), tokens) as (upstream, links, server):
        for _ in range(5):
            with pytest.raises(ConnectNeeded) as needed:
                await links.link(server, HER)
        assert needed.value.url == f"{PAGE}/up"
        assert upstream.seen == []
        tokens.held["ada"] = "a"
        assert await whose(links, server, HER) == "a"


@ERAS
async def test_an_account_that_ends_grounds_no_link(era: type) -> None:
    tokens, good = Tokens({"ada": "a"}), {"a"}
    async with accounts(guarded(era(who), good), tokens) as (_, links, server):
        link = await links.link(server, HER)
        good.clear()
        for _ in range(5):
            with pytest.raises(ConnectNeeded):
                await Heard().ask(link, "tools/call", {"name": "who"})
        good.add("a2")
        tokens.held["ada"] = "a2"
        assert link.alive
        assert await whose(links, server, HER) == "a2"


@ERAS
async def test_a_newer_token_is_taken_in_the_middle_of_everything(era: type) -> None:
    tokens = Tokens({"ada": "a"}, {"ada": ["a1", "a2"]})
    good = {"a1"}
    async with accounts(guarded(era(who), good), tokens) as (_, links, server):
        assert await whose(links, server, HER) == "a1"
        good.symmetric_difference_update({"a1", "a2"})
        assert await whose(links, server, HER) == "a2"


@ERAS
@pytest.mark.parametrize("status", [401, 403])
async def test_a30_a_refused_greeting_is_told_with_its_status_and_decides_nothing(era: type, status: int) -> None:
    good: set[str] = set()
    tokens = Tokens({"ada": "a"}, stubborn=True)
    async with accounts(guarded(era(who), good, status), tokens) as (_, links, server):
        with pytest.raises(UpstreamDown) as down:
            await links.link(server, HER)
        assert down.value.status == status
        assert links.era(server) is None
        good.add("a")
        assert await whose(links, server, HER) == "a"


async def test_every_waiter_has_its_own_copy_of_what_is_missing() -> None:
    raised: list[ConnectNeeded] = []
    async with accounts(guarded(modern(who), {"a"}), Tokens(slow=True)) as (_, links, server):

        async def come() -> None:
            with pytest.raises(ConnectNeeded) as needed:
                await links.link(server, HER)
            raised.append(needed.value)

        async with anyio.create_task_group() as group:
            for _ in range(5):
                group.start_soon(come)

    assert len(set(map(id, raised))) == 5


async def test_one_accounts_dead_breaker_and_lists_are_nobody_elses() -> None:
    """The upstream answers each with another list; the same bytes of one are never the other's."""

    async def own_list(request: web.Request, seen: Seen) -> web.StreamResponse:
        return reply(seen, {"tools": [{"name": token_of(seen)}], "resultType": "complete"})

    tokens = Tokens({"ada": "a", "bob": "b"})
    async with accounts(guarded(modern(own_list), {"a", "b"}), tokens) as (_, links, server):
        for _ in range(2):
            for visitor, token in ((HER, "a"), (HIM, "b")):
                listed = await Heard().ask(await links.link(server, visitor), "tools/list", {})
                assert listed["tools"] == [{"name": token}]
