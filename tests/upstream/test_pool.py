"""The pool: who shares what, what happens to the idle, the dead, the changed and the many."""

import time
from dataclasses import replace

import anyio
import pytest
from aiohttp import web

from portkey_mcp.errors import ConnectNeeded, UpstreamDown
from portkey_mcp.model import Introduction, McpServer, Principal
from portkey_mcp.upstream.link import Link
from portkey_mcp.upstream.pool import IDLE_AFTER, LinkPool
from tests.upstream.accounts import ADA as HER
from tests.upstream.accounts import BOB as HIM
from tests.upstream.accounts import ERAS, OAUTH, Tokens, accounts, guarded, token_of, who, whose
from tests.upstream.children import is_running, stdio
from tests.upstream.heard import ADA, BOB, Heard, as_it_is, http, pool
from tests.upstream.scripted import Seen, legacy, modern, reply, serving

pytestmark = pytest.mark.anyio


async def echo(request: web.Request, seen: Seen) -> web.StreamResponse:
    return reply(seen, {})


def pid(link: Link) -> int:
    return int(link.hello["serverInfo"]["pid"])


async def test_many_who_come_at_once_share_one_opening() -> None:
    found: list[Link] = []
    async with serving(legacy(echo)) as upstream, pool() as links:
        server = http(upstream.url)

        async def come() -> None:
            found.append(await links.link(server, ADA))

        async with anyio.create_task_group() as group:
            for _ in range(50):
                group.start_soon(come)

    assert len(set(map(id, found))) == 1
    assert upstream.methods().count("initialize") == 1


async def test_one_who_gives_up_does_not_spoil_it_for_the_others() -> None:
    release = anyio.Event()
    shaking = legacy(echo)

    async def slow(request: web.Request, seen: Seen) -> web.StreamResponse:
        if seen.method == "initialize":
            await release.wait()
        return await shaking(request, seen)

    async with serving(slow) as upstream, pool() as links:
        server = http(upstream.url)
        found: list[Link] = []

        async def come() -> None:
            found.append(await links.link(server, ADA))

        impatient = anyio.CancelScope()

        async def give_up() -> None:
            with impatient:
                await links.link(server, ADA)

        async with anyio.create_task_group() as group:
            group.start_soon(give_up)
            group.start_soon(come)
            await upstream.until("initialize")
            impatient.cancel()
            release.set()

    assert found
    assert upstream.methods().count("initialize") == 1


async def test_references_are_resolved_for_the_wire_and_never_rest_in_the_link() -> None:
    async def resolve(server: McpServer) -> McpServer:
        return replace(server, headers={"X-Api-Key": "secret"})

    async with serving(modern(echo)) as upstream, LinkPool(resolve) as links:
        link = await links.link(http(upstream.url, headers={"X-Api-Key": "${env:KEY}"}), ADA)
        await Heard().ask(link, "tools/list")

    assert [seen.headers["x-api-key"] for seen in upstream.seen] == ["secret", "secret"]
    assert link.server.headers == {"X-Api-Key": "${env:KEY}"}


async def test_what_cannot_be_resolved_is_the_servers_failure_in_words() -> None:
    async def resolve(server: McpServer) -> McpServer:
        raise OSError("no such secret file")

    async with LinkPool(resolve) as links:
        with pytest.raises(UpstreamDown, match="no such secret file"):
            await links.link(stdio(), ADA)


async def test_each_principal_has_a_process_and_each_set_of_capabilities_too() -> None:
    async with pool() as links:
        server = stdio()
        other: Introduction = replace(ADA, capabilities={"roots": {}})
        reordered = replace(ADA, party="another", capabilities=dict(reversed(ADA.capabilities.items())))
        pids = [pid(await links.link(server, visitor)) for visitor in (ADA, BOB, other, reordered)]

    assert len(set(pids)) == 3
    assert pids[3] == pids[0]


async def test_a_changed_definition_gets_new_links_and_the_old_ones_end_once_idle() -> None:
    async with pool() as links:
        server = stdio()
        old = await links.link(server, ADA)
        changed = replace(server, env={"NEW": "1"})
        async with anyio.create_task_group() as group:
            heard = Heard()
            group.start_soon(heard.ask, old, "test/hang", {})
            await heard.until(1)
            new = await links.link(changed, ADA)
            assert pid(new) != pid(old)
            await links.tidy(time.monotonic())
            assert old.alive
            assert links.era(server) is None
            group.cancel_scope.cancel()
        await links.tidy(time.monotonic())
        assert not old.alive
        assert not is_running(pid(old))
        assert new.alive


async def test_those_who_attend_follow_a_changed_definition() -> None:
    heard = Heard()
    async with pool() as links:
        server = stdio()
        old = await links.link(server, ADA)
        async with old.attend(heard.on_notification, heard.on_request):
            new = await links.link(replace(server, env={"NEW": "1"}), ADA)
            assert await heard.until(1) == [{"method": "notifications/tools/list_changed"}]
            await Heard().ask(new, "test/change")
            await heard.until(2)


async def test_those_who_attend_a_process_that_dies_get_another() -> None:
    heard = Heard()
    async with pool() as links:
        server = stdio()
        link = await links.link(server, ADA)
        async with link.attend(heard.on_notification, heard.on_request):
            with pytest.raises(UpstreamDown):
                await Heard().ask(link, "test/die")
            assert await heard.until(1) == [{"method": "notifications/tools/list_changed"}]
            again = await links.link(server, ADA)
            await Heard().ask(again, "test/change")
            await heard.until(2)


async def test_idle_links_are_closed_and_busy_or_attended_ones_are_not() -> None:
    async with pool() as links:
        idle, busy, attended = [
            await links.link(stdio(), replace(ADA, principal=name)) for name in ("idle", "busy", "attended")
        ]
        heard = Heard()
        async with (
            attended.attend(heard.on_notification, heard.on_request),
            anyio.create_task_group() as group,
        ):
            calling = Heard()
            group.start_soon(calling.ask, busy, "test/hang", {})
            await calling.until(1)
            await links.tidy(time.monotonic())
            assert idle.alive
            await links.tidy(time.monotonic() + IDLE_AFTER)
            assert (idle.alive, busy.alive, attended.alive) == (False, True, True)
            group.cancel_scope.cancel()


async def test_the_longest_idle_process_makes_room_and_one_in_use_does_not() -> None:
    async with LinkPool(as_it_is, max_processes_per_server=2, max_processes=3) as links:
        server = stdio()
        first, second = [await links.link(server, replace(ADA, principal=name)) for name in "ab"]
        async with anyio.create_task_group() as group:
            calling = Heard()
            group.start_soon(calling.ask, first, "test/hang", {})
            await calling.until(1)
            third = await links.link(server, replace(ADA, principal="c"))
            assert (first.alive, second.alive, third.alive) == (True, False, True)
            group.start_soon(calling.ask, third, "test/hang", {})
            await calling.until(2)
            with pytest.raises(UpstreamDown, match="2 processes of this server are running already, all in use"):
                await links.link(server, replace(ADA, principal="d"))
            await links.link(stdio(name="other"), ADA)
            fifth = await links.link(stdio(name="third"), ADA)
            assert fifth.alive
            group.cancel_scope.cancel()


async def test_forgetting_a_server_ends_its_links_at_once() -> None:
    async with pool() as links:
        server = stdio()
        link = await links.link(server, ADA)
        assert links.era(server) == "legacy"

        await links.forget(server.key)
        await links.forget("ws/unknown")

        assert not link.alive
        assert not is_running(pid(link))
        assert links.era(server) is None


async def test_a_dead_server_is_refused_at_once_and_comes_back_by_itself() -> None:
    up = False
    serving_modern = modern(echo)

    async def flaky(request: web.Request, seen: Seen) -> web.StreamResponse:
        if not up:
            return web.Response(status=503)
        return await serving_modern(request, seen)

    async with serving(flaky) as upstream, pool() as links:
        server = http(upstream.url)
        for _ in range(3):
            with pytest.raises(UpstreamDown, match="503"):
                await links.link(server, ADA)
        up = True
        with anyio.fail_after(30):
            await upstream.until("server/discover", 4)
            while links.era(server) != "modern":
                await anyio.lowlevel.checkpoint()
        await Heard().ask(await links.link(server, ADA), "tools/list")


async def test_after_the_end_no_link_is_opened() -> None:
    async with pool() as links:
        pass
    with pytest.raises(UpstreamDown, match="shutting down"):
        await links.link(stdio(), ADA)


async def test_the_end_fails_what_is_in_flight_then_ends_the_servers() -> None:
    order: list[str] = []
    async with anyio.create_task_group() as group:
        async with pool() as links:
            link = await links.link(stdio(), ADA)

            async def call() -> None:
                with pytest.raises(UpstreamDown):
                    await heard.ask(link, "test/hang", {})
                order.append("failed")

            heard = Heard()
            group.start_soon(call)
            await heard.until(1)
        order.append("ended")

    assert order == ["failed", "ended"]
    assert not is_running(pid(link))


@ERAS
async def test_a28_each_account_goes_by_its_own_token_on_links_of_its_own(era: type) -> None:
    tokens = Tokens({"ada": "a", "bob": "b"})
    async with accounts(guarded(era(who), {"a", "b"}), tokens) as (upstream, links, server):
        assert [await whose(links, server, visitor) for visitor in (HER, HIM, HER)] == ["a", "b", "a"]
        assert await links.link(server, HER) is not await links.link(server, HIM)
        assert links.era(server) == ("legacy" if era is legacy else "modern")

    assert {token_of(seen) for seen in upstream.seen} == {"a", "b"}
    assert tokens.made == ["ada", "bob"]


async def test_those_who_share_an_account_share_its_link() -> None:
    async with accounts(guarded(modern(who), {"t"}), Tokens({"": "t"}, shared=True)) as (upstream, links, server):
        assert await links.link(server, HER) is await links.link(server, HIM)

    assert upstream.methods() == ["server/discover"]


@ERAS
async def test_forgetting_an_account_opens_new_links_for_it_and_nobody_else(era: type) -> None:
    tokens = Tokens({"ada": "a", "bob": "b"})
    async with accounts(guarded(era(who), {"a", "a2", "b"}), tokens) as (_, links, server):
        hers, his = await links.link(server, HER), await links.link(server, HIM)
        tokens.held["ada"] = "a2"
        await links.forget_account(server.key, "ada")
        assert hers.alive, "a call may be under way on it"
        assert await links.link(server, HER) is not hers
        assert await links.link(server, HIM) is his
        assert await whose(links, server, HER) == "a2"
        await links.tidy(time.monotonic())
        assert (hers.alive, his.alive) == (False, True)
        await links.forget_account(server.key, "nobody")
        await links.forget(server.key)
        assert not his.alive


async def test_accounts_nobody_uses_are_forgotten() -> None:
    tokens = Tokens({f"p{number}": "t" for number in range(50)})
    async with accounts(guarded(modern(who), {"t"}), tokens) as (_, links, server):
        for number in range(50):
            visitor = replace(HER, principal=f"p{number}", who=Principal(f"p{number}", "P", "person"))
            assert await whose(links, server, visitor) == "t"
        with pytest.raises(ConnectNeeded):
            await links.link(server, HIM)
        await links.tidy(time.monotonic() + IDLE_AFTER - 60)
        assert len(tokens.made) == len(links._holdings) == 51
        await links.tidy(time.monotonic() + IDLE_AFTER + 60)
        assert links._holdings == {}


async def test_a_server_with_an_auth_is_out_of_reach_where_nothing_keeps_credentials() -> None:
    async with serving(modern(who)) as upstream, LinkPool(as_it_is) as links:
        with pytest.raises(UpstreamDown, match="nothing here keeps any"):
            await links.link(http(upstream.url, auth=OAUTH), HER)

    assert upstream.seen == []
