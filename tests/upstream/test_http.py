"""HTTP without an era: what errors become, what is followed, what survives."""

import anyio
import pytest
from aiohttp import web

from portkey_mcp.errors import UpstreamDown, UpstreamError
from portkey_mcp.upstream.breaker import THRESHOLD, Gate
from portkey_mcp.upstream.http import Exchange, open_session
from tests.upstream.scripted import Seen, Upstream, reply, serving

pytestmark = pytest.mark.anyio

CALL = {"jsonrpc": "2.0", "id": 1, "method": "x"}


async def failing(upstream: Upstream, gate: Gate | None = None) -> UpstreamDown | UpstreamError:
    async with open_session() as session:
        try:
            await Exchange(session, upstream.url, {}, gate or Gate("up")).open("POST", {}, CALL)
        except (UpstreamDown, UpstreamError) as error:
            return error
    raise AssertionError("it did not fail")


@pytest.mark.parametrize(
    ("status", "headers", "retry_after"),
    [
        (401, {"WWW-Authenticate": 'Bearer resource_metadata="x"'}, None),
        (429, {"Retry-After": "7"}, 7.0),
        (503, {"Retry-After": "Thu, 01 Jan 1970 00:00:00 GMT"}, 0.0),
        (500, {"Retry-After": "later"}, None),
    ],
)
async def test_a_status_without_a_json_rpc_error_keeps_its_headers(
    status: int, headers: dict[str, str], retry_after: float | None
) -> None:
    async def refuse(request: web.Request, seen: Seen) -> web.StreamResponse:
        return web.json_response({"error": "invalid_token"}, status=status, headers=headers)

    async with serving(refuse) as upstream:
        error = await failing(upstream)

    assert isinstance(error, UpstreamDown)
    assert (error.status, error.retry_after, error.sent) == (status, retry_after, True)
    assert f"HTTP {status}" in error.reason
    for name, value in headers.items():
        assert (error.headers or {})[name.lower()] == value


async def test_nobody_listening_means_that_nothing_was_sent() -> None:
    async def unused(request: web.Request, seen: Seen) -> web.StreamResponse:
        raise AssertionError

    async with serving(unused) as upstream:
        pass
    gate = Gate("up")
    for _ in range(THRESHOLD):
        error = await failing(upstream, gate)
        assert isinstance(error, UpstreamDown)
        assert not error.sent
        assert "could not be reached" in error.reason
    refused = await failing(upstream, gate)

    assert isinstance(refused, UpstreamDown)
    assert refused.retry_after is not None


async def test_a_connection_that_breaks_means_that_it_may_have_run() -> None:
    async def abort(request: web.Request, seen: Seen) -> web.StreamResponse:
        assert request.transport is not None
        request.transport.abort()
        await anyio.sleep_forever()
        raise AssertionError

    async with serving(abort) as upstream:
        error = await failing(upstream)

    assert isinstance(error, UpstreamDown)
    assert error.sent


@pytest.mark.parametrize(("status", "followed"), [(307, True), (308, True), (302, False)])
async def test_only_a_redirect_that_keeps_method_and_origin_is_followed(status: int, followed: bool) -> None:
    async def move(request: web.Request, seen: Seen) -> web.StreamResponse:
        if request.path == "/mcp":
            return web.Response(status=status, headers={"Location": "/mcp/"})
        return reply(seen, {"path": request.path})

    async with serving(move) as upstream, open_session() as session:
        exchange = Exchange(session, upstream.url, {"X-Static": "s"}, Gate("up"))
        if followed:
            stream = await exchange.open("POST", {}, CALL)
            message = await stream.read()
            stream.close()
            assert message == {"jsonrpc": "2.0", "id": 1, "result": {"path": "/mcp/"}}
            assert [seen.headers["x-static"] for seen in upstream.seen] == ["s", "s"]
        else:
            with pytest.raises(UpstreamDown, match="redirects"):
                await exchange.open("POST", {}, CALL)


async def test_no_header_reaches_another_origin() -> None:
    async def unused(request: web.Request, seen: Seen) -> web.StreamResponse:
        raise AssertionError

    async with serving(unused) as other:

        async def move(request: web.Request, seen: Seen) -> web.StreamResponse:
            return web.Response(status=307, headers={"Location": other.url})

        async with serving(move) as upstream:
            error = await failing(upstream)

    assert error.status == 307
    assert other.seen == []


async def test_an_endless_redirect_ends() -> None:
    async def move(request: web.Request, seen: Seen) -> web.StreamResponse:
        return web.Response(status=307, headers={"Location": "/mcp"})

    async with serving(move) as upstream:
        assert (await failing(upstream)).status == 307


@pytest.mark.parametrize("url", ["not a url", "ftp://127.0.0.1/", "http://[::1"])
async def test_what_is_not_an_http_address_is_said_in_words(url: str) -> None:
    error = await failing(Upstream(url))

    assert isinstance(error, UpstreamDown)
    assert not error.sent


async def test_connections_are_used_again() -> None:
    ports = set()

    async def answer(request: web.Request, seen: Seen) -> web.StreamResponse:
        assert request.transport is not None
        ports.add(request.transport.get_extra_info("peername"))
        return reply(seen, {})

    async with serving(answer) as upstream, open_session() as session:
        exchange = Exchange(session, upstream.url, {}, Gate("up"))
        for _ in range(5):
            stream = await exchange.open("POST", {}, CALL)
            await stream.read()
            stream.close()

    assert len(ports) == 1
