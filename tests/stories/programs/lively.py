"""An upstream that changes, waits and dies on demand: `python -m tests.stories.programs.lively NAME [--port PORT]`.

It speaks over stdio, or, with a port (0 takes a free one), over HTTP on loopback, and then prints `ready URL`. Both
eras over stdio; over HTTP those of `--era`. SIGUSR1 releases waiting calls of one over stdio. With `--unless FILE` it
does not start while that file exists.
"""

import argparse
import asyncio
import os
import signal
import socket
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, get_args

import anyio
import uvicorn
from mcp.server.caching import CacheableMethod, CacheHint
from mcp.server.context import CallNext, HandlerResult
from mcp.server.lowlevel.server import NotificationOptions, Server
from mcp.server.models import InitializationOptions
from mcp.server.stdio import stdio_server
from mcp.shared.exceptions import MCPError
from mcp_types import INVALID_PARAMS, RequestParams

from tests.conformance.everything.call import Call, Context, Json, tool
from tests.conformance.everything.changes import Changes
from tests.conformance.everything.content import result, text
from tests.conformance.everything.eras import gate

NOTE = "note://one"
LINKED = "note://linked"
PAGE = 100
"""Things on one page of its tool list."""

ANYTHING: Json = {"type": "object"}


class ChangingServer(Server[Any]):
    """The SDK's server, which here tells legacy clients that its lists may change."""

    def create_initialization_options(
        self,
        notification_options: NotificationOptions | None = None,
        experimental_capabilities: dict[str, dict[str, Any]] | None = None,
        extensions: dict[str, dict[str, Any]] | None = None,
    ) -> InitializationOptions:
        all_change = NotificationOptions(prompts_changed=True, resources_changed=True, tools_changed=True)
        return super().create_initialization_options(all_change, experimental_capabilities, extensions)


class Lively:
    """What it does, method by method, on raw params."""

    def __init__(self, name: str, many: int) -> None:
        self.name = name
        self.changes = Changes()
        self.note = "empty"
        self.released = anyio.Event()
        extra = [tool(f"number_{index}", f"Says {index}", self._count) for index in range(many)]
        made = [
            tool("echo", "Says the same again", self._echo, ANYTHING),
            tool("where", "Says which process it is, and with whom it speaks", self._where),
            tool("meta", "Says the `_meta` it was called with", self._meta),
            tool("wait", "Reports progress once, then waits until it is released", self._wait),
            tool("release", "Lets every waiting call go on", self._release),
            tool("grow", "Adds a tool and tells of it", self._grow, ANYTHING),
            tool("write", "Changes the note and tells of it", self._write, ANYTHING),
            tool("link", "Links to a resource", self._link),
            tool("fail", "Is an error for the protocol", self._fail),
            tool("fail/in words: every time, and with a name that is far too long for a hub", "Fails", self._refuse),
        ]
        self.tools = {one.name: one for one in [*made, *extra]}

    async def list_tools(self, call: Call) -> Json:
        start = int(call.params.get("cursor", 0))
        everything = [one.definition for one in self.tools.values()]
        more = {"nextCursor": str(start + PAGE)} if start + PAGE < len(everything) else {}
        return {"tools": everything[start : start + PAGE], **more}

    async def call_tool(self, call: Call) -> Json:
        one = self.tools.get(call.params["name"])
        if one is None:
            raise MCPError(INVALID_PARAMS, f"Unknown tool: {call.params['name']}")
        return await one.run(call)

    async def list_resources(self, call: Call) -> Json:
        return {"resources": [{"uri": NOTE, "name": "note", "mimeType": "text/plain"}]}

    async def list_templates(self, call: Call) -> Json:
        return {"resourceTemplates": [{"uriTemplate": "note://old/{day}", "name": "old notes"}]}

    async def read(self, call: Call) -> Json:
        uri = call.params["uri"]
        if uri not in (NOTE, LINKED) and not uri.startswith("note://old/"):
            raise MCPError(INVALID_PARAMS if call.modern else -32002, "Resource not found", {"uri": uri})
        said = self.note if uri == NOTE else f"{self.name}: {uri}"
        return {"contents": [{"uri": uri, "mimeType": "text/plain", "text": said}]}

    async def list_prompts(self, call: Call) -> Json:
        return {"prompts": [{"name": "greet", "arguments": [{"name": "whom", "required": True}]}]}

    async def get_prompt(self, call: Call) -> Json:
        said = text(f"{self.name} greets {call.arguments['whom']}")
        return {"messages": [{"role": "user", "content": said}]}

    async def complete(self, call: Call) -> Json:
        typed = call.params["argument"]["value"]
        values = [word for word in (f"{self.name}-anna", f"{self.name}-bert") if word.startswith(typed)]
        return {"completion": {"values": values, "total": len(values), "hasMore": False}}

    async def accept(self, call: Call) -> Json:
        """Everybody hears of everything; there is nothing to remember."""
        return {}

    async def remember(self, ctx: Context, call_next: CallNext) -> HandlerResult:
        """Middleware: a legacy client that has shaken hands hears of changes from now on."""
        if ctx.method == "notifications/initialized":
            self.changes.remember(ctx.session)
        return await call_next(ctx)

    async def _echo(self, call: Call) -> Json:
        return result(text(f"{self.name}: {call.arguments['text']}"))

    async def _count(self, call: Call) -> Json:
        return result(text(call.params["name"]))

    async def _where(self, call: Call) -> Json:
        return {**result(text(str(os.getpid()))), "structuredContent": {"pid": os.getpid()}}

    async def _meta(self, call: Call) -> Json:
        return {**result(text("meta")), "structuredContent": call.params.get("_meta") or {}}

    async def _wait(self, call: Call) -> Json:
        await call.progress(1, 2)
        await self.released.wait()
        return result(text(f"{self.name} was released"))

    def release(self) -> None:
        """Let every waiting call go on."""
        self.released.set()
        self.released = anyio.Event()

    async def _release(self, call: Call) -> Json:
        self.release()
        return result(text("released"))

    async def _grow(self, call: Call) -> Json:
        name = call.arguments["name"]
        self.tools[name] = tool(name, "Grown", self._echo, ANYTHING)
        await self.changes.publish("notifications/tools/list_changed", {})
        return result(text(f"{name} is there"))

    async def _write(self, call: Call) -> Json:
        self.note = call.arguments["text"]
        await self.changes.publish("notifications/resources/updated", {"uri": NOTE})
        return result(text("written"))

    async def _link(self, call: Call) -> Json:
        return result({"type": "resource_link", "uri": LINKED, "name": "linked"})

    async def _fail(self, call: Call) -> Json:
        raise MCPError(-31999, "It failed on purpose", {"secret": "argument"})

    async def _refuse(self, call: Call) -> Json:
        return {**result(text("No, with a long name.")), "isError": True}


def build(lively: Lively) -> ChangingServer:
    """The server."""
    server = ChangingServer(
        lively.name,
        version="1.0.0",
        instructions=f"Ask {lively.name} for anything.",
        cache_hints=dict.fromkeys(get_args(CacheableMethod), CacheHint(ttl_ms=0, scope="private")),
        get_tool_input_schema=lambda tool: (
            lively.tools[tool].definition["inputSchema"] if tool in lively.tools else None
        ),
        on_subscriptions_listen=lively.changes.listen,  # type: ignore[arg-type]  # a raw result
    )
    served: dict[str, Callable[[Call], Awaitable[Json]]] = {
        "tools/list": lively.list_tools,
        "tools/call": lively.call_tool,
        "resources/list": lively.list_resources,
        "resources/templates/list": lively.list_templates,
        "resources/read": lively.read,
        "resources/subscribe": lively.accept,
        "resources/unsubscribe": lively.accept,
        "prompts/list": lively.list_prompts,
        "prompts/get": lively.get_prompt,
        "completion/complete": lively.complete,
    }
    for method, handle in served.items():
        server.add_request_handler(method, RequestParams, _typed(handle))
    server.middleware.append(lively.remember)
    return server


def _typed(handle: Callable[[Call], Awaitable[Json]]) -> Callable[[Context, RequestParams], Awaitable[Json]]:
    async def handler(ctx: Context, _params: RequestParams) -> Json:
        call = Call(ctx)
        answer = await handle(call)
        return {"resultType": "complete", **answer} if call.modern else answer

    return handler


async def _over_stdio(lively: Lively) -> None:
    server = build(lively)
    asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, lively.release)
    async with stdio_server() as (read, write):
        await server.run(read, write, server.create_initialization_options())


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("name")
    parser.add_argument("--port", type=int)
    parser.add_argument("--era", choices=["legacy", "modern", "both"], default="both")
    parser.add_argument("--many", type=int, default=0)
    parser.add_argument("--unless", type=Path)
    chosen = parser.parse_args()
    if chosen.unless is not None and chosen.unless.exists():
        sys.exit(f"{chosen.unless} is in the way")
    lively = Lively(chosen.name, chosen.many)
    if chosen.port is None:
        asyncio.run(_over_stdio(lively))
        return
    listening = socket.create_server(("127.0.0.1", chosen.port))
    config = uvicorn.Config(
        gate(build(lively).streamable_http_app(), chosen.era),
        log_level="warning",
        lifespan="on",
        timeout_graceful_shutdown=1,
    )
    print(f"ready http://127.0.0.1:{listening.getsockname()[1]}/mcp", flush=True)
    uvicorn.Server(config).run(sockets=[listening])


if __name__ == "__main__":
    main()
