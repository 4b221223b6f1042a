"""What a client hears without having asked, and waiting for it."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import anyio
from mcp import Client

TOOLS = "notifications/tools/list_changed"
UPDATED = "notifications/resources/updated"

PATIENCE = 180
"""Seconds anything may take before a test gives up: two busy cores are slow, and a server that came back is found
within a minute only.
"""

ASK_AGAIN = 1.0
"""Seconds between two tries of something that is heard only by who listens already."""


class Heard:
    """A `message_handler` of the SDK's client: keeps every notification, by its method."""

    def __init__(self) -> None:
        self.methods: list[str] = []
        self.params: list[dict[str, Any]] = []
        self._news = anyio.Event()

    async def __call__(self, message: Any) -> None:
        """Take one message; failures of the transport are kept under their type's name."""
        if isinstance(message, Exception):
            self.note(type(message).__name__, {})
        elif hasattr(message, "model_dump"):
            raw = json.loads(message.model_dump_json(by_alias=True, exclude_none=True))
            self.note(str(raw.get("method")), raw.get("params") or {})

    def note(self, method: str, params: dict[str, Any]) -> None:
        self.methods.append(method)
        self.params.append(params)
        self._news.set()
        self._news = anyio.Event()

    def forget(self) -> None:
        """Forget what was heard so far."""
        self.methods.clear()
        self.params.clear()

    async def until(self, method: str) -> dict[str, Any]:
        """Wait for a notification of this method; gives its params."""
        with anyio.fail_after(PATIENCE):
            while method not in self.methods:
                await self._news.wait()
        return self.params[self.methods.index(method)]

    async def after(self, cause: Callable[[], Awaitable[object]], method: str) -> dict[str, Any]:
        """Do something until it is heard of: a legacy client cannot know when its standing stream is open."""
        with anyio.fail_after(PATIENCE):
            while method not in self.methods:
                await cause()
                with anyio.move_on_after(ASK_AGAIN):
                    await self.until(method)
        return await self.until(method)


@asynccontextmanager
async def hears_of_tools(client: Client, heard: Heard, grow: str) -> AsyncIterator[None]:
    """Hear of changed tools in the client's own era; begins when it is certain that they are heard.

    `grow` names a tool of the lively server which makes it tell that its tools changed.
    """
    if client.protocol_version != "2026-07-28":
        await heard.after(lambda: client.call_tool(grow, {"name": "grown"}), TOOLS)
        heard.forget()
        yield
        return

    ready = anyio.Event()

    async def follow() -> None:
        while True:  # a stream that ends gracefully asks its client to listen anew
            async with client.listen(tools_list_changed=True) as subscription:
                ready.set()
                async for event in subscription:
                    heard.note(TOOLS, {"event": type(event).__name__})

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(follow)
        await ready.wait()
        yield
        tasks.cancel_scope.cancel()
