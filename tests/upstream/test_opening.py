"""How a visitor is introduced, and which link is opened."""

from dataclasses import replace

import pytest
from aiohttp import web

from portkey_mcp.errors import UpstreamDown, UpstreamError
from portkey_mcp.model import Introduction
from portkey_mcp.upstream.breaker import Gate
from portkey_mcp.upstream.connections import Connections
from portkey_mcp.upstream.opening import Workshop, greeting
from portkey_mcp.upstream.reading import Recall
from portkey_mcp.upstream.tasks import Tasks
from tests.upstream.children import stdio
from tests.upstream.heard import ADA, Heard, http, pool
from tests.upstream.scripted import Seen, legacy, modern, reply, serving

pytestmark = pytest.mark.anyio


async def echo(request: web.Request, seen: Seen) -> web.StreamResponse:
    return reply(seen, {})


@pytest.mark.parametrize(
    ("protocol", "spoken", "offered"),
    [
        ("auto", "2024-11-05", "2024-11-05"),
        ("auto", "1999-01-01", "1999-01-01"),
        ("auto", "2026-07-28", "2025-11-25"),
        ("auto", "", "2025-11-25"),
        ("2025-03-26", "2025-11-25", "2025-03-26"),
    ],
)
async def test_the_version_offered_is_the_visitors_unless_no_handshake_knows_it(
    protocol: str, spoken: str, offered: str
) -> None:
    visitor = Introduction("p", "ada", version=spoken)

    assert greeting(http("http://x/", protocol=protocol), visitor)["protocolVersion"] == offered


async def test_who_does_not_say_who_it_is_is_introduced_as_the_gateway() -> None:
    introduced = greeting(http("http://x/"), Introduction("p", "ada"))

    assert introduced["clientInfo"]["name"] == "portkey-mcp"
    assert introduced["capabilities"] == {}


async def test_whatever_else_the_visitor_said_is_said_too_but_not_instead() -> None:
    said = {"protocolVersion": "1999-01-01", "capabilities": {"x": 1}, "vendor": None, "_meta": {"k": 2**70}}
    introduced = greeting(http("http://x/"), Introduction("p", "ada", version="2025-06-18", besides=said))

    assert introduced["protocolVersion"] == "2025-06-18"
    assert introduced["capabilities"] == {}
    assert (introduced["vendor"], introduced["_meta"]) == (None, {"k": 2**70})


async def test_a_pinned_legacy_server_is_never_probed() -> None:
    async with serving(legacy(echo)) as upstream, pool() as links:
        link = await links.link(http(upstream.url, protocol="2025-03-26"), ADA)
        stdio_link = await links.link(stdio(protocol="2025-03-26"), ADA)

    assert (link.era, stdio_link.era) == ("legacy", "legacy")
    assert "server/discover" not in upstream.methods()


async def test_a_pinned_modern_server_that_is_not_modern_is_an_error_and_not_a_guess() -> None:
    async with serving(legacy(echo)) as upstream, pool() as links:
        with pytest.raises(UpstreamDown, match="HTTP 400"):
            await links.link(http(upstream.url, protocol="2026-07-28"), ADA)
        with pytest.raises(UpstreamError, match="unknown"):
            await links.link(stdio(protocol="2026-07-28"), ADA)

    assert "initialize" not in upstream.methods()


async def test_a_pinned_modern_server_is_discovered_for_its_hello() -> None:
    async with serving(modern(echo)) as upstream, pool() as links:
        link = await links.link(http(upstream.url, protocol="2026-07-28"), ADA)

    assert link.version == "2026-07-28"
    assert link.hello["supportedVersions"] == ["2026-07-28"]


async def test_a_known_era_is_not_asked_for_again_by_the_next_process() -> None:
    async with pool() as links:
        server = stdio()
        await links.link(server, ADA)
        link = await links.link(server, Introduction("p", "bob"))
        assert links.era(server) == "legacy"
        await Heard().ask(link, "test/echo")


async def test_sessions_of_one_server_share_what_is_the_same_and_keep_their_own() -> None:
    async with serving(legacy(echo)) as upstream, pool() as links:
        server = http(upstream.url)
        one, other = [await links.link(server, Introduction(party, "ada")) for party in ("first", "second")]

    assert one is not other
    assert one.hello is other.hello
    assert upstream.methods().count("initialize") == 2


async def test_where_a_server_is_changes_with_its_secrets() -> None:
    async with Connections() as connections, Tasks() as tasks:
        workshop = Workshop(connections, tasks.spawn, Gate("up"), Recall())
        before = http("http://127.0.0.1:1/", headers={"X-Key": "old"})
        after = replace(before, headers={"X-Key": "new"})

        there = workshop.exchange(before)
        assert workshop.exchange(replace(before)) is there
        assert workshop.exchange(after) is not there
