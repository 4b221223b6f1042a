"""The conformance suite's "everything" server: every handler, on the SDK's low-level `Server`.

What it serves does not depend on the era, except that tasks exist in the modern one only.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, get_args

import anyio
from anyio.abc import TaskGroup
from mcp.server.caching import CacheableMethod, CacheHint
from mcp.server.context import CallNext, HandlerResult
from mcp.server.lowlevel.server import NotificationOptions, Server
from mcp.server.models import InitializationOptions
from mcp.server.request_state import RequestStateBoundary, RequestStateSecurity
from mcp.shared.exceptions import MCPError
from mcp_types import INVALID_PARAMS, RequestParams

from tests.conformance.everything.asking import asking_tools
from tests.conformance.everything.call import Call, Context, InputRequiredError, Json, Tool, ToolError
from tests.conformance.everything.changes import TASKS_EXTENSION, Changes
from tests.conformance.everything.content import text
from tests.conformance.everything.prompts import complete, get_prompt, prompt_list
from tests.conformance.everything.resources import read_resource, resource_list, template_list
from tests.conformance.everything.tasks import Tasks, task_tools
from tests.conformance.everything.tools import plain_tools

NAME = "everything"


class Everything(Server[TaskGroup]):
    """The SDK's server, which here tells legacy clients that its lists may change."""

    def create_initialization_options(
        self,
        notification_options: NotificationOptions | None = None,
        experimental_capabilities: dict[str, dict[str, Any]] | None = None,
        extensions: dict[str, dict[str, Any]] | None = None,
    ) -> InitializationOptions:
        all_change = NotificationOptions(prompts_changed=True, resources_changed=True, tools_changed=True)
        return super().create_initialization_options(all_change, experimental_capabilities, {})


@asynccontextmanager
async def _background(_server: Server[TaskGroup]) -> AsyncIterator[TaskGroup]:
    """Where tasks go on after their call was answered."""
    async with anyio.create_task_group() as tasks:
        yield tasks
        tasks.cancel_scope.cancel()


class Handlers:
    """What the server does, method by method, on raw params."""

    def __init__(self, with_tasks: bool) -> None:
        self.changes = Changes()
        self.tasks = Tasks(self.changes)
        lasting = task_tools(self.tasks, lambda call: call.ctx.lifespan_context) if with_tasks else []
        self._everywhere = [*plain_tools(self.changes), *asking_tools()]
        self._modern_only = lasting
        self._by_name = {tool.name: tool for tool in (*self._everywhere, *lasting)}

    def tools(self, call: Call) -> list[Tool]:
        return [*self._everywhere, *(self._modern_only if call.modern else [])]

    def schema(self, name: str) -> Json | None:
        return self._by_name[name].definition["inputSchema"] if name in self._by_name else None

    async def list_tools(self, call: Call) -> Json:
        return {"tools": [tool.definition for tool in self.tools(call)]}

    async def call_tool(self, call: Call) -> Json:
        tool = next((tool for tool in self.tools(call) if tool.name == call.params["name"]), None)
        if tool is None:
            raise MCPError(INVALID_PARAMS, f"Unknown tool: {call.params['name']}")
        try:
            return await tool.run(call)
        except InputRequiredError as needed:
            return needed.result
        except ToolError as failure:
            return {"content": [text(str(failure))], "isError": True}

    async def get_prompt(self, call: Call) -> Json:
        try:
            return await get_prompt(call)
        except InputRequiredError as needed:
            return needed.result
        except ToolError as failure:
            raise MCPError(INVALID_PARAMS, str(failure)) from None

    async def list_prompts(self, call: Call) -> Json:
        return {"prompts": prompt_list()}

    async def list_resources(self, call: Call) -> Json:
        return {"resources": resource_list()}

    async def list_templates(self, call: Call) -> Json:
        return {"resourceTemplates": template_list()}

    async def accept(self, call: Call) -> Json:
        """Nothing to do: the client subscribes, unsubscribes or sets its log level."""
        return {}

    async def remember(self, ctx: Context, call_next: CallNext) -> HandlerResult:
        """Middleware: a legacy client that has shaken hands hears of changes from now on."""
        if ctx.method == "notifications/initialized":
            self.changes.remember(ctx.session)
        return await call_next(ctx)


def build(with_tasks: bool = True) -> Everything:
    """The server; `with_tasks` also offers the tasks extension to modern clients."""
    handlers = Handlers(with_tasks)
    server = Everything(
        NAME,
        version="1.0.0",
        lifespan=_background,
        cache_hints=dict.fromkeys(get_args(CacheableMethod), CacheHint(ttl_ms=0, scope="private")),
        get_tool_input_schema=handlers.schema,
        on_subscriptions_listen=handlers.changes.listen,  # type: ignore[arg-type]  # a raw result
    )
    served: dict[str, Callable[[Call], Awaitable[Json]]] = {
        "tools/list": handlers.list_tools,
        "tools/call": handlers.call_tool,
        "prompts/list": handlers.list_prompts,
        "prompts/get": handlers.get_prompt,
        "resources/list": handlers.list_resources,
        "resources/templates/list": handlers.list_templates,
        "resources/read": read_resource,
        "resources/subscribe": handlers.accept,
        "resources/unsubscribe": handlers.accept,
        "logging/setLevel": handlers.accept,
        "completion/complete": complete,
    }
    if with_tasks:
        server.extensions[TASKS_EXTENSION] = {}
        served |= {
            "tasks/get": handlers.tasks.get,
            "tasks/update": handlers.tasks.update,
            "tasks/cancel": handlers.tasks.cancel,
        }
    for method, handle in served.items():
        server.add_request_handler(method, RequestParams, _typed(handle))
    server.middleware += [
        handlers.remember,
        RequestStateBoundary(RequestStateSecurity.ephemeral(), default_audience=NAME),
    ]
    return server


def _typed(handle: Callable[[Call], Awaitable[Json]]) -> Callable[[Context, RequestParams], Awaitable[Json]]:
    async def handler(ctx: Context, _params: RequestParams) -> Json:
        call = Call(ctx)
        result = await handle(call)
        return {"resultType": "complete", **result} if call.modern else result

    return handler
