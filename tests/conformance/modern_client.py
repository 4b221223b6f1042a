"""A client of 2026-07-28 that speaks in plain dicts, where the SDK's would tidy up what the suite looks at."""

import itertools
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Self

import httpx2
from mcp.shared.inbound import NAME_BEARING_METHODS, encode_header_value, mcp_param_headers, x_mcp_header_map

from tests.conformance.suite import MODERN

Json = dict[str, Any]
PREFIX = "io.modelcontextprotocol/"
CAPABILITIES: Json = {"elicitation": {}, "sampling": {}, "roots": {}}

NAMED_BY = {**NAME_BEARING_METHODS, **dict.fromkeys(["tasks/get", "tasks/update", "tasks/cancel"], "taskId")}
"""The member of params that `Mcp-Name` repeats; the tasks extension adds its methods to the SDK's list."""


class ModernClient:
    """Sends requests to one endpoint; knows the tools it listed, so that it can mirror arguments into headers."""

    def __init__(self, url: str, capabilities: Json = CAPABILITIES) -> None:
        self._url = url
        self._capabilities = capabilities
        self._http = httpx2.AsyncClient(timeout=20)
        self._ids = itertools.count(1)
        self._schemas: dict[str, Json] = {}

    async def __aenter__(self) -> Self:
        await self._http.__aenter__()
        return self

    async def __aexit__(self, *raised: Any) -> None:
        await self._http.__aexit__(*raised)

    async def request(self, method: str, params: Json | None = None) -> Json:
        """Send one request and give its result.

        Raises:
            AssertionError: the answer is an error, or none.
        """
        body = self._body(method, params or {})
        answer = await self._http.post(self._url, json=body, headers=self._headers(method, params or {}))
        message = next((said for said in _messages(answer) if said.get("id") == body["id"]), {})
        assert "result" in message, f"{method}: HTTP {answer.status_code} {answer.text[:500]}"
        return dict(message["result"])

    @asynccontextmanager
    async def listen(self, notifications: Json) -> AsyncIterator[AsyncIterator[Json]]:
        """Open a `subscriptions/listen`; gives what is said on it, the acknowledgement first."""
        method, params = "subscriptions/listen", {"notifications": notifications}
        body, headers = self._body(method, params), self._headers(method, params)
        async with self._http.stream("POST", self._url, json=body, headers=headers) as answer:
            yield (json.loads(line[5:]) async for line in answer.aiter_lines() if line.startswith("data:"))

    async def tools(self) -> list[Json]:
        listed: list[Json] = (await self.request("tools/list"))["tools"]
        self._schemas |= {tool["name"]: tool["inputSchema"] for tool in listed}
        return listed

    async def call_once(self, name: str, arguments: Json) -> Json:
        """Call a tool and give the first answer, which may be a question."""
        return await self.request("tools/call", {"name": name, "arguments": arguments})

    async def call(self, name: str, arguments: Json) -> Json:
        """Call a tool, accepting whatever it asks."""
        return await self.answer(name, arguments, await self.call_once(name, arguments))

    async def answer(self, name: str, arguments: Json, asked: Json) -> Json:
        """Go on with a call that asked back, until it is done."""
        while asked.get("resultType") == "input_required":
            accepted = {"action": "accept", "content": {"confirmed": True}}
            again = {
                "name": name,
                "arguments": arguments,
                "inputResponses": dict.fromkeys(asked["inputRequests"], accepted),
            }
            state = {"requestState": asked["requestState"]} if "requestState" in asked else {}
            asked = await self.request("tools/call", {**again, **state})
        return asked

    def _body(self, method: str, params: Json) -> Json:
        meta = {
            f"{PREFIX}protocolVersion": MODERN,
            f"{PREFIX}clientInfo": {"name": "conformance-driver", "version": "1"},
            f"{PREFIX}clientCapabilities": self._capabilities,
        }
        return {"jsonrpc": "2.0", "id": next(self._ids), "method": method, "params": {**params, "_meta": meta}}

    def _headers(self, method: str, params: Json) -> dict[str, str]:
        headers = {
            "Accept": "application/json, text/event-stream",
            "MCP-Protocol-Version": MODERN,
            "Mcp-Method": method,
        }
        if method in NAMED_BY:
            headers["Mcp-Name"] = encode_header_value(params[NAMED_BY[method]])
        if method == "tools/call" and params["name"] in self._schemas:
            headers |= mcp_param_headers(x_mcp_header_map(self._schemas[params["name"]]), params["arguments"])
        return headers


def _messages(answer: httpx2.Response) -> list[Json]:
    if answer.headers.get("content-type", "").startswith("text/event-stream"):
        lines = (line.removeprefix("data:").strip() for line in answer.text.splitlines() if line.startswith("data:"))
        return [json.loads(line) for line in lines if line]
    return [answer.json()] if answer.content else []
