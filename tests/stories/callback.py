"""Where a client waits for the browser to come back: a loopback port of its own, as RFC 8252 section 7.3 has it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import parse_qsl

import anyio
from starlette.types import Receive, Scope, Send

from tests.stories.gateway import serving
from tests.stories.hearing import PATIENCE

PAGE = (
    b'<!doctype html><html lang=en><link rel=icon href="data:,"><title>Done</title><h1>You may close this window.</h1>'
)


class Callback:
    """Takes what the authorization server sends back. `url` is the redirect URI."""

    def __init__(self) -> None:
        self.url = ""
        self._send, self._answers = anyio.create_memory_object_stream[dict[str, str]](100)

    async def answer(self) -> dict[str, str]:
        """The next answer's parameters, each of which came once; waits for it.

        Raises:
            TimeoutError: no browser came back.
            AssertionError: a parameter came twice (RFC 6749 section 3.1 forbids it).
        """
        with anyio.fail_after(PATIENCE):
            return await self._answers.receive()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve it, as an ASGI application."""
        if scope["type"] == "lifespan":
            while (await receive())["type"] == "lifespan.startup":
                await send({"type": "lifespan.startup.complete"})
            await send({"type": "lifespan.shutdown.complete"})
            return
        if scope["path"] == "/callback":
            pairs = parse_qsl(scope["query_string"].decode(), keep_blank_values=True)
            assert len(dict(pairs)) == len(pairs), pairs
            self._send.send_nowait(dict(pairs))
        headers = [(b"content-type", b"text/html; charset=utf-8"), (b"content-length", b"%d" % len(PAGE))]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": PAGE})

    def close(self) -> None:
        self._send.close()
        self._answers.close()


@asynccontextmanager
async def callback() -> AsyncIterator[Callback]:
    """Wait for browsers at `http://127.0.0.1:PORT/callback` until the block ends."""
    waiting = Callback()
    try:
        async with serving(waiting) as origin:
            waiting.url = f"{origin}/callback"
            yield waiting
    finally:
        waiting.close()
