"""What of a client's headers goes on to a server, and what never does, whatever header it is in."""

from typing import Any

import anyio
import pytest
from aiohttp import web

from portkey_mcp.gateway.forwarding import MOST, forwarded
from portkey_mcp.model import Era, McpServer
from portkey_mcp.registry.names import PROTECTED_HEADERS
from tests.gateway.wanting_house import CLIENT, ECHO, UPSTREAM, Shop, wanting
from tests.upstream.scripted import HELLO, Seen, Sse

pytestmark = pytest.mark.anyio

TOKEN = "mcp_at_0123456789abcdef"


class Came:
    """A call, as far as its headers go."""

    def __init__(self, **headers: str) -> None:
        self.headers = {name.replace("_", "-"): value for name, value in headers.items()}


def passed(forward: dict[str, str], **headers: str) -> dict[str, str]:
    call: Any = Came(**headers)
    return forwarded(McpServer("team", "alpha", "http", forward=forward), call)


def test_what_the_definition_names_is_passed_on_under_its_name_there() -> None:
    forward = {"x-tenant": "X-Their-Tenant", "x-missing": "X-Missing"}

    assert passed(forward, x_tenant="acme", x_other="no") == {"X-Their-Tenant": "acme"}
    assert passed(forward, x_tenant="z\xc3\xbcrich") == {"X-Their-Tenant": "zürich"}
    assert passed(forward, x_tenant="z\xfcrich") == {"X-Their-Tenant": "zürich"}
    assert passed({}, x_tenant="acme") == {}


@pytest.mark.parametrize(
    "name", [*sorted(PROTECTED_HEADERS), "mcp-param-x", "x-forwarded-for", "MCP-Session-Id", "a b"]
)
def test_what_is_protected_is_never_passed_on_whatever_the_database_says(name: str) -> None:
    call: Any = Came(**{name.lower(): "v", "x_other": "v"})

    assert forwarded(McpServer("team", "alpha", "http", forward={name: "X-Other", "x-other": name}), call) == {}


@pytest.mark.parametrize("credential", ["authorization", "x_portkey_api_key", "x_api_key", "cookie", "dpop"])
@pytest.mark.parametrize("value", [TOKEN, f"Bearer {TOKEN}", f"token={TOKEN}; x", f" {TOKEN} "])
def test_b2_the_clients_own_credential_is_not_passed_on_whatever_header_it_is_in(credential: str, value: str) -> None:
    for presented in (TOKEN, f"Bearer {TOKEN}", f"bearer  {TOKEN}"):
        assert passed({"x-copy": "X-Copy"}, x_copy=value, **{credential: presented}) == {}
    assert passed({"x-copy": "X-Copy"}, x_copy="another", **{credential: TOKEN}) == {"X-Copy": "another"}


def test_only_one_line_of_a_fair_length_is_passed_on() -> None:
    forward = {"x-a": "X-A", "x-b": "X-B"}

    assert passed(forward, x_a="a\r\nX-Evil: 1", x_b="b") == {"X-B": "b"}
    assert passed(forward, x_a="a" * MOST, x_b="b") == {"X-B": "b"}
    assert passed(forward, x_a="a" * (MOST - 3), x_b="b") == {"X-A": "a" * (MOST - 3)}


@UPSTREAM
@CLIENT
async def test_a_calls_own_headers_go_out_with_its_own_requests_and_no_others(upstream: Era, era: Era) -> None:
    headers = {"x-tenant": "acme", "authorization": f"Bearer {TOKEN}", "x-copy": TOKEN}
    forward = {"x-tenant": "X-Tenant", "x-copy": "X-Copy", "authorization": "X-Auth"}
    configured = {"X-Tenant": "configured"}
    async with wanting(upstream, auth=None, forward=forward, headers=configured, shop=Shop(upstream).served()) as place:
        place.good.add("")
        for sent in (headers, {**headers, "x-tenant": "other"}, {}):
            assert "result" in await place.answer("tools/call", ECHO, era=era, headers=sent)
            await place.answer("tools/list", {}, era=era, headers=sent)

    def tenants(method: str) -> list[str]:
        return [seen.headers["x-tenant"] for seen in place.alpha.seen if seen.method == method]

    assert tenants("tools/call") == ["acme", "other", "configured"]
    assert tenants("tools/list") == ["acme", "other", "configured"]
    assert set(tenants("initialize") + tenants("server/discover")) == {"configured"}
    assert TOKEN not in str([(seen.headers, seen.message) for seen in place.alpha.seen])


@UPSTREAM
async def test_b2_what_proves_the_account_wins_over_what_is_passed_on(upstream: Era) -> None:
    """A name that a definition may not have any more, but an old database has."""
    forward = {"x-user": "X-User"}
    async with wanting(upstream, forward=forward, headers={"Authorization": "Bearer static"}) as place:
        await place.connect()
        await place.answer("tools/call", ECHO, headers={"x-user": "ada", "authorization": f"Bearer {TOKEN}"})
        call = next(seen for seen in place.alpha.seen if seen.method == "tools/call")

    assert (call.headers["authorization"], call.headers["x-user"]) == ("Bearer t1", "ada")


async def test_the_old_transport_passes_them_on_too() -> None:
    streams: list[Sse] = []

    async def old(request: web.Request, seen: Seen) -> web.StreamResponse:
        if seen.verb == "GET":
            streams.append(await Sse.open(request))
            await streams[-1].raw(b"event: endpoint\ndata: /messages\n\n")
            await anyio.sleep_forever()
        if seen.message and "id" in seen.message:
            result = HELLO if seen.method == "initialize" else {"content": []}
            await streams[-1].send({"jsonrpc": "2.0", "id": seen.message["id"], "result": result})
        return web.Response(status=202)

    async with wanting("legacy", auth=None, transport="sse", forward={"x-tenant": "X-Tenant"}, shop=old) as place:
        place.good.add("")
        assert "result" in await place.answer("tools/call", ECHO, headers={"x-tenant": "acme"})
        await place.answer("tools/call", ECHO)

    calls = [seen.headers.get("x-tenant") for seen in place.alpha.seen if seen.method == "tools/call"]
    assert calls == ["acme", None]
