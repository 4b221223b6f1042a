"""The yardstick: a reverse proxy of uvicorn and aiohttp that copies bytes and knows nothing of MCP.

`python -m benchmarks.proxy PORT LEGACY_URL MODERN_URL`; the second segment of the path says which upstream is meant.
"""

import sys
from collections.abc import Awaitable, Callable
from typing import Any

import aiohttp
import uvicorn

Scope = dict[str, Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]

HOP = {b"connection", b"content-length", b"host", b"keep-alive", b"transfer-encoding"}


class Proxy:
    """The ASGI application. One aiohttp session for everything, as a gateway has."""

    def __init__(self, upstreams: dict[str, str]) -> None:
        self._upstreams = upstreams
        self._session: aiohttp.ClientSession

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._live(receive, send)
        else:
            await self._pass_on(scope, receive, send)

    async def _live(self, receive: Receive, send: Send) -> None:
        await receive()
        connector = aiohttp.TCPConnector(limit=0)
        async with aiohttp.ClientSession(connector=connector, auto_decompress=False) as self._session:
            await send({"type": "lifespan.startup.complete"})
            await receive()
        await send({"type": "lifespan.shutdown.complete"})

    async def _pass_on(self, scope: Scope, receive: Receive, send: Send) -> None:
        body, more = b"", True
        while more:
            message = await receive()
            body, more = body + message.get("body", b""), message.get("more_body", False)
        url = self._upstreams[scope["path"].split("/")[2]]
        headers = [(name.decode(), value.decode("latin-1")) for name, value in scope["headers"] if name not in HOP]
        async with self._session.request(scope["method"], url, data=body, headers=headers) as reply:
            content = await reply.read()
            kept = [(name.lower(), value) for name, value in reply.raw_headers if name.lower() not in HOP]
        kept.append((b"content-length", str(len(content)).encode()))
        await send({"type": "http.response.start", "status": reply.status, "headers": kept})
        await send({"type": "http.response.body", "body": content})


if __name__ == "__main__":
    uvicorn.run(
        Proxy({"legacy": sys.argv[2], "modern": sys.argv[3]}),
        port=int(sys.argv[1]),
        loop="uvloop",
        http="httptools",
        access_log=False,
        log_level="warning",
    )
