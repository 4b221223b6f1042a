"""An MCP client of either era that is quick to start: it does without the SDK, whose import takes longer than the rest.

It says hello, lists and calls tools whose names are plain, and hears of nothing in between.
"""

import itertools
import json
from typing import Any

import httpx2

Json = dict[str, Any]

LEGACY, MODERN = "2025-11-25", "2026-07-28"
INFO = {"name": "conformance-driver", "version": "1"}
PREFIX = "io.modelcontextprotocol/"
BOTH = "application/json, text/event-stream"


class PlainClient:
    """A client at one URL that speaks one revision."""

    def __init__(self, http: httpx2.AsyncClient, url: str, revision: str) -> None:
        self._http, self._url, self._revision = http, url, revision
        self._session = ""
        self._ids = itertools.count(1)

    async def hello(self) -> Json:
        """Shake hands or discover, as the revision has it; gives the answer, result or error."""
        if self._revision == MODERN:
            return await self.ask("server/discover")
        answer = await self.ask("initialize", protocolVersion=LEGACY, capabilities={}, clientInfo=INFO)
        await self._post({"method": "notifications/initialized"})
        return answer

    async def ask(self, method: str, **params: Any) -> Json:
        """Send a request; gives the answer, result or error.

        Raises:
            AssertionError: there is none.
        """
        if self._revision == MODERN:
            about = {"protocolVersion": MODERN, "clientInfo": INFO, "clientCapabilities": {}}
            params["_meta"] = {f"{PREFIX}{name}": value for name, value in about.items()}
        ident = next(self._ids)
        answer = await self._post({"id": ident, "method": method, "params": params})
        self._session = answer.headers.get("mcp-session-id", self._session)
        found = next((message for message in _messages(answer) if message.get("id") == ident), None)
        assert found is not None, f"{method}: HTTP {answer.status_code} {answer.text[:1000]}"
        return found

    async def _post(self, message: Json) -> httpx2.Response:
        headers = {"Accept": BOTH}
        if self._revision == MODERN:
            headers |= {"MCP-Protocol-Version": MODERN, "Mcp-Method": message["method"]}
            if "name" in message.get("params", {}):
                headers["Mcp-Name"] = message["params"]["name"]
        elif self._session:
            headers |= {"MCP-Protocol-Version": LEGACY, "Mcp-Session-Id": self._session}
        return await self._http.post(self._url, json={"jsonrpc": "2.0", **message}, headers=headers)


def _messages(answer: httpx2.Response) -> list[Json]:
    if answer.headers.get("content-type", "").startswith("text/event-stream"):
        lines = [line.removeprefix("data:").strip() for line in answer.text.splitlines() if line.startswith("data:")]
        return [json.loads(line) for line in lines if line]
    return [answer.json()] if "json" in answer.headers.get("content-type", "") else []
