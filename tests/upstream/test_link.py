"""The contract of `Link`, kept by every kind of link: an SDK server over HTTP in both eras, and stdio in both."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import mcp_types as types
import pytest
import uvicorn
from mcp.server.context import ServerRequestContext
from mcp.server.lowlevel import Server

from portkey_mcp.errors import UpstreamError
from portkey_mcp.model import McpServer
from portkey_mcp.upstream.link import Link
from tests.upstream.children import stdio
from tests.upstream.heard import ADA, Heard, http, pool

pytestmark = pytest.mark.anyio


async def answer(context: ServerRequestContext[Any], call_next: Any) -> Any:
    """Raw on the server's side too: what the SDK would sieve, it lets through."""
    if context.method == "test/echo":
        return {"got": dict(context.params or {}), "big": 2**70, "null": None, "resultType": "complete"}
    if context.method == "test/burst":
        token = (context.params or {})["_meta"]["progressToken"]
        for step in range(200):
            params = types.ProgressNotificationParams(progress_token=token, progress=step)
            notification = types.ProgressNotification(params=params)
            await context.session.send_notification(notification, related_request_id=context.request_id)
        return {"done": True, "resultType": "complete"}
    return await call_next(context)


@asynccontextmanager
async def sdk_server() -> AsyncIterator[str]:
    server: Server[Any] = Server("sdk")
    server.middleware.insert(0, answer)
    config = uvicorn.Config(server.streamable_http_app(), port=0, log_level="error", lifespan="on")
    running = uvicorn.Server(config)
    running.install_signal_handlers = lambda: None  # type: ignore[attr-defined]
    async with anyio.create_task_group() as group:
        group.start_soon(running.serve)
        with anyio.fail_after(10):
            while not running.started:
                await anyio.lowlevel.checkpoint()
        port = running.servers[0].sockets[0].getsockname()[1]
        yield f"http://127.0.0.1:{port}/mcp"
        running.should_exit = True


@asynccontextmanager
async def opened(kind: str) -> AsyncIterator[Link]:
    transport, era = kind.split()
    if transport == "stdio":
        async with pool() as links:
            yield await links.link(stdio(era), ADA)
        return
    async with sdk_server() as url, pool() as links:
        server: McpServer = http(url, protocol="auto" if era == "modern" else "2025-11-25")
        yield await links.link(server, ADA)


@pytest.fixture(params=["http legacy", "http modern", "stdio legacy", "stdio modern"])
async def link(request: pytest.FixtureRequest) -> AsyncIterator[Link]:
    async with opened(request.param) as found:
        assert found.era == request.param.split()[1]
        yield found


async def test_nothing_is_lost(link: Link) -> None:
    answer = await Heard().ask(link, "test/echo", {"n": 2**70, "x": None, "f": 1.0, "deep": [None]})
    del answer["got"]["x"]

    assert {name: answer["got"][name] for name in ("n", "f", "deep")} == {"n": 2**70, "f": 1.0, "deep": [None]}
    assert (answer["big"], answer["null"]) == (2**70, None)


async def test_an_unknown_method_is_the_upstreams_own_error(link: Link) -> None:
    with pytest.raises(UpstreamError) as raised:
        await Heard().ask(link, "vendor/unknown", {})

    assert raised.value.code == -32601


async def test_all_notifications_come_before_the_result(link: Link) -> None:
    heard = Heard(slow=True)
    await heard.ask(link, "test/burst", {"_meta": {"progressToken": "t"}})

    steps = [one["params"]["progress"] for one in heard.notifications]
    assert steps == list(range(len(steps)))
    assert len(steps) >= 200
    assert {one["params"]["progressToken"] for one in heard.notifications} == {"t"}


async def test_many_calls_at_once_each_get_their_own_answer(link: Link) -> None:
    answers: dict[int, object] = {}

    async def call(number: int) -> None:
        answers[number] = (await Heard().ask(link, "test/echo", {"number": number}))["got"]["number"]

    async with anyio.create_task_group() as group:
        for number in range(100):
            group.start_soon(call, number)

    assert answers == {number: number for number in range(100)}


async def test_a_closed_link_is_not_alive(link: Link) -> None:
    assert link.alive
    await link.close()
    assert not link.alive
    await link.close()
