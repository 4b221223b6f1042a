"""What is said: the requests of the load, the replies of the upstream, and how a reply is checked.

Requests and long results are rendered once; what differs between two of them is the id.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

Era = Literal["legacy", "modern"]
ERAS: tuple[Era, ...] = ("legacy", "modern")
VERSIONS: dict[Era, str] = {"legacy": "2025-11-25", "modern": "2026-07-28"}

TOOLS = 100
HUB_SERVERS, HUB_TOOLS = 20, 50
"""The hub that is listed: so many servers with so many tools each."""
LARGE = 100_000
"""Characters of the long result."""

_ENVELOPE = {
    "io.modelcontextprotocol/protocolVersion": VERSIONS["modern"],
    "io.modelcontextprotocol/clientInfo": {"name": "load", "version": "1"},
    "io.modelcontextprotocol/clientCapabilities": {},
}
_CAPABILITIES = {"tools": {"listChanged": True}}


@dataclass(frozen=True)
class Operation:
    """One kind of request. `needle` is what every right reply contains, `{id}` standing for the request's id.

    `size` is the least a right reply weighs; 0 marks a short one. `hub` asks the hub of a workspace, not one server.
    `steps` stand for a whole cycle: connect, introduce oneself, take each step once, close.
    """

    name: str
    title: str
    method: str
    params: dict[str, Any]
    needle: str
    size: int = 0
    hub: bool = False
    steps: tuple["Operation", ...] = ()


ECHO = Operation(
    "echo", "tools/call echo", "tools/call", {"name": "echo", "arguments": {"text": "hello {id}"}}, '"hello {id}"'
)
LIST = Operation("list", f"tools/list of {TOOLS} tools", "tools/list", {}, f'"tool_{TOOLS - 1}"', 40_000)
RESULT = Operation(
    "large", "100 KB result", "tools/call", {"name": "large", "arguments": {}}, "0123456789" * 100, LARGE
)
HUB = Operation(
    "hub",
    f"tools/list of a hub, {HUB_SERVERS} x {HUB_TOOLS}",
    "tools/list",
    {},
    f'"server-00__tool_{HUB_TOOLS - 1}"',
    20_000,
    hub=True,
)
CYCLE = Operation("cycle", "connect + list + call", "", {}, "", steps=(LIST, ECHO))
HELLO: dict[Era, Operation] = {
    "legacy": Operation(
        "hello",
        "initialize",
        "initialize",
        {"protocolVersion": VERSIONS["legacy"], "capabilities": {}, "clientInfo": {"name": "load", "version": "1"}},
        '"serverInfo"',
    ),
    "modern": Operation("hello", "server/discover", "server/discover", {}, '"supportedVersions"'),
}
LISTEN = Operation(
    "listen",
    "subscriptions/listen",
    "subscriptions/listen",
    {"notifications": {"toolsListChanged": True}},
    '"notifications/subscriptions/acknowledged"',
)
INITIALIZED = b'{"jsonrpc":"2.0","method":"notifications/initialized"}'
OPERATIONS = (ECHO, LIST, RESULT, HUB)


def slow(seconds: float) -> Operation:
    """A call that the upstream answers after so many seconds."""
    called = {"name": "slow", "arguments": {"seconds": seconds}}
    return Operation("slow", f"tools/call of {seconds:g} s", "tools/call", called, '"waited"')


def template(operation: Operation, era: Era) -> bytes:
    """The request's body, with `%d` where the id stands; as often as `ids` counts."""
    params = {**operation.params, "_meta": _ENVELOPE} if era == "modern" else operation.params
    message = {"jsonrpc": "2.0", "id": "{id}", "method": operation.method, "params": params}
    text = json.dumps(message, separators=(",", ":")).replace('"{id}"', "%d").replace("{id}", "%d")
    return text.encode()


def headers(operation: Operation, era: Era, session: str = "", key: str = "") -> dict[str, str]:
    """The HTTP headers of a request, but for Host and length. `key`: the API key that goes along."""
    found = {
        **({"authorization": f"Bearer {key}"} if key else {}),
        "content-type": "application/json",
        "accept": "application/json, text/event-stream",
        "mcp-protocol-version": VERSIONS[era],
    }
    if era == "legacy":
        return {**found, "mcp-session-id": session} if session else found
    found["mcp-method"] = operation.method
    return {**found, "mcp-name": operation.params["name"]} if "name" in operation.params else found


def right(operation: Operation, ident: int, body: bytes, thorough: bool) -> bool:
    """Whether a reply is the right one. `thorough` parses a long reply too; a short one is always parsed."""
    needle = operation.needle.replace("{id}", str(ident)).encode()
    if len(body) < operation.size or needle not in body:
        return False
    if operation.size and not thorough:
        return True
    message = json.loads(body)
    return message.get("id") == ident and "result" in message


def answer(message: Mapping[str, Any], era: Era, *, hub: bool = False) -> bytes | None:
    """The upstream's reply to a parsed message; None for a notification. `hub`: as one of the hub's servers."""
    if "id" not in message:
        return None
    ident = json.dumps(message["id"]).encode()
    result = _result(message.get("method", ""), message.get("params") or {}, era, hub)
    if result is None:
        return b'{"jsonrpc":"2.0","id":%b,"error":{"code":-32601,"message":"Method not found"}}' % ident
    return b'{"jsonrpc":"2.0","id":%b,"result":%b}' % (ident, result)


def delay(message: Mapping[str, Any]) -> float:
    """Seconds for which the upstream holds back its reply."""
    if message.get("method") != "tools/call" or message["params"].get("name") != "slow":
        return 0
    seconds: float = message["params"]["arguments"]["seconds"]
    return seconds


def acknowledgement(message: Mapping[str, Any]) -> bytes:
    """The first event of a modern listen stream."""
    params = {
        "notifications": message["params"]["notifications"],
        "_meta": {"io.modelcontextprotocol/subscriptionId": message["id"]},
    }
    said = {"jsonrpc": "2.0", "method": "notifications/subscriptions/acknowledged", "params": params}
    return b"event: message\ndata: %b\n\n" % json.dumps(said, separators=(",", ":")).encode()


def _result(method: str, params: Mapping[str, Any], era: Era, hub: bool) -> bytes | None:
    if method == "tools/call":
        name = params.get("name")
        if name == "large":
            return _LARGE[era]
        return _text("waited" if name == "slow" else params["arguments"]["text"], era)
    if hub and method == "tools/list":
        return _SMALL[era]
    return _RENDERED[era].get(method)


def _render(result: dict[str, Any], era: Era, *, cached: bool = False) -> bytes:
    if era == "modern":
        result = {"resultType": "complete", **result}
        if cached:
            result |= {"ttlMs": 3_600_000, "cacheScope": "public"}
    return json.dumps(result, separators=(",", ":")).encode()


def _text(text: str, era: Era) -> bytes:
    return _render({"content": [{"type": "text", "text": text}]}, era)


def _tool(name: str) -> dict[str, Any]:
    properties = {
        f"argument_{number}": {"type": "string", "description": "What this argument is for, in one plain sentence."}
        for number in range(6)
    }
    schema = {"type": "object", "properties": properties, "required": ["argument_0"]}
    return {"name": name, "title": name.title(), "description": "Does what its name says. " * 8, "inputSchema": schema}


_TOOLS = [
    {"name": "echo", "inputSchema": {"type": "object", "properties": {"text": {"type": "string"}}}},
    {"name": "large", "inputSchema": {"type": "object"}},
    {"name": "slow", "inputSchema": {"type": "object"}},
    *(_tool(f"tool_{number}") for number in range(3, TOOLS)),
]
_INFO = {"name": "benchmark", "version": "1"}
_LARGE = {era: _text("0123456789" * (LARGE // 10), era) for era in ERAS}
_SMALL = {
    era: _render({"tools": [_tool(f"tool_{number}") for number in range(HUB_TOOLS)]}, era, cached=True) for era in ERAS
}
_RENDERED: dict[Era, dict[str, bytes]] = {
    "legacy": {
        "initialize": _render(
            {"protocolVersion": VERSIONS["legacy"], "capabilities": _CAPABILITIES, "serverInfo": _INFO}, "legacy"
        ),
        "ping": b"{}",
        "tools/list": _render({"tools": _TOOLS}, "legacy"),
    },
    "modern": {
        "server/discover": _render(
            {"supportedVersions": [VERSIONS["modern"]], "capabilities": _CAPABILITIES}, "modern", cached=True
        ),
        "tools/list": _render({"tools": _TOOLS}, "modern", cached=True),
    },
}
