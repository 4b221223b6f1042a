"""An MCP client over streamable HTTP that knows no schema: it sends what it is given and keeps what it hears."""

import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import anyio
import httpx2
from mcp.shared.inbound import encode_header_value

Json = dict[str, Any]

MODERN = "2026-07-28"
LEGACY = "2025-11-25"
INFO: Json = {"name": "raw-client", "version": "1", "x-unknown": [None, 2**64]}
CAPABILITIES_KEY = "io.modelcontextprotocol/clientCapabilities"
ENVELOPE: Json = {
    "io.modelcontextprotocol/protocolVersion": MODERN,
    "io.modelcontextprotocol/clientInfo": INFO,
    CAPABILITIES_KEY: {"x-unknown": {"none": None, "large": 2**65}},
}
NAMES = {"tools/call": "name", "prompts/get": "name", "resources/read": "uri"}
BOTH = "application/json, text/event-stream"

OnRequest = Callable[[Json], Json]
"""Answers a server's request: `{"result": …}` or `{"error": …}`."""


def canonical(value: Any) -> str:
    """A text that is equal exactly for equal JSON: `1`, `1.0` and `true` differ, the order of members does not."""
    return json.dumps(value, sort_keys=True, indent=1)


@dataclass
class Heard:
    """One HTTP answer: the messages it held, in wire order."""

    status: int
    headers: httpx2.Headers
    messages: list[Json] = field(default_factory=list)
    body: bytes = b""

    @property
    def answer(self) -> Json:
        """The response; it must be there, and be the last message."""
        assert self.messages, f"HTTP {self.status} without a message: {self.body!r}"
        assert "method" not in self.messages[-1]
        return self.messages[-1]

    @property
    def notifications(self) -> list[Json]:
        """What came before the response."""
        return [message for message in self.messages if "method" in message and "id" not in message]


class Opened:
    """An HTTP answer that is being read."""

    def __init__(self, response: httpx2.Response) -> None:
        self.response = response
        self.is_events = response.headers.get("content-type", "").startswith("text/event-stream")

    async def messages(self) -> AsyncIterator[Json]:
        """Each message as it comes."""
        if not self.is_events:
            body = await self.response.aread()
            if body:
                yield json.loads(body)
            return
        buffer = b""
        async for chunk in self.response.aiter_bytes():
            *events, buffer = (buffer + chunk.replace(b"\r", b"")).split(b"\n\n")
            for event in events:
                data = [line[5:] for line in event.split(b"\n") if line.startswith(b"data:")]
                if data:
                    yield json.loads(b"\n".join(data))


class RawClient:
    """A client at one URL. `session` is the legacy session's id once `hello` has been said; `key` its API key.

    `capabilities` are what a modern client declares with each request, in place of some that no schema knows.
    """

    def __init__(self, http: httpx2.AsyncClient, url: str, era: str, key: str = "") -> None:
        self._http, self.url, self.era, self.key = http, url, era, key
        self.session = ""
        self.capabilities: Json | None = None
        self._ids = 0

    def headers(self, message: Json) -> dict[str, str]:
        """What goes with a message in this era."""
        headers = {"accept": BOTH, "content-type": "application/json"}
        if self.key:
            headers["authorization"] = f"Bearer {self.key}"
        if self.era == "legacy":
            version = {"mcp-protocol-version": LEGACY} if self.session else {}
            return {**headers, **version, **({"mcp-session-id": self.session} if self.session else {})}
        headers |= {"mcp-protocol-version": MODERN, "mcp-method": str(message.get("method", ""))}
        name = (message.get("params") or {}).get(NAMES.get(message.get("method", ""), ""))
        return {**headers, "mcp-name": encode_header_value(name)} if isinstance(name, str) else headers

    def request(self, method: str, params: Json | None = None, *, ident: str | int | None = None) -> Json:
        """A request message; the modern envelope is put under what `_meta` holds."""
        self._ids += 1
        message: Json = {"jsonrpc": "2.0", "id": self._ids if ident is None else ident, "method": method}
        if self.era == "modern":
            params = dict(params or {})
            declared = {} if self.capabilities is None else {CAPABILITIES_KEY: self.capabilities}
            params["_meta"] = {**ENVELOPE, **declared, **params.get("_meta", {})}
        return message if params is None else {**message, "params": params}

    @asynccontextmanager
    async def open(self, message: Json | bytes, **more: str) -> AsyncIterator[Opened]:
        """POST a message, or any bytes; leaving the block early closes the connection. `more`: headers, `_` for `-`."""
        as_json = message if isinstance(message, dict) else {}
        headers = {**self.headers(as_json), **{name.replace("_", "-"): value for name, value in more.items()}}
        body = message if isinstance(message, bytes) else json.dumps(message).encode()
        async with self._http.stream("POST", self.url, content=body, headers=headers) as response:
            yield Opened(response)

    async def post(self, message: Json | bytes, on_request: OnRequest | None = None, **more: str) -> Heard:
        """POST and read the answer to its end; a server's requests are answered by `on_request`."""
        async with self.open(message, **more) as opened:
            heard = Heard(opened.response.status_code, opened.response.headers)
            if not opened.is_events and "json" not in opened.response.headers.get("content-type", ""):
                heard.body = await opened.response.aread()
                return heard
            async for each in opened.messages():
                heard.messages.append(each)
                if on_request is not None and "method" in each and "id" in each:
                    await self.post({"jsonrpc": "2.0", "id": each["id"], **on_request(each)})
            return heard

    async def call(self, method: str, params: Json | None = None, *, ident: str | int | None = None) -> Heard:
        """Send a request."""
        return await self.post(self.request(method, params, ident=ident))

    async def notify(self, method: str, params: Json | None = None) -> Heard:
        """Send a notification."""
        message: Json = {"jsonrpc": "2.0", "method": method}
        return await self.post(message if params is None else {**message, "params": params})

    async def hello(self, capabilities: Json | None = None, besides: Json | None = None) -> Json:
        """Shake hands or discover, as the era has it; returns the answer."""
        if self.era == "modern":
            return (await self.call("server/discover")).answer
        params = {"protocolVersion": LEGACY, "capabilities": capabilities or {}, "clientInfo": INFO, **(besides or {})}
        heard = await self.call("initialize", params)
        self.session = heard.headers.get("mcp-session-id", "")
        await self.notify("notifications/initialized")
        return heard.answer


@asynccontextmanager
async def raw_http() -> AsyncIterator[httpx2.AsyncClient]:
    """The connections of raw clients: as many as wanted, and bounded in time."""
    limits = httpx2.Limits(max_connections=None, max_keepalive_connections=20)
    async with httpx2.AsyncClient(timeout=60, limits=limits) as http:
        yield http


class RawStdioClient:
    """A raw client directly at a stdio server, to compare with."""

    def __init__(self, process: anyio.abc.Process) -> None:
        assert process.stdin
        assert process.stdout
        self._in, self._out, self._buffer = process.stdin, process.stdout, b""

    async def post(self, message: Json) -> list[Json]:
        """Send a request and read up to its response."""
        await self._in.send(json.dumps(message).encode() + b"\n")
        messages: list[Json] = []
        while not messages or messages[-1].get("id") != message["id"]:
            while b"\n" not in self._buffer:
                self._buffer += await self._out.receive()
            line, _, self._buffer = self._buffer.partition(b"\n")
            messages.append(json.loads(line))
        return messages
