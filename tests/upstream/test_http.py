"""HTTP without an era: what errors become, what is followed, what survives."""

import anyio
import pytest
from aiohttp import web

from portkey_mcp.errors import UpstreamDown, UpstreamError
from portkey_mcp.upstream import http
from portkey_mcp.upstream.breaker import THRESHOLD, Gate
from portkey_mcp.upstream.connections import Connections
from portkey_mcp.upstream.http import Exchange
from tests.upstream.raw import Peer, answering, raw
from tests.upstream.scripted import Seen, Upstream, reply, serving

pytestmark = pytest.mark.anyio

CALL = {"jsonrpc": "2.0", "id": 1, "method": "x"}


async def failing(upstream: Upstream, gate: Gate | None = None) -> UpstreamDown | UpstreamError:
    async with Connections() as connections:
        try:
            await Exchange(connections, upstream.url, {}, gate or Gate("up")).open("POST", b"", CALL)
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

    async with serving(move) as upstream, Connections() as connections:
        exchange = Exchange(connections, upstream.url, {"X-Static": "s"}, Gate("up"))
        if followed:
            stream = await exchange.open("POST", b"", CALL)
            message = await stream.read()
            stream.close()
            assert message == {"jsonrpc": "2.0", "id": 1, "result": {"path": "/mcp/"}}
            assert [seen.headers["x-static"] for seen in upstream.seen] == ["s", "s"]
        else:
            with pytest.raises(UpstreamDown, match="redirects"):
                await exchange.open("POST", b"", CALL)


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

    async with serving(answer) as upstream, Connections() as connections:
        exchange = Exchange(connections, upstream.url, {}, Gate("up"))
        for _ in range(5):
            stream = await exchange.open("POST", b"", CALL)
            await stream.read()
            stream.close()

    assert len(ports) == 1


async def test_url_and_headers_go_out_as_they_were_configured() -> None:
    async def answer(request: web.Request, seen: Seen) -> web.StreamResponse:
        return reply(seen, {"path": request.raw_path})

    async with serving(answer) as upstream, Connections() as connections:
        url = upstream.url.replace("http://", "http://ada:p%40ss@") + "/ä b?q=1&r=%2F#fragment"
        exchange = Exchange(connections, url, {"X-Key": "ü", "Accept": "text/plain"}, Gate("up"))
        stream = await exchange.open("POST", exchange.lines({"Mcp-Param-X": "y"}), CALL)
        message = await stream.read()

    assert message is not None
    assert message["result"] == {"path": "/mcp/%C3%A4%20b?q=1&r=%2F"}
    [seen] = upstream.seen
    assert seen.headers["authorization"] == "Basic YWRhOnBAc3M="
    assert (seen.headers["x-key"], seen.headers["mcp-param-x"]) == ("ü", "y")
    assert seen.headers["accept"] == "application/json, text/event-stream"


async def test_a_header_that_would_become_two_is_refused_before_anything_is_sent() -> None:
    async with Connections() as connections:
        with pytest.raises(UpstreamDown, match="could not be built") as configured:
            Exchange(connections, "http://h/", {"X-Key": "hush\r\nX: y"}, Gate("up"))
        exchange = Exchange(connections, "http://h/", {}, Gate("up"))
        with pytest.raises(UpstreamDown, match="could not be built") as own:
            exchange.lines({"Mcp-Param-X": "hush\nX: y"})

    for error in (configured.value, own.value):
        assert not error.sent
        assert "hush" not in str(error)


async def test_what_is_not_http_is_said_in_words_and_may_have_run() -> None:
    with anyio.fail_after(10):
        async with raw(answering(b"SSH-2.0-OpenSSH_9.2\r\n")) as server:
            error = await failing(Upstream(server.address.url))

    assert isinstance(error, UpstreamDown)
    assert "not HTTP" in error.reason
    assert error.sent


async def test_an_error_whose_body_never_ends_is_told_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "ERROR_PATIENCE", 0.05)

    async def hang(peer: Peer) -> None:
        await peer.request()
        await peer.say(b"HTTP/1.1 503 Later\r\nRetry-After: 2\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n")
        await peer.closed()

    with anyio.fail_after(10):
        async with raw(hang) as server:
            error = await failing(Upstream(server.address.url))

    assert isinstance(error, UpstreamDown)
    assert (error.status, error.retry_after) == (503, 2.0)


async def test_another_place_of_the_same_origin_shares_all_but_the_target() -> None:
    async def answer(request: web.Request, seen: Seen) -> web.StreamResponse:
        return reply(seen, {"path": request.raw_path})

    async with serving(answer) as upstream, Connections() as connections:
        exchange = Exchange(connections, upstream.url, {"X-Key": "k"}, Gate("up"))
        stream = await exchange.beside("/messages?s=1").open("POST", b"", CALL)
        message = await stream.read()
        with pytest.raises(UpstreamDown, match="another origin"):
            exchange.beside("http://192.0.2.1/")

    assert message is not None
    assert message["result"] == {"path": "/messages?s=1"}
    assert upstream.seen[0].headers["x-key"] == "k"
