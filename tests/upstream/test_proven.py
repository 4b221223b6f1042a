"""Each request proves itself, a refused one is sent again with another proof, and nothing else goes out beside it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from aiohttp import web

from portkey_mcp.errors import ConnectNeeded, UpstreamDown
from portkey_mcp.upstream.breaker import THRESHOLD, Gate
from portkey_mcp.upstream.connections import Connections
from portkey_mcp.upstream.heads import Verb
from portkey_mcp.upstream.proven import MORE_TRIES, ProvenExchange
from tests.upstream.accounts import CHALLENGE, OAUTH, PAGE, Tokens, guarded, token_of
from tests.upstream.heard import http
from tests.upstream.scripted import Answer, Seen, Upstream, reply, serving

pytestmark = pytest.mark.anyio

CALL = {"jsonrpc": "2.0", "id": 1, "method": "tools/call"}


async def echo(request: web.Request, seen: Seen) -> web.StreamResponse:
    return web.Response() if seen.message is None else reply(seen, {})


@asynccontextmanager
async def exchange(
    answer: Answer, tokens: Tokens, headers: dict[str, str] | None = None, user: str = ""
) -> AsyncIterator[tuple[Upstream, ProvenExchange, Gate]]:
    async with serving(answer) as upstream, Connections() as connections:
        gate = Gate("up")
        url = upstream.url.replace("://", f"://{user}@") if user else upstream.url
        proof = tokens.proof(http(upstream.url, auth=OAUTH), None)
        yield upstream, ProvenExchange(connections, url, headers or {}, gate, proof), gate


@pytest.mark.parametrize("verb", ["POST", "GET", "DELETE"])
async def test_each_request_proves_itself_whatever_it_is(verb: Verb) -> None:
    async with exchange(guarded(echo, {"t1"}), Tokens({"": "t1"})) as (upstream, up, _):
        response = await up.send(verb, b"", CALL if verb == "POST" else None)
        response.close()

    assert response.status == 200
    assert [token_of(seen) for seen in upstream.seen] == ["t1"]


@pytest.mark.parametrize("verb", ["POST", "GET", "DELETE"])
@pytest.mark.parametrize("status", [401, 403])
async def test_what_is_refused_is_sent_once_more_with_another_proof(verb: Verb, status: int) -> None:
    tokens = Tokens({"": "old"}, {"": ["new"]})
    async with exchange(guarded(echo, {"new"}, status), tokens) as (upstream, up, _):
        response = await up.send(verb, b"", CALL if verb == "POST" else None)
        response.close()

    assert response.status == 200
    assert [token_of(seen) for seen in upstream.seen] == ["old", "new"]
    assert tokens.refusals == [(status, CHALLENGE)]


async def test_a_server_that_refuses_every_token_is_not_asked_for_ever() -> None:
    tokens = Tokens({"": "t0"}, {"": [f"t{number}" for number in range(1, 10)]})
    async with exchange(guarded(echo, set()), tokens) as (upstream, up, _):
        with pytest.raises(UpstreamDown) as refused:
            await up.open("POST", b"", CALL)

    assert refused.value.status == 401
    assert len(upstream.seen) == 1 + MORE_TRIES


async def test_a30_a_refusal_that_stays_is_the_servers_own_with_its_status() -> None:
    async with exchange(guarded(echo, set(), 403), Tokens({"": "t1"})) as (upstream, up, _):
        with pytest.raises(UpstreamDown) as refused:
            await up.open("POST", b"", CALL)

    assert refused.value.status == 403
    assert len(upstream.seen) == 1


async def test_without_an_account_nothing_is_sent() -> None:
    async with exchange(guarded(echo, set()), Tokens()) as (upstream, up, gate):
        for _ in range(THRESHOLD + 1):
            with pytest.raises(ConnectNeeded) as needed:
                await up.open("POST", b"", CALL)

    assert upstream.seen == []
    assert needed.value.url == f"{PAGE}/up"
    assert not gate.is_open


async def test_an_authorization_server_that_is_down_does_not_open_the_servers_breaker() -> None:
    tokens = Tokens({"": "t1"}, down=True)
    async with exchange(guarded(echo, {"t1"}), tokens) as (upstream, up, gate):
        for _ in range(THRESHOLD + 1):
            with pytest.raises(UpstreamDown, match="authorization server"):
                await up.open("POST", b"", CALL)
        assert not gate.is_open
        tokens.down = False
        (await up.open("POST", b"", CALL)).close()

    assert len(upstream.seen) == 1


async def test_the_proof_wins_over_a_configured_header_and_over_the_urls_credentials() -> None:
    tokens = Tokens({"": "t1"})
    for headers, user in (({"authorization": "Bearer configured"}, ""), ({"X-Other": "kept"}, "u:p")):
        async with exchange(guarded(echo, {"t1"}), tokens, headers, user) as (upstream, up, _):
            (await up.send("POST", b"AUTHORIZATION: Bearer own\r\nX-Own: 1\r\n", CALL)).close()
        sent = upstream.seen[0].headers
        assert sent["authorization"] == "Bearer t1"
        assert sent["x-own"] == "1"
    assert sent["x-other"] == "kept"


async def test_no_second_authorization_line_goes_out() -> None:
    lines: list[str] = []

    async def count(request: web.Request, seen: Seen) -> web.StreamResponse:
        lines.extend(request.headers.getall("authorization"))
        return reply(seen, {})

    async with exchange(count, Tokens({"": "t1"}), {"Authorization": "Basic eDp5"}) as (_, up, _):
        (await up.send("POST", b"authorization: x\r\n", CALL)).close()

    assert lines == ["Bearer t1"]


async def test_each_hop_of_a_redirect_proves_itself_for_its_own_url_and_may_be_refused() -> None:
    async def moved(request: web.Request, seen: Seen) -> web.StreamResponse:
        if request.path == "/mcp":
            return web.Response(status=307, headers={"Location": "/there"})
        return await guarded(echo, {"new"})(request, seen)

    tokens = Tokens({"": "old"}, {"": ["new"]})
    async with exchange(moved, tokens) as (upstream, up, _):
        response = await up.send("POST", b"", CALL)
        response.close()
        there = upstream.url.replace("/mcp", "/there")

    assert response.status == 200
    assert tokens.urls == [f"POST {upstream.url}", f"POST {there}", f"POST {there}"]


async def test_b2_another_origin_gets_no_token() -> None:
    async with serving(echo) as elsewhere:

        async def away(request: web.Request, seen: Seen) -> web.StreamResponse:
            return web.Response(status=307, headers={"Location": elsewhere.url})

        async with exchange(away, Tokens({"": "t1"})) as (_, up, _):
            response = await up.send("POST", b"", CALL)
            response.close()

    assert response.status == 307
    assert elsewhere.seen == []


async def test_redirects_without_end_are_given_up() -> None:
    async def round_and_round(request: web.Request, seen: Seen) -> web.StreamResponse:
        return web.Response(status=307, headers={"Location": "/mcp"})

    async with exchange(round_and_round, Tokens({"": "t1"})) as (upstream, up, _):
        response = await up.send("POST", b"", CALL)
        response.close()

    assert response.status == 307
    assert len(upstream.seen) == 3


async def test_a_credential_that_must_be_waited_for_is_waited_for() -> None:
    async with exchange(guarded(echo, {"t1"}), Tokens({"": "t1"}, slow=True)) as (_, up, _):
        (await up.open("POST", b"", CALL)).close()


async def test_the_place_beside_it_proves_itself_too() -> None:
    async with exchange(guarded(echo, {"t1"}), Tokens({"": "t1"})) as (upstream, up, _):
        await up.beside("/messages?id=1").deliver(b"", CALL)

    assert [token_of(seen) for seen in upstream.seen] == ["t1"]
