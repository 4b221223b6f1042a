"""One call of a tool or prompt of the fixture server, and its way of asking the client something back.

A legacy call asks at once, by requests on its own stream. A modern call cannot: it ends with an `input_required`
result and runs again from the start when the client retries, now with answers.
"""

import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import anyio
from mcp.server.context import ServerRequestContext
from mcp.shared.exceptions import MCPError
from mcp.shared.message import ServerMessageMetadata
from mcp_types import (
    MISSING_REQUIRED_CLIENT_CAPABILITY,
    CreateMessageRequest,
    CreateMessageResult,
    ElicitRequest,
    ElicitResult,
    ListRootsRequest,
    ListRootsResult,
)
from mcp_types.version import MODERN_PROTOCOL_VERSIONS

Json = dict[str, Any]
Context = ServerRequestContext[Any, Any]

QUESTIONS: dict[str, tuple[Any, Any]] = {
    "elicitation/create": (ElicitRequest, ElicitResult),
    "sampling/createMessage": (CreateMessageRequest, CreateMessageResult),
    "roots/list": (ListRootsRequest, ListRootsResult),
}
NEEDED_CAPABILITY = {"elicitation/create": "elicitation", "sampling/createMessage": "sampling", "roots/list": "roots"}


class ToolError(Exception):
    """The tool ran and failed: a result with `isError`, not a JSON-RPC error."""


class InputRequiredError(Exception):
    """A modern call cannot go on without answers; becomes an `input_required` result."""

    def __init__(self, questions: Json, state: str) -> None:
        super().__init__("input required")
        self.result: Json = {"resultType": "input_required", "inputRequests": questions, "requestState": state}


def lacking(capabilities: Json) -> MCPError:
    """The error for a client that did not declare what the call needs."""
    return MCPError(
        MISSING_REQUIRED_CLIENT_CAPABILITY,
        "The client does not declare a capability this needs",
        {"requiredCapabilities": capabilities},
    )


@dataclass(frozen=True)
class RawNotification:
    """A notification of any method and shape, where the SDK expects one of its own models."""

    method: str
    params: Json

    def model_dump(self, **_: Any) -> Json:
        return {"method": self.method, "params": self.params}


@dataclass(frozen=True)
class Call:
    """The call as a handler sees it. `params` are raw; `requestState` in them is already opened by the SDK."""

    ctx: Context

    @property
    def params(self) -> Json:
        return dict(self.ctx.params or {})

    @property
    def arguments(self) -> Json:
        return self.params.get("arguments") or {}

    @property
    def modern(self) -> bool:
        return self.ctx.protocol_version in MODERN_PROTOCOL_VERSIONS

    @property
    def resumed(self) -> bool:
        """The client brought back a state that this server sealed."""
        return isinstance(self.params.get("requestState"), str)

    @property
    def capabilities(self) -> Json:
        declared = self.ctx.session.client_capabilities
        return {} if declared is None else declared.model_dump(by_alias=True, mode="json", exclude_none=True)

    def may_ask(self, method: str) -> bool:
        return NEEDED_CAPABILITY[method] in self.capabilities

    def require(self, capability: str) -> None:
        """Refuse with -32021, in either era, when the client does not declare the capability."""
        if capability not in self.capabilities:
            raise lacking({capability: {}})

    async def notify(self, method: str, params: Json) -> None:
        """Send a notification on this call's own stream."""
        notification: Any = RawNotification(method, params)
        await self.ctx.session.send_notification(notification, related_request_id=self.ctx.request_id)

    async def log(self, text: str) -> None:
        """Log at level info; a modern client that asked for no log in this call gets none."""
        meta = self.params.get("_meta") or {}
        if not self.modern or "io.modelcontextprotocol/logLevel" in meta:
            await self.notify("notifications/message", {"level": "info", "data": text})

    async def progress(self, progress: int, total: int) -> None:
        token = (self.params.get("_meta") or {}).get("progressToken")
        if token is not None:
            await self.notify("notifications/progress", {"progressToken": token, "progress": progress, "total": total})

    async def ask(self, questions: dict[str, Json]) -> dict[str, Json]:
        """Ask the client everything at once and return its answers under the same keys.

        Raises:
            InputRequiredError: modern, and an answer is missing or no answer at all.
            MCPError: modern, and the client did not declare what a question needs.
            ToolError: legacy, and the client cannot or does not answer.
        """
        forbidden = [question["method"] for question in questions.values() if not self.may_ask(question["method"])]
        if self.modern:
            if forbidden:
                raise lacking({NEEDED_CAPABILITY[method]: {} for method in forbidden})
            return self._answers(questions)
        if forbidden:
            raise ToolError(f"The client does not support {', '.join(forbidden)}")
        return await self._ask_now(questions)

    def _answers(self, questions: dict[str, Json]) -> dict[str, Json]:
        state = self.params.get("requestState")
        given = json.loads(state) if isinstance(state, str) else {}
        given |= self.params.get("inputResponses") or {}
        missing = {key: question for key, question in questions.items() if not isinstance(given.get(key), dict)}
        if missing:
            raise InputRequiredError(missing, json.dumps(given))
        return {key: given[key] for key in questions}

    async def _ask_now(self, questions: dict[str, Json]) -> dict[str, Json]:
        answers: dict[str, Json] = {}
        failures: list[MCPError] = []

        async def ask_one(key: str, question: Json) -> None:
            request, result = QUESTIONS[question["method"]]
            typed = request.model_validate(question, by_name=False)
            on_this_call = ServerMessageMetadata(related_request_id=self.ctx.request_id)
            try:
                answer = await self.ctx.session.send_request(typed, result, metadata=on_this_call)
                answers[key] = answer.model_dump(by_alias=True, mode="json", exclude_none=True)
            except MCPError as error:
                failures.append(error)

        async with anyio.create_task_group() as asking:
            for key, question in questions.items():
                asking.start_soon(partial(ask_one, key, question))
        if failures:
            raise ToolError(f"The client did not answer: {failures[0].error.message}")
        return answers


Handler = Callable[[Call], Awaitable[Json]]


@dataclass(frozen=True)
class Tool:
    """A tool's definition as it is listed, and what runs when it is called."""

    definition: Json
    run: Handler

    @property
    def name(self) -> str:
        return str(self.definition["name"])


def tool(name: str, description: str, run: Handler, schema: Json | None = None) -> Tool:
    """A tool; without a schema it takes no arguments."""
    empty = {"type": "object", "properties": {}}
    return Tool({"name": name, "description": description, "inputSchema": schema or empty}, run)
