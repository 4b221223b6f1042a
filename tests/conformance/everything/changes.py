"""What happens on the fixture server besides calls, told to whoever listens in their own era's way.

Legacy sessions get every change on their standing stream; modern clients get what their `subscriptions/listen`
request named, tagged with its id.
"""

from collections.abc import Callable
from typing import Any

import anyio
from mcp.server.context import ServerRequestContext
from mcp.server.session import ServerSession

from tests.conformance.everything.call import Call, Json, RawNotification, lacking

TASKS_EXTENSION = "io.modelcontextprotocol/tasks"
SUBSCRIPTION_ID = "io.modelcontextprotocol/subscriptionId"
FLAGS = {
    "notifications/tools/list_changed": "toolsListChanged",
    "notifications/prompts/list_changed": "promptsListChanged",
    "notifications/resources/list_changed": "resourcesListChanged",
}

Listener = Callable[[str, Json], None]


def wanted(filter_: Json, method: str, params: Json) -> bool:
    """Whether a listen filter asks for this notification."""
    if method == "notifications/tasks":
        return params["taskId"] in filter_.get("taskIds", [])
    if method == "notifications/resources/updated":
        return params["uri"] in filter_.get("resourceSubscriptions", [])
    return filter_.get(FLAGS[method]) is True


class Changes:
    """Everybody who listens. Sessions that are gone are forgotten at the next change."""

    def __init__(self) -> None:
        self._sessions: dict[int, ServerSession] = {}
        self._listeners: dict[object, Listener] = {}

    def remember(self, session: ServerSession) -> None:
        """Tell this legacy session of changes from now on."""
        self._sessions[id(session)] = session

    async def publish(self, method: str, params: Json) -> None:
        for listener in list(self._listeners.values()):
            listener(method, params)
        if method == "notifications/tasks":
            return  # belongs to the modern extension alone
        notification: Any = RawNotification(method, params)
        for key, session in list(self._sessions.items()):
            try:
                await session.send_notification(notification)
            except (anyio.BrokenResourceError, anyio.ClosedResourceError):
                self._sessions.pop(key, None)

    async def listen(self, ctx: ServerRequestContext[Any, Any], _params: Any) -> Json:
        """Serve one `subscriptions/listen` until its client goes away."""
        call = Call(ctx)
        filter_ = {name: value for name, value in (call.params.get("notifications") or {}).items() if value}
        if "taskIds" in filter_ and TASKS_EXTENSION not in call.capabilities.get("extensions", {}):
            raise lacking({"extensions": {TASKS_EXTENSION: {}}})
        tag: Json = {"_meta": {SUBSCRIPTION_ID: ctx.request_id}}
        send, receive = anyio.create_memory_object_stream[tuple[str, Json]](1000)

        def deliver(method: str, params: Json) -> None:
            if wanted(filter_, method, params):
                send.send_nowait((method, params))

        with send, receive:
            self._listeners[send] = deliver
            try:
                await call.notify("notifications/subscriptions/acknowledged", {"notifications": filter_, **tag})
                async for method, params in receive:
                    await call.notify(method, {**params, **tag})
            finally:
                del self._listeners[send]
        return tag
