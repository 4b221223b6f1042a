"""The MCP messages that the doctor sends, in both eras, and how their answers are read."""

from typing import Final, NamedTuple

from portkey_mcp import __version__
from portkey_mcp.doctor.answer import Answer
from portkey_mcp.wire import Json, MalformedJson, loads

MODERN: Final = "2026-07-28"
LEGACY: Final = "2025-11-25"
"""The versions that Claude offers: `server/discover` first, `initialize` after it (clients.md section 3)."""

_WHO: Final[Json] = {"name": "portkey-mcp-doctor", "version": __version__}
_ACCEPT: Final = {"accept": "application/json, text/event-stream"}


class Message(NamedTuple):
    """One message to POST, with the headers that belong to it."""

    body: Json
    headers: dict[str, str]


def modern(method: str, params: Json | None = None) -> Message:
    """A request of 2026-07-28: stateless, the client's introduction in `_meta`."""
    meta = {
        "io.modelcontextprotocol/protocolVersion": MODERN,
        "io.modelcontextprotocol/clientInfo": _WHO,
        "io.modelcontextprotocol/clientCapabilities": {},
    }
    body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": {**(params or {}), "_meta": meta}}
    return Message(body, {**_ACCEPT, "mcp-protocol-version": MODERN, "mcp-method": method})


def initialize() -> Message:
    """The first request of a legacy session."""
    params = {"protocolVersion": LEGACY, "capabilities": {}, "clientInfo": _WHO}
    return Message({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": params}, _ACCEPT)


def legacy(method: str, params: Json | None = None, *, version: str = LEGACY, session: str = "") -> Message:
    """A later request of a legacy session; a method that begins with `notifications/` has no id."""
    body: Json = {"jsonrpc": "2.0", "method": method, **({"params": params} if params else {})}
    if not method.startswith("notifications/"):
        body["id"] = 2
    headers = {**_ACCEPT, "mcp-protocol-version": version}
    return Message(body, {**headers, "mcp-session-id": session} if session else headers)


def outcome(answer: Answer) -> Json | None:
    """The JSON-RPC answer (`result` or `error`) that a POST brought, as JSON or in an event stream, or None."""
    if answer.media != "text/event-stream":
        return _outcome(answer.document)
    for event in answer.body.replace(b"\r\n", b"\n").split(b"\n\n"):
        data = b"\n".join(line[5:].strip() for line in event.split(b"\n") if line.startswith(b"data:"))
        try:
            found = _outcome(loads(data)) if data else None
        except MalformedJson:
            continue
        if found is not None:
            return found
    return None


def result(answer: Answer) -> Json | None:
    """The result of a request that went well; None where it did not, or where the result says `isError`."""
    found = (outcome(answer) or {}).get("result")
    return found if answer.status == 200 and isinstance(found, dict) and found.get("isError") is not True else None


def complaint(answer: Answer) -> str:
    """What an answer of 200 says against the request; empty where it says nothing."""
    found = outcome(answer) or {}
    error, got = found.get("error"), found.get("result")
    if isinstance(error, dict):
        return str(error.get("message") or error.get("code") or "an error")
    if isinstance(got, dict) and got.get("isError") is True:
        content = got.get("content")
        texts = (
            [str(part.get("text")) for part in content if isinstance(part, dict)] if isinstance(content, list) else []
        )
        return " ".join(texts) or "isError"
    return ""


def _outcome(message: object) -> Json | None:
    return message if isinstance(message, dict) and ("result" in message or "error" in message) else None
